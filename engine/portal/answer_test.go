package portal_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/portal"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method string
		status int
		code   string
		want   portal.Verdict
	}{
		"bucket":                          {"batch", 503, "QUERY_LIMIT_EXCEEDED", portal.Refused},
		"execution time":                  {"crm.item.add", 429, "OPERATION_TIME_LIMIT", portal.Refused},
		"execution time in a batch":       {"crm.item.add", 0, "OPERATION_TIME_LIMIT", portal.Refused},
		"51st command":                    {"crm.item.add", 0, "ERROR_BATCH_LENGTH_EXCEEDED", portal.Refused},
		"expired token":                   {"batch", 401, "expired_token", portal.Expired},
		"blocked by the vendor":           {"batch", 503, "OVERLOAD_LIMIT", portal.Fatal},
		"wrong secret, by the docs":       {"batch", 403, "INVALID_CREDENTIALS", portal.Fatal},
		"wrong secret, by the source":     {"batch", 401, "INVALID_CREDENTIALS", portal.Fatal},
		"scope":                           {"crm.item.add", 0, "insufficient_scope", portal.Fatal},
		"REST not in the plan":            {"crm.item.add", 401, "ACCESS_DENIED", portal.Fatal},
		"REST not in the plan, in batch":  {"batch", 403, "ACCESS_DENIED", portal.Fatal},
		"no right to one item":            {"crm.item.add", 400, "ACCESS_DENIED", portal.Failed},
		"no right to one item, in batch":  {"crm.item.add", 0, "ACCESS_DENIED", portal.Failed},
		"deleted portal":                  {"batch", 500, "PORTAL_DELETED", portal.Fatal},
		"not found":                       {"crm.item.get", 400, "NOT_FOUND", portal.Failed},
		"unknown method":                  {"x", 404, "ERROR_METHOD_NOT_FOUND", portal.Failed},
		"empty code":                      {"crm.contact.add", 400, "", portal.Failed},
		"empty code in a batch":           {"crm.contact.add", 0, "", portal.Failed},
		"internal error":                  {"crm.item.add", 500, "INTERNAL_SERVER_ERROR", portal.Unknown},
		"internal error in a batch":       {"crm.item.add", 0, "INTERNAL_SERVER_ERROR", portal.Unknown},
		"SQL error":                       {"crm.item.add", 500, "ERROR_CORE", portal.Unknown},
		"legacy error":                    {"crm.item.add", 400, "ERROR_CORE", portal.Failed},
		"5xx with a code nobody has seen": {"crm.item.add", 502, "X", portal.Unknown},
		"answer that can't be encoded":    {"crm.item.add", 200, "WRONG_ENCODING", portal.Unknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := portal.Classify(tt.method, tt.status, tt.code); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnswerOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status  int
		body    string
		want    string // the result, or the code and verdict of the error
		verdict portal.Verdict
	}{
		"a result":                    {200, `{"result":{"a":1},"time":{"start":1,"finish":2.5,"duration":1.5}}`, `{"a":1}`, portal.Done},
		"an empty result":             {200, `{"result":[],"time":[]}`, `[]`, portal.Done},
		"a null result":               {200, `{"result":null}`, `null`, portal.Done},
		"an error":                    {400, `{"error":"NOT_FOUND","error_description":"x"}`, `NOT_FOUND`, portal.Failed},
		"a numeric code":              {400, `{"error":100,"error_description":"x"}`, `100`, portal.Failed},
		"code zero":                   {400, `{"error":0,"error_description":"x"}`, `0`, portal.Failed},
		"an empty code":               {400, `{"error":"","error_description":"x"}`, ``, portal.Failed},
		"an error with status 200":    {200, `{"error":"X","error_description":"x"}`, `X`, portal.Failed},
		"a gateway's page":            {502, `<html>`, ``, portal.Unknown},
		"a forbidden page":            {403, `<html>`, ``, portal.Unknown},
		"half an answer":              {200, `{"result":{"ite`, ``, portal.Unknown},
		"nothing":                     {200, ``, ``, portal.Unknown},
		"JSON of another kind":        {200, `[1,2]`, ``, portal.Unknown},
		"no result":                   {200, `{"time":{}}`, ``, portal.Unknown},
		"a result with status 500":    {500, `{"result":true}`, ``, portal.Unknown},
		"an error object (REST 3.0)":  {400, `{"error":{"code":"X"}}`, ``, portal.Failed},
		"a limit with HTML beside it": {503, `{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many<br>requests"}`, `QUERY_LIMIT_EXCEEDED`, portal.Refused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, fault := portal.AnswerOf("crm.item.get", tt.status, []byte(tt.body))
			got, verdict := string(result.Value), portal.Done
			if fault != nil {
				got, verdict = fault.Code, fault.Verdict
			}
			if got != tt.want || verdict != tt.verdict {
				t.Errorf("got %q (%s), want %q (%s)", got, verdict, tt.want, tt.verdict)
			}
		})
	}
}

func TestAnswerOf_errorsArePrintable(t *testing.T) {
	t.Parallel()
	const body = `{"error":"A\u001b[2J","error_description":"a\u0007\u009b31m<br>b\r\n","argument":"x\u202e"}`
	_, fault := portal.AnswerOf("crm.item.get", 400, []byte(body))
	want := &portal.Error{
		Method: "crm.item.get", Status: 400, Code: "A [2J", Message: "a  31m; b", Argument: "x ", Verdict: portal.Failed,
	}
	if diff := cmp.Diff(want, fault); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestBatchReplies(t *testing.T) {
	t.Parallel()
	const value = `{"result":{"c0":{"item":{"id":1}}},"result_error":{"c1":{"error":"NOT_FOUND","error_description":"x"},` +
		`"c2":{"error":"","error_description":""}},"result_total":{"c0":"7"},"result_next":[],` +
		`"result_time":{"c0":{"duration":"0.5","operating":1,"operating_reset_at":110,"finish":100.0}}}`
	replies, fault := portal.BatchReplies(4, json.RawMessage(value), false)
	if fault != nil {
		t.Fatal(fault)
	}
	got := make([]string, 0, len(replies))
	for _, r := range replies {
		if r.Err != nil {
			got = append(got, string(r.Err.Verdict)+" "+r.Err.Code)
		} else {
			got = append(got, string(r.Result.Value))
		}
	}
	if diff := cmp.Diff([]string{`{"item":{"id":1}}`, "failed NOT_FOUND", "failed ", "unknown "}, got); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	if r := replies[0].Result; r.Total != 7 || r.Time.Duration.Seconds() != 0.5 || !r.Time.Metered || r.Time.Resets.Seconds() != 10 {
		t.Errorf("figures %+v", r)
	}
	for name, empty := range map[string]string{"all maps empty": `{"result":[],"result_error":[],"result_total":[],"result_next":[],"result_time":[]}`, "nothing at all": `[]`} {
		replies, fault := portal.BatchReplies(1, json.RawMessage(empty), true)
		if name == "nothing at all" && fault != nil {
			continue // not a batch's answer
		}
		if fault != nil || replies[0].Err == nil || replies[0].Err.Verdict != portal.Refused {
			t.Errorf("%s: got %+v, %v; want a command that was not reached", name, replies, fault)
		}
	}
}
