package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ query, want string }{
		"plain":                                {"a=1&b=x+y%2B", `{"a":"1","b":"x y+"}`},
		"nested":                               {"f[a][b]=1&f[a][c]=2", `{"f":{"a":{"b":"1","c":"2"}}}`},
		"appended":                             {"f[]=1&f[]=2", `{"f":["1","2"]}`},
		"appended after a position":            {"f[3]=x&f[]=y", `{"f":{"3":"x","4":"y"}}`},
		"encoded brackets":                     {"f%5Ba%5D=1", `{"f":{"a":"1"}}`},
		"dots and spaces become underscores":   {"a.b=1&c d=2", `{"a_b":"1","c_d":"2"}`},
		"dots inside brackets stay":            {"a[b.c]=1", `{"a":{"b.c":"1"}}`},
		"later wins":                           {"a=1&a=2", `{"a":"2"}`},
		"a scalar gives way to an array":       {"a=1&a[b]=2", `{"a":{"b":"2"}}`},
		"an unclosed bracket is an underscore": {"a[b=1", `{"a_b":"1"}`},
		"text after a bracket is lost":         {"a[b]c=1", `{"a":{"b":"1"}}`},
		"no value":                             {"a&b=", `{"a":"","b":""}`},
		"no name":                              {"=1&[x]=2&&c=3", `{"c":"3"}`},
		"a broken escape stays":                {"a=%zz%4", `{"a":"%zz%4"}`},
		"too deep":                             {"a" + strings.Repeat("[b]", 65) + "=1&c=2", `{"c":"2"}`},
		"nothing":                              {"", `[]`},
		"not UTF-8":                            {"a=%ff", `{"a":"?"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := strings.ReplaceAll(sandbox.ParseQuery(tt.query), `\/`, "/")
			if got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.query, got, tt.want)
			}
		})
	}
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		body, want string
		refused    bool
	}{
		"the order of keys stays": {body: `{"b":1,"a":{"z":2,"y":[3,"4"]}}`, want: `{"b":1,"a":{"z":2,"y":[3,"4"]}}`},
		"empty":                   {body: `{"a":{},"b":[]}`, want: `{"a":[],"b":[]}`},
		"a list by position":      {body: `{"0":"x","1":"y"}`, want: `["x","y"]`},
		"not a list":              {body: `{"1":"x","0":"y"}`, want: `{"1":"x","0":"y"}`},
		"numbers":                 {body: `[1,1.5,1e3,9007199254740993]`, want: `[1,1.5,1000,9007199254740993]`},
		"a key twice":             {body: `{"a":1,"b":2,"a":3}`, want: `{"a":3,"b":2}`},
		"escapes":                 {body: `["<\"'&/\u2028é"]`, want: `["\u003C\u0022\u0027\u0026\/\u2028é"]`},
		"trailing comma":          {body: `[1,]`, refused: true},
		"two documents":           {body: `{} {}`, refused: true},
		"not UTF-8":               {body: "[\"\xff\"]", refused: true},
		"too deep":                {body: strings.Repeat("[", 600) + strings.Repeat("]", 600), refused: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, ok := sandbox.DecodeJSON([]byte(tt.body))
			if ok == tt.refused {
				t.Fatalf("%s: taken %v, want %v", tt.body, ok, !tt.refused)
			}
			if ok && string(got) != tt.want {
				t.Errorf("%s: got %s, want %s", tt.body, got, tt.want)
			}
		})
	}
}

func TestRequestForms(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	base := "http://portal.test"
	hook := p.WebhookPath()
	token := strings.Split(hook, "/")[3]
	form := "application/x-www-form-urlencoded"
	multipart := "--x\r\nContent-Disposition: form-data; name=\"entityTypeId\"\r\n\r\n3\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1\r\n--x--\r\n"
	tests := map[string]struct {
		verb, url, kind, body, bearer string
		status                        int
		code                          string
	}{
		"JSON":                     {"POST", hook + "crm.item.get", "application/json", `{"entityTypeId":3,"id":1}`, "", 200, ""},
		"GET":                      {"GET", hook + "crm.item.get?entityTypeId=3&id=1", "", "", "", 200, ""},
		"form":                     {"POST", hook + "crm.item.get", form, "entityTypeId=3&id=1", "", 200, ""},
		"multipart":                {"POST", hook + "crm.item.get", "multipart/form-data; boundary=x", multipart, "", 200, ""},
		"query and body":           {"POST", hook + "crm.item.get?entityTypeId=3&id=999", "application/json", `{"id":1}`, "", 200, ""},
		"any case, .json":          {"POST", hook + "CRM.Item.GET.json", form, "entityTypeId=3&id=1", "", 200, ""},
		"trailing slash":           {"POST", hook + "crm.item.get/", form, "entityTypeId=3&id=1", "", 200, ""},
		".xml":                     {"POST", hook + "crm.item.get.xml", form, "entityTypeId=3&id=1", "", 404, "ERROR_METHOD_NOT_FOUND"},
		"broken JSON is no body":   {"POST", hook + "crm.item.get", "application/json", `{"entityTypeId":3`, "", 400, "100"},
		"JSON under another name":  {"POST", hook + "crm.item.get", "text/plain", `{"entityTypeId":3,"id":1}`, "", 400, "100"},
		"unknown before secret":    {"POST", "/rest/1/wrong/nope", "", "", "", 404, "ERROR_METHOD_NOT_FOUND"},
		"wrong secret":             {"POST", "/rest/1/wrong/crm.item.get", "", "", "", 401, "INVALID_CREDENTIALS"},
		"wrong user":               {"POST", strings.Replace(hook, "/1/", "/2/", 1) + "crm.item.get", "", "", "", 401, "INVALID_CREDENTIALS"},
		"no token":                 {"POST", "/rest/crm.item.get", form, "entityTypeId=3&id=1", "", 401, "NO_AUTH_FOUND"},
		"token as auth":            {"POST", "/rest/crm.item.get", form, "entityTypeId=3&id=1&auth=" + token, "", 200, ""},
		"token as access_token":    {"POST", "/rest/crm.item.get?access_token=" + token, form, "entityTypeId=3&id=1", "", 200, ""},
		"token in the header wins": {"POST", "/rest/crm.item.get?auth=wrong", form, "entityTypeId=3&id=1", token, 200, ""},
		"wrong token":              {"POST", "/rest/crm.item.get?auth=wrong", form, "entityTypeId=3&id=1", "", 401, "invalid_token"},
		"REST 3.0 has no CRM":      {"POST", "/rest/api/1/" + token + "/crm.item.get", "", "", "", 404, "ERROR_METHOD_NOT_FOUND"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			req, err := http.NewRequestWithContext(t.Context(), tt.verb, base+tt.url, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.kind)
			if tt.bearer != "" {
				req.Header.Set("Authorization", "Bearer "+tt.bearer)
			}
			res, err := p.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			out := decode(t, res)
			code, _ := out["error"].(string)
			if res.StatusCode != tt.status || code != tt.code {
				t.Errorf("got %d %q, want %d %q: %v", res.StatusCode, code, tt.status, tt.code, out)
			}
			if tt.status == 200 && at(out, "result", "item", "id") != 1.0 {
				t.Errorf("got %v, want contact 1", out)
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Defaults())
	res, err := p.send(t, "crm.item.list", `{"entityTypeId":3,"select":["id"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type: got %q", got)
	}
	out := decode(t, res)
	for _, key := range []string{"start", "finish", "duration", "processing", "date_start", "date_finish", "operating_reset_at", "operating"} {
		if at(out, "time", key) == nil {
			t.Errorf("time has no %s: %v", key, out["time"])
		}
	}
	if out["total"] != 12.0 || out["next"] != nil {
		t.Errorf("total %v, next %v; want 12 and none", out["total"], out["next"])
	}
}

func TestFieldNames(t *testing.T) {
	t.Parallel()

	want := map[string]string{
		"ASSIGNED_BY_ID": "assignedById", "PARENT_ID_1248": "parentId1248", "UTM_SOURCE": "utmSource",
		"UF_CRM_MY_STRING": "ufCrmMyString", "UF_CRM_41_1737980095947": "ufCrm41_1737980095947",
		"UF_CRM_3_DIGIT": "ufCrm3Digit", "UF_CRM_1747309879": "ufCrm_1747309879",
		"UF_CRM_3_DIGIT_10": "ufCrm_3_DIGIT_10", "UF_CRM_12345_678": "ufCrm_12345_678",
	}
	got := map[string]string{}
	for upper := range want {
		got[upper] = sandbox.RestName(upper)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestControlIsForLoopbackOnly(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://portal.test/_sandbox/reset", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://elsewhere.test")
	res, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a page's request: got %d, want 403", res.StatusCode)
	}
}

// escape makes a batch command out of a method and its parameters.
func escape(method string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return method + "?" + v.Encode()
}
