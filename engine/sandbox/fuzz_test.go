package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// What a query is read as is JSON, comes out the same from the query that says
// it anew if there is one, and is what any other reader makes of it where PHP
// has no own ideas.
func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{
		"a[b][]=1&a[b][]=2", "a.b=%41", "[", "a[", "a[]", "a[]]=", "%5b%5d=1", "a[0]=1&a[]=2", "\x00=1", "a=1&a[b]=2&a[b][c]=3", "a[ ]=1", "=1&&b=%zz+%C3%A4",
		"a[9223372036854775807]=1&a[]=2", "a[-5]=1&a[]=2", "a[01]=1&a[]=2", strings.Repeat("a[]=1&", 1100),
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		out := sandbox.ParseQuery(query)
		var tree any
		if err := json.Unmarshal([]byte(out), &tree); err != nil || !utf8.ValidString(out) {
			t.Fatalf("%q: not JSON: %s: %v", query, out, err)
		}
		names, _ := tree.(map[string]any)
		unsayable := slices.ContainsFunc(slices.Collect(maps.Keys(names)), func(name string) bool { return strings.ContainsAny(name, " .[\x00") })
		if vars := strings.Count(query, "&") + 1; vars < 1000 && !unsayable {
			if again := sandbox.ParseQuery(strings.Join(queryOf("", tree), "&")); !cmp.Equal(shapeOf(t, again), shapeOf(t, out)) {
				t.Fatalf("%q is %s, written anew %s", query, out, again)
			}
		}
		if strings.ContainsAny(query, "[].;%+ \x00") || !utf8.ValidString(query) || strings.Count(query, "&") >= 1000 {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		flat, _ := tree.(map[string]any)
		delete(values, "")
		if list, ok := tree.([]any); ok { // the keys are 0, 1, 2 …
			flat = map[string]any{}
			for i, v := range list {
				flat[strconv.Itoa(i)] = v
			}
		}
		for key, list := range values {
			if flat[key] != list[len(list)-1] {
				t.Fatalf("%q: %q is %v, want %q", query, key, flat[key], list)
			}
		}
		if len(flat) != len(values) {
			t.Fatalf("%q: %v, want %v", query, flat, values)
		}
	})
}

// queryOf writes a tree as PHP's http_build_query does.
func queryOf(prefix string, tree any) []string {
	var parts []string
	add := func(key string, v any) {
		name := url.QueryEscape(key)
		if prefix != "" {
			name = prefix + "%5B" + name + "%5D"
		}
		parts = append(parts, queryOf(name, v)...)
	}
	switch v := tree.(type) {
	case map[string]any:
		for key, one := range v {
			add(key, one)
		}
	case []any:
		for i, one := range v {
			add(strconv.Itoa(i), one)
		}
	case string:
		return []string{prefix + "=" + url.QueryEscape(v)}
	}
	return parts
}

// shapeOf is a JSON text as PHP's arrays, where neither lists nor numbers are
// kinds of their own.
func shapeOf(tb testing.TB, text string) any {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return shape(tree)
}

func shape(tree any) any {
	m := map[string]any{}
	switch v := tree.(type) {
	case map[string]any:
		for key, one := range v {
			m[key] = shape(one)
		}
	case []any:
		for i, one := range v {
			m[strconv.Itoa(i)] = shape(one)
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		n, err := v.Float64()
		if err != nil {
			return v.String()
		}
		if n == float64(int64(n)) && max(n, -n) < 1<<53 {
			return int64(n)
		}
		return n
	default:
		return v
	}
	return m
}

// What is decoded is what another decoder finds in it, and comes out the same
// when it is written and decoded again.
func FuzzDecodeJSON(f *testing.F) {
	for _, b := range []string{
		`{"cmd":{"b":"x","a":"y"}}`, `[[]]`, `{"a":1e999}`, `"\ud800"`, "{}\x00", `{"a":1,"a":{"b":2},"":null}`, `[-0.0,1e-7,1e15,123456789012345678901]`,
		`{"1":1,"0":2}`, `"\u2028</'&\u0000\u007f"`, strings.Repeat("[", 512) + strings.Repeat("]", 512), " [true] ", `{"0":{"":[]}}`,
	} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, ok := sandbox.DecodeJSON(body)
		depth := bytes.Count(body, []byte("[")) + bytes.Count(body, []byte("{"))
		if valid := json.Valid(body) && utf8.Valid(body); ok && !valid || !ok && valid && depth < 500 {
			t.Fatalf("%q: taken: %t", body, ok)
		}
		if !ok {
			return
		}
		again, ok := sandbox.DecodeJSON(out)
		if !ok || string(again) != string(out) {
			t.Errorf("%q: %s, and again %s", body, out, again)
		}
		if diff := cmp.Diff(shapeOf(t, string(body)), shapeOf(t, string(out))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	})
}

