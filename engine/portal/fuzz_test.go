package portal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Whatever stands around a secret, no error and no form of an address tells it,
// and what is taken for a webhook is one and stays the same.
func FuzzParse(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://a.bitrix24.com/rest/1/", "/"},
		{" HTTPS://A.example:8443/rest/17/", "/crm.item.list.json\n"},
		{"http://[::1]:8080/rest/1/", ""},
		{"http://a.test/rest/1/", "/"},
		{"https://u:", "@a.test/rest/1/x/"},
		{"https://a b/rest/1/", "/%zz"},
		{"https://a.test/rest/1/", "?auth=x#y"},
		{"https://a.test/rest/9223372036854775808/", "%2f.."},
		{"//a.test/rest/1/", ""},
		{"https:\\\\a.test\\rest\\1\\", ""},
		{"", ""},
		{"://", "\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		address, err := portal.Parse(before + secret + after)
		if err != nil {
			// A host is told; whoever hides a secret in one has no webhook.
			if strings.Contains(err.Error(), secret) && strings.Contains(before, "/rest/") || !strings.Contains(err.Error(), "; ") {
				t.Fatalf("%q: %v", before+secret+after, err)
			}
			return
		}
		again, err := portal.Parse(address.Reveal())
		if err != nil || again != address || address.User < 1 || address.Host == "" {
			t.Fatalf("%q becomes %+v: %v", address.Reveal(), address, err)
		}
		if strings.Contains(address.Host, secret) {
			return
		}
		asJSON, err := json.Marshal(address)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "address", address, "secret", address.Secret)
		for _, shown := range []string{address.String(), address.ID(), string(asJSON), log.String(), fmt.Sprintf("%v %+v %#v %s %q", address, address, address, address, address)} {
			if strings.Contains(shown, secret) {
				t.Fatalf("%q tells the secret", shown)
			}
		}
	})
}

// Whatever a portal or a gateway answers, reading it takes nothing for done that
// has no result, and gives figures that can be reckoned with.
func FuzzAnswer(f *testing.F) {
	for _, body := range answers(f) {
		f.Add(200, []byte(body))
		f.Add(503, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		result, fault := portal.AnswerOf("crm.item.add", status, body)
		if fault != nil {
			checkFault(t, fault)
			return
		}
		if status != 200 || result.Value == nil {
			t.Errorf("status %d, %q: taken for done", status, body)
		}
		checkResult(t, result)
		for _, halt := range []bool{false, true} {
			replies, fault := portal.BatchReplies(2, result.Value, halt)
			if fault != nil {
				checkFault(t, fault)
				continue
			}
			if len(replies) != 2 {
				t.Errorf("%d replies, want 2", len(replies))
			}
			for _, r := range replies {
				if r.Err != nil {
					checkFault(t, r.Err)
					continue
				}
				checkResult(t, r.Result)
			}
		}
	})
}

// answers are what portals and gateways answer, those of the sandbox among them.
func answers(f *testing.F) []string {
	f.Helper()
	raw, err := os.ReadFile("../sandbox/testdata/exchanges.json")
	if err != nil {
		f.Fatal(err)
	}
	list := []string{
		`{"result":{"items":[{"id":1}]},"time":{"operating":0.1}}`, `{"error":"X"}`, `{"error":{}}`, `[]`, `null`, `{"result":[]}`, "\xff",
		`{"result":{"result":{"c0":{"item":{"id":"3","fm":[{"id":1,"typeId":"PHONE","value":"1"}]}}},"result_error":[],"result_time":{"c0":[]}}}`,
		`{"result":{"result":[1,2],"result_error":[{"error":1}]}}`, "<html><body>502 Bad Gateway</body></html>", `{"result":1,"total":"NaN"}`,
		`{"result":1,"total":1e300,"next":"-1e300","time":{"finish":1,"duration":"1e300","operating":"NaN","operating_reset_at":1e300}}`,
		`{"error":"QUERY_LIMIT_EXCEEDED","error_description":"a\u001b[2J<br>b\u202e","argument":"\r\n"}`,
		`{"result":{"result":{"c0":null},"result_total":{"c0":-1},"result_next":{"c0":"x"},"result_error":{"c1":"text"}}}`,
	}
	var kept []struct {
		Answer json.RawMessage `json:"answer"`
	}
	if json.Unmarshal(raw, &kept) == nil {
		for _, k := range kept {
			list = append(list, string(k.Answer))
		}
	}
	return list
}

func checkFault(t *testing.T, fault *portal.Error) {
	t.Helper()
	text := fault.Error()
	for _, r := range text {
		if !strconv.IsPrint(r) {
			t.Fatalf("an error has %q in it: %q", r, text)
		}
	}
	if !utf8.ValidString(text) || fault.Verdict == "" || fault.Verdict == portal.Done {
		t.Fatalf("%+v is no error", fault)
	}
}