// A filter is answered without a fault of the portal's own, with items that
// there are, and means the same one group further down.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`{"!@id":[1,"x",null]}`, `{"0":{"logic":"OR","0":{}}}`, `{"%title":"%_"}`, `{"><id":1}`, `{"contactIds":"a"}`, `{"=%title":"%a%a%a%a%"}`,
		`{"!":1}`, `{"":""}`, `{"=":{"a":1}}`, `{">id":1e30,"<id":"-5"}`, `{"fm":1}`, `{"createdTime":["now","@5"]}`, `{"0":1}`, `{"logic":"OR","title":"zeta","!xmlId":null}`,
	} {
		f.Add(s)
	}
	p := library(f)
	f.Fuzz(func(t *testing.T, filter string) {
		if !json.Valid([]byte(filter)) || !strings.HasPrefix(filter, "{") {
			return
		}
		defer inTime(t, time.Now())
		list := func(filter string) (ids []float64, fault string) {
			_, out := p.post(t, "crm.item.list", `{"entityTypeId":128,"select":["id"],"filter":`+filter+`}`)
			if out["error"] == "INTERNAL_SERVER_ERROR" {
				t.Fatalf("%s: %v", filter, out)
			}
			items, _ := at(out["result"], "items").([]any)
			for _, item := range items {
				id, ok := at(item, "id").(float64)
				if !ok || id < 1 || id > 9 || slices.Contains(ids, id) {
					t.Fatalf("%s finds %v", filter, items)
				}
				ids = append(ids, id)
			}
			return ids, fmt.Sprint(out["error"], out["error_description"])
		}
		ids, fault := list(filter)
		if strings.Contains(fault, "too many nested groups") || strings.Count(filter, "{") > 60 {
			return
		}
		below, same := list(`{"0":` + filter + `}`)
		if !slices.Equal(ids, below) || fault != same {
			t.Fatalf("%s finds %v, %s; one group further down %v, %s", filter, ids, fault, below, same)
		}
	})
}

// refreshed is how many inputs a portal takes before it is put back to its seed.
const refreshed = 500

func FuzzMethods(f *testing.F) {
	for i, params := range hostileParams() {
		f.Add(uint8(i*5), params)
	}
	portal := open(f, sandbox.Options{})
	names, ok := portal.call(f, "methods", `{}`).([]any)
	if !ok {
		f.Fatal("no methods")
	}
	inputs := 0
	f.Fuzz(func(t *testing.T, pick uint8, params string) {
		if inputs++; inputs%refreshed == 0 {
			if err := portal.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		defer inTime(t, time.Now())
		method, ok := names[int(pick)%len(names)].(string)
		if !ok {
			t.Fatal("the name is no text")
		}
		checkEnvelope(t, portal.Portal, method, []byte(params))
	})
}

// Whatever a command holds, the batch has an answer for each name, and none is
// a fault of the portal's own.
func FuzzBatch(f *testing.F) {
	for _, cmd := range []string{
		"crm.item.add?entityTypeId=128&fields[title]=$result[a][item]", "crm.item.list?filter[0][logic]=OR", "$result[", "?", "#", "batch?cmd[a]=profile",
		"crm.item.update?entityTypeId=128&id=$result[a][item][id]&fields[contactIds][]=", "crm.item.batchImport?entityTypeId=3&data[x]=1", "profile?x=$time[a]$total[a]$next[0]$error[b]",
	} {
		f.Add("b", cmd)
		f.Add("0", cmd)
	}
	p := open(f, sandbox.Options{})
	inputs := 0
	f.Fuzz(func(t *testing.T, name, cmd string) {
		if inputs++; inputs%refreshed == 0 {
			if err := p.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		defer inTime(t, time.Now())
		name = strings.ToValidUTF8(name, "?")
		body := fmt.Sprintf(`{"cmd":{"a":"crm.item.add?entityTypeId=128&fields[title]=x",%s:%s}}`, compact(t, name), compact(t, cmd))
		result := p.call(t, "batch", body)
		ok, fault := named(result, "result", name), named(result, "result_error", name)
		if (ok == nil) == (fault == nil) && at(result, "result", name) != nil {
			t.Fatalf("%s: both %v and %v", body, ok, fault)
		}
		if at(fault, "error") == "INTERNAL_SERVER_ERROR" {
			t.Errorf("%s: %v", body, fault)
		}
		if name != "a" && at(named(result, "result", "a"), "item", "id") == nil {
			t.Errorf("%s: the command before it is gone: %v", body, result)
		}
	})
}

// named is the entry of a name in one of the maps of a batch's answer, which is
// a list where the names are 0, 1, 2 ….
func named(result any, part, name string) any {
	if list, ok := at(result, part).([]any); ok {
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(list) {
			return list[n]
		}
		return nil
	}
	return at(result, part, name)
}

// A request's body is read as its Content-Type says, or counts as none.
func FuzzBody(f *testing.F) {
	form := "--x\r\nContent-Disposition: form-data; name=\"entityTypeId\"\r\n\r\n3\r\n--x--\r\n"
	for _, seed := range [][3]string{
		{"application/json", "", `{"entityTypeId":3,"id":1}`},
		{"application/x-www-form-urlencoded", "id=2", "entityTypeId=3&id=1"},
		{"multipart/form-data; boundary=x", "", form},
		{"multipart/form-data; boundary=\"\"", "a[]=1", form},
		{"text/plain", "%", "x"},
		{"application/json; charset", "a", "[1"},
		{"multipart/mixed; boundary=x", "", "--x\r\n\r\n--x--"},
		{"multipart/form-data; boundary=x", "", strings.Replace(form, "\"entityTypeId\"", "\"a[b]\"; filename=\"f\"", 1)},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	p := open(f, sandbox.Options{Seed: "empty"})
	f.Fuzz(func(t *testing.T, kind, query string, body []byte) {
		defer inTime(t, time.Now())
		address := &url.URL{Scheme: "http", Host: "portal.test", Path: p.WebhookPath() + "crm.item.get", RawQuery: query}
		r := (&http.Request{Method: http.MethodPost, URL: address, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}).WithContext(t.Context())
		res, err := p.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		out := decode(t, res)
		if _, ok := out["error"].(string); !ok || res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Fatalf("%q %q %q: status %d: %v", kind, query, body, res.StatusCode, out)
		}
	})
}

// A fault that is taken is one that can strike, and is the same when its figures
// are told again; any other is refused with what is wrong.
func FuzzParseFault(f *testing.F) {
	for _, spec := range []string{
		"drop-after:method=batch,nth=8", "slow:delay=2s", "limit-503:p=0.1,count=3,seed=7", "error-500:done=1,after=5", "late:delay=59s,p=1e-3", "lag", "truncate:",
		"expired:after=-1", "moved:nth=0", "html-502:p=NaN", "drop-midway:p=,=", "slow:delay=-1s", "slow:delay=1000000h", "drop-before:p=0x1p-2,p=1", " drop-after : method = A ",
	} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		fault, err := sandbox.ParseFault(spec)
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, "fault") || !isPrintable(text) {
				t.Fatalf("%q is refused with %q", spec, err)
			}
			return
		}
		told, p, done, nth, after, count, delay := fault.Figures()
		if !(p >= 0 && p <= 1 && done >= 0 && done <= 1) || nth < 0 || after < 0 || count < 0 || delay < 0 || nth+after < 0 {
			t.Fatalf("%q is taken as %s", spec, told)
		}
		again, err := sandbox.ParseFault(told)
		if err != nil {
			t.Fatalf("%q is %q, and then %v", spec, told, err)
		}
		if twice, _, _, _, _, _, _ := again.Figures(); twice != told {
			t.Fatalf("%q is %q, and then %q", spec, told, twice)
		}
	})
}

// A record that passed its checksum but makes no sense is an error, or leaves
// contents with which the portal answers on.
func FuzzRecord(f *testing.F) {
	for _, rec := range []string{
		"I\x04ab\x02\x02", "Rtype\x02{}", "R\x08type\x02{\"entity_type_id\":-1}", "R\x0acategory\x02null", "N\x00\x02\x02A",
		"P\x80\x02\x02\x02\x02i\x02", "S\x06\x02\x04\x02C\x02\x02\x02\x02", "D\x06\x02", "H\x06\x02\x02\x02\x02\x02\x02A\x02P", "L\x06\x7e\x7e", "X",
	} {
		f.Add([]byte(rec))
	}
	for _, rec := range records(f, dataFile(f, 4)) {
		f.Add(rec)
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		if len(rec) == 0 {
			return
		}
		defer inTime(t, time.Now())
		p := open(t, sandbox.Options{Seed: "empty"})
		if err := p.LoadRecord(rec); err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		if dump := p.dump(t); !json.Valid([]byte(dump)) {
			t.Fatalf("the contents are no JSON: %s", dump)
		}
		for _, call := range [][2]string{
			{"crm.type.list", `{}`},
			{"crm.category.list", `{"entityTypeId":128}`},
			{"crm.status.list", `{}`},
			{"user.get", `{}`},
			{"userfieldconfig.list", `{"moduleId":"crm"}`},
			{"crm.item.list", `{"entityTypeId":128}`},
			{"crm.item.fields", `{"entityTypeId":3}`},
			{"crm.stagehistory.list", `{"entityTypeId":2}`},
			{"crm.item.add", `{"entityTypeId":3,"fields":{"name":"x","fm":[{"typeId":"PHONE","value":"1"}]}}`},
			{"crm.item.list", `{"entityTypeId":3,"select":["*","fm"]}`},
		} {
			checkEnvelope(t, p.Portal, call[0], []byte(call[1]))
		}
	})
}