func checkResult(t *testing.T, r portal.Result) {
	t.Helper()
	day := 24 * time.Hour
	if count := 1 << 53; max(r.Total, r.Next) > count || min(r.Total, r.Next) < -count || r.Time.Duration < 0 || r.Time.Duration > day || r.Time.Operating < 0 || r.Time.Operating > day ||
		r.Time.Resets < 0 || r.Time.Resets > day || math.IsNaN(r.Time.FinishedAt) || !json.Valid(r.Value) {
		t.Fatalf("nobody can reckon with %+v", r)
	}
}

// Whatever a portal answers, and wherever it redirects to, a call ends, and its
// error tells no secret.
func FuzzCall(f *testing.F) {
	for _, body := range answers(f) {
		f.Add(200, "", body)
		f.Add(400, "", body)
	}
	echo := `{"error":"/rest/1/` + secret + `/","error_description":"/rest/1/` + secret + `/x","argument":"` + secret + `"}`
	f.Add(400, "", echo)
	f.Add(429, "", `{"error":"OPERATION_TIME_LIMIT","error_description":"`+secret+`"}`)
	f.Add(200, "", `{"result":{"result":[],"result_error":{"c0":`+echo+`}}}`)
	for _, to := range []string{"https://new.test/rest/1/" + secret + "/crm.item.add.json", "https://new.test/" + secret, "http://new.test/" + secret, "/" + secret, "%zz" + secret} {
		f.Add(302, to, echo)
	}
	f.Fuzz(func(t *testing.T, status int, location, body string) {
		if status < 100 || status > 599 || status < 200 && status != 101 {
			return // net/http lets none of them through
		}
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			o := portal.Options{Transport: fixed{status, location, body}, Limits: portal.CloudLimits(), Logger: textLogger(&log)}
			c := openTransport(t, o, "/rest/1/"+secret+"/")
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := c.Call(ctx, "crm.item.add", map[string]any{"fields": map[string]any{"title": "x"}})
			replies, batchErr := c.Batch(ctx, []portal.Command{{Method: "crm.item.get"}, {Method: "crm.item.get"}})
			errs := []error{err, batchErr}
			for _, r := range replies {
				if r.Err != nil {
					errs = append(errs, r.Err)
				}
			}
			for _, err := range errs {
				if fault, ok := errors.AsType[*portal.Error](err); ok {
					checkFault(t, fault)
				} else if err != nil && ctx.Err() == nil {
					t.Fatalf("%T: %v", err, err)
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Fatalf("the secret is in the error: %v", err)
				}
			}
			if strings.Contains(log.String(), secret) {
				t.Fatalf("the secret is in the log: %s", log.String())
			}
		})
	})
}

// fixed answers everything alike.
type fixed struct {
	status         int
	location, body string
}

// RoundTrip implements [http.RoundTripper].
func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{}
	if f.location != "" {
		header.Set("Location", f.location)
	}
	return &http.Response{StatusCode: f.status, Header: header, Body: io.NopCloser(strings.NewReader(f.body)), Request: r}, nil
}

// fieldTypes are types of fields, known and unknown.
func fieldTypes() []engine.FieldType {
	return []engine.FieldType{
		engine.FieldString, engine.FieldInteger, engine.FieldDouble, engine.FieldBoolean, engine.FieldDate, engine.FieldDateTime, engine.FieldMoney,
		engine.FieldEnum, engine.FieldStatus, engine.FieldUser, engine.FieldContact, engine.FieldCategory, engine.FieldFile, "crm_dynamic_128", "crm_currency", "new",
	}
}

// A value of a portal becomes one that the engine knows, and the same again
// once it was sent back and read.
func FuzzDecode(f *testing.F) {
	for i, raw := range []string{
		`null`, `""`, `0`, `"0"`, `"Y"`, `true`, `"2024-06-17T19:00:00-05:00"`, `"9999-12-31T23:00:00+00:00"`, `[]`, `{}`, `["5"]`, `[5]`, `{"1":"a","0":"b"}`,
		`"1e3"`, `1e400`, `"NaN"`, `"0x1p4"`, `"9007199254740993"`, `-0.0`, `"300|EUR"`, `[[1],{"a":2}]`, `{"id":1,"url":"x"}`, `"\ud800"`, `[null,"",0]`, `"1_000"`,
	} {
		f.Add(uint8(i), false, []byte(raw))
		f.Add(uint8(i+5), true, []byte(raw))
	}
	f.Fuzz(func(t *testing.T, pick uint8, multiple bool, raw []byte) {
		if !json.Valid(raw) {
			return // the answer that it came in was JSON
		}
		types := fieldTypes()
		field := &engine.Field{Name: "a", Type: types[int(pick)%len(types)], Multiple: multiple}
		value := portal.Decode(field, raw)
		checkCanonical(t, field, value)
		sent, err := portal.Encode(field, value)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		wire, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		address := cmpopts.IgnoreFields(engine.File{}, "URL") // of the portal's files, told and never sent
		if again := portal.Decode(field, wire); !cmp.Equal(again, value, address) {
			t.Fatalf("%s %s is %#v, is sent as %s, and is then %#v", field.Type, raw, value, wire, again)
		}
	})
}