// dataFile is what a portal keeps after some changes of every kind.
func dataFile(tb testing.TB, changes int) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "portal.data")
	p, err := sandbox.New(sandbox.Options{Seed: "empty", DataFile: path})
	if err != nil {
		tb.Fatal(err)
	}
	box := &portal{p, &http.Client{Transport: p.Transport()}}
	for n := range changes {
		change(tb, box, n)
	}
	if err := p.Close(); err != nil {
		tb.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// records cuts a data file into the records in it.
func records(tb testing.TB, file []byte) [][]byte {
	tb.Helper()
	_, rest, ok := bytes.Cut(file, []byte("\n"))
	var list [][]byte
	for len(rest) >= 8 && ok {
		size := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16 | int(rest[3])<<24
		list = append(list, rest[8:8+size])
		rest = rest[8+size:]
	}
	return list
}

// A data file that was cut, altered or added to is refused, or opens as what it
// held at some time before; and what is then changed is there when it is opened
// again.
func FuzzDataFile(f *testing.F) {
	file := dataFile(f, 3)
	ends := []int{bytes.IndexByte(file, '\n') + 1}
	for _, rec := range records(f, file) {
		ends = append(ends, ends[len(ends)-1]+8+len(rec))
	}
	if whole := ends[len(ends)-1]; whole != len(file) {
		f.Fatalf("records of %d bytes in a file of %d", whole, len(file))
	}
	path := filepath.Join(f.TempDir(), "portal.data")
	load := func(tb testing.TB, meanwhile func(*portal)) (dump, after string, err error) {
		tb.Helper()
		p, err := sandbox.New(sandbox.Options{DataFile: path})
		if err != nil {
			return "", "", err
		}
		box := &portal{p, &http.Client{Transport: p.Transport()}}
		dump = box.dump(tb)
		meanwhile(box)
		after = box.dump(tb)
		return dump, after, p.Close()
	}
	once := map[string]bool{}
	for _, end := range ends {
		if err := os.WriteFile(path, file[:end], 0o600); err != nil {
			f.Fatal(err)
		}
		dump, _, err := load(f, func(*portal) {})
		if err != nil {
			f.Fatal(err)
		}
		once[dump] = true
	}
	f.Add(uint16(ends[3]), uint16(3), uint8(255), file[ends[4]:ends[5]])
	for i := range 64 {
		f.Add(uint16(len(file)-i), uint16(len(file)*i/64), uint8(1<<(i%9)), []byte{})
		f.Add(uint16(len(file)-i), uint16(0), uint8(0), []byte("x"))
	}
	f.Fuzz(func(t *testing.T, cut, place uint16, flip uint8, tail []byte) {
		altered := bytes.Clone(file[:min(int(cut), len(file))])
		if int(place) < len(altered) {
			altered[place] ^= flip
		}
		if err := os.WriteFile(path, append(altered, tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		dump, after, err := load(t, func(box *portal) {
			checkEnvelope(t, box.Portal, "crm.item.add", []byte(`{"entityTypeId":3,"fields":{"name":"x"}}`))
		})
		if err != nil {
			if text := err.Error(); !strings.Contains(text, "damaged; restore the file") && !strings.Contains(text, "record") {
				t.Fatalf("it is refused with %q", text)
			}
			return
		}
		if len(tail) == 0 && !once[dump] {
			t.Fatalf("it opens as %s, which it never held", dump)
		}
		if again, _, err := load(t, func(*portal) {}); err != nil || again != after {
			t.Fatalf("it is left as %s, and opens as %s, %v", after, again, err)
		}
	})
}

// longest is how long one input may take: far more than any needs, on however
// busy a machine.
const longest = 10 * time.Second

func inTime(t *testing.T, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > longest {
		t.Errorf("took %v", took)
	}
}

func isPrintable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}