func checkCanonical(t *testing.T, field *engine.Field, value any) {
	t.Helper()
	list, many := value.([]any)
	if many != (field.Multiple && value != nil) || many && len(list) == 0 {
		t.Fatalf("%+v holds %#v", field, value)
	}
	if !many {
		list = []any{value}
	}
	for _, one := range list {
		switch v := one.(type) {
		case string:
			if v == "" || !utf8.ValidString(v) {
				t.Fatalf("%+v holds %#v", field, value)
			}
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%+v holds %#v", field, value)
			}
		case engine.File:
			if v.ID <= 0 || !utf8.ValidString(v.URL) {
				t.Fatalf("%+v holds %#v", field, value)
			}
		case bool, int64:
		case nil:
			if many {
				t.Fatalf("%+v holds %#v", field, value)
			}
		default:
			t.Fatalf("%+v holds a %T", field, one)
		}
	}
}

// An item of an answer has an id and canonical values of its entity's fields, or
// is no item.
func FuzzDecodeItem(f *testing.F) {
	c, _ := openSandbox(f, sandbox.Options{Seed: "demo"}, unlimited())
	e := entityOf(f, loadCatalog(f, c, "contact"), "contact")
	got, err := c.Call(f.Context(), "crm.item.list", map[string]any{"entityTypeId": 3, "select": []any{"*", "fm"}})
	if err != nil {
		f.Fatal(err)
	}
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(got.Value, &page); err != nil || len(page.Items) == 0 {
		f.Fatalf("%d items, %v", len(page.Items), err)
	}
	for _, item := range page.Items[:min(len(page.Items), 5)] {
		f.Add([]byte(item))
	}
	for _, raw := range []string{
		`{"id":"3","fm":[{"id":1e300,"typeId":"PHONE","value":"1"}]}`, `{"id":1e300}`, `{"ID":1}`, `[1]`, `{"id":1,"fm":{"n0":{"valueType":[],"typeId":"phone","value":5}}}`,
		`{"id":7,"name":["a"],"birthdate":{},"companyIds":"5","opened":"maybe","fm":"x"}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, keep := range []bool{false, true} {
			item, ok := portal.DecodeItem(e, raw, keep)
			if !ok {
				continue
			}
			if item.ID < 1 {
				t.Fatalf("item %d", item.ID)
			}
			for name, value := range item.Fields {
				field := fieldOf(t, e, name)
				if value == nil && !keep {
					t.Fatalf("the field %s is there and empty", name)
				}
				if rows, ok := value.([]engine.MultiValue); ok && field.Type == engine.FieldMulti {
					for _, r := range rows {
						if r.Value == "" || max(r.ID, -r.ID) > 1<<53 || r.ID == math.MinInt64 {
							t.Fatalf("%s holds %+v", name, rows)
						}
					}
					continue
				}
				checkCanonical(t, field, value)
			}
		}
	})
}

// What travels in a batch arrives as what travels alone does, whatever is in
// it: a portal that knows nothing of this client reads both.
func FuzzBatchQuery(f *testing.F) {
	for i, s := range []string{"", "a", "ä€", "a+b c&d=e#f%41", "<\"'>\\/\u2028", "$result", "$result[a][item]", "\xff\x00", "[0]", " x ", "1e3", "a]b[c", "\u0085\n\t"} {
		f.Add("=%title", s, int64(i), 1.5)
		f.Add(s, s, int64(-i), 1e300)
	}
	box, err := sandbox.New(sandbox.Options{Seed: "empty"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { box.Close() })
	item := post(f, box, "crm.item.add", []byte(`{"entityTypeId":128,"fields":{"title":"x"}}`))
	var made struct {
		Item struct {
			ID int64 `json:"id"`
		} `json:"item"`
	}
	if err := json.Unmarshal(item["result"], &made); err != nil || made.Item.ID == 0 {
		f.Fatalf("%s: %v", item["result"], err)
	}
	f.Fuzz(func(t *testing.T, key, value string, whole int64, number float64) {
		calls := map[string]map[string]any{
			"crm.item.update": {"entityTypeId": 128, "id": made.Item.ID, "useOriginalUfNames": "N", "fields": map[string]any{
				"title": value, "opportunity": number, "ufCrm41_1737980500008": []any{value, key, whole}, "ufCrm41_1737980500009": whole,
			}},
			"crm.item.list": {"entityTypeId": 128, "select": []any{"id", key}, "filter": map[string]any{key: value, "@id": []any{made.Item.ID, whole}}, "order": map[string]any{key: value}},
		}
		for method, params := range calls {
			command, ok := portal.BatchQuery(method, params)
			alone, err := json.Marshal(params)
			if !ok || err != nil {
				continue
			}
			want := post(t, box, method, alone)
			batch := post(t, box, "batch", portal.BatchBody(command))
			var got struct {
				Result map[string]json.RawMessage `json:"result"`
				Errors map[string]json.RawMessage `json:"result_error"`
			}
			// Empty maps are lists: what can't be read has nothing in it.
			_ = json.Unmarshal(batch["result"], &got)
			result, fault := string(settled(got.Result["c0"])), string(got.Errors["c0"])
			if result != string(settled(want["result"])) || (fault == "") != (want["error"] == nil) ||
				fault != "" && (!strings.Contains(fault, string(want["error"])) || !strings.Contains(fault, string(want["error_description"]))) {
				t.Fatalf("%s %s\nalone: %s%s%s\nin a batch, as %q: %s%s", method, alone, want["result"], want["error"], want["error_description"], command, result, fault)
			}
		}
	})
}

// settled is an answer without what the time of the call puts into it.
func settled(raw json.RawMessage) []byte {
	var answer map[string]map[string]any
	if json.Unmarshal(raw, &answer) != nil {
		return raw
	}
	delete(answer["item"], "updatedTime")
	text, err := json.Marshal(answer)
	if err != nil {
		return raw
	}
	return text
}

// post sends a request to a sandbox, without the client.
func post(tb testing.TB, box *sandbox.Portal, method string, body []byte) map[string]json.RawMessage {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "https://sandbox.test"+box.WebhookPath()+method, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := box.Transport().RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&fields); err != nil {
		tb.Fatalf("%s %s: %v", method, body, err)
	}
	return fields
}

// Whatever the file holds in which processes share what they know of the
// limits, calls go on within an hour, refusals and all; a file can be damaged,
// and the clock set back since it was written.
func FuzzState(f *testing.F) {
	folder := f.TempDir()
	open := func(tb testing.TB, folder string, s script) *portal.Client {
		tb.Helper()
		return openTransport(tb, portal.Options{Transport: s, Limits: portal.CloudLimits(), State: folder}, "/rest/1/"+secret+"/")
	}
	fine := func(string, map[string]any, *http.Request) (int, string) {
		return 200, `{"result":{},"time":{"operating":1}}`
	}
	for range 3 {
		if _, err := open(f, folder, fine).Call(f.Context(), "crm.item.add", nil); err != nil {
			f.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) != 1 {
		f.Fatalf("files %v, %v", paths, err)
	}
	written, err := os.ReadFile(paths[0])
	if err != nil {
		f.Fatal(err)
	}
	for i, text := range []string{
		string(written), "", "null", "[]", `{"bucket":{"level":999999}}`, `{"bucket":{"level":50,"at":1,"neighbour":1.9,"blocked":9e18}}`,
		`{"bucket":{"level":1,"at":9000000000000000000,"synced":9000000000000000000,"in_a_row":9223372036854775807}}`,
		`{"methods":{"1/crm.item.add":{"blocked":9000000000000000000}}}`, `{"methods":{"1/crm.item.add":{"in_a_row":-1}}}`,
		`{"methods":{"1/crm.item.add":{"spent":[{"u":9000000000000000000,"s":999999}],"pending":{"a":{"seconds":99999,"until":9000000000000000000}},"reported":1e300}}}`,
		`{"costs":{"crm.item.add":{"seconds":99999,"seen":true}},"overhead":{"seconds":99999,"seen":true}}`,
	} {
		f.Add([]byte(text), uint8(i*37))
	}
	f.Fuzz(func(t *testing.T, text []byte, refusals uint8) {
		if err := os.WriteFile(paths[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			pattern := refusals
			c := open(t, folder, func(string, map[string]any, *http.Request) (int, string) {
				next := pattern % 4
				pattern /= 4
				switch next {
				case 1:
					return 503, `{"error":"QUERY_LIMIT_EXCEEDED"}`
				case 2:
					return 429, `{"error":"OPERATION_TIME_LIMIT"}`
				}
				return 200, `{"result":{},"time":{"finish":1700000000,"duration":0.2,"operating":1,"operating_reset_at":1700000600}}`
			})
			began := time.Now()
			for range 3 {
				if _, err := c.Call(t.Context(), "crm.item.add", nil); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > time.Hour {
				t.Fatalf("%q: three calls took %v", text, took)
			}
			if text := c.Status(); text == "" || !utf8.ValidString(text) {
				t.Fatalf("status %q", text)
			}
		})
	})
}
