package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// exchange is one documented request, in our own values, with the shape of its
// documented answer or the code of its documented error.
//
// A shape is an object of shapes, a list with the shape of its elements (an
// empty list stands for any list), or a word: number, boolean, string, digits
// (a number as text), flag (Y or N), moment (a time with its offset), any. A
// question mark at its end admits null. An object with no members stands for any
// object.
type exchange struct {
	Method string          `json:"method"`
	Page   string          `json:"page"`
	Given  []request       `json:"given"`
	Params json.RawMessage `json:"params"`
	Result any             `json:"result"`
	Beside []string        `json:"beside"` // members beside result
	Error  *string         `json:"error"`
	Status int             `json:"status"`
}

type request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func TestDocumentedShapes(t *testing.T) {
	t.Parallel()

	raw, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		t.Fatal(err)
	}
	var exchanges []exchange
	if err := json.Unmarshal(raw, &exchanges); err != nil {
		t.Fatal(err)
	}
	for i, x := range exchanges {
		name := fmt.Sprintf("%d %s", i, x.Method)
		if x.Error != nil {
			name += " error"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			portal := openPortal(t)
			for _, before := range x.Given {
				status, answer := ask(t, portal, before.Method, before.Params)
				if status != http.StatusOK {
					t.Fatalf("given %s: status %d: %v", before.Method, status, answer)
				}
			}
			status, answer := ask(t, portal, x.Method, x.Params)
			if x.Error != nil {
				checkRefusal(t, x, status, answer)
				return
			}
			checkAnswer(t, x, status, answer)
		})
	}
}

func checkRefusal(t *testing.T, x exchange, status int, answer map[string]any) {
	t.Helper()

	if got := answer["error"]; got != *x.Error {
		t.Errorf("error %v, want %q (%v)", got, *x.Error, answer["error_description"])
	}
	if text, ok := answer["error_description"].(string); !ok || text == "" {
		t.Errorf("error_description is %v", answer["error_description"])
	}
	if status != x.Status {
		t.Errorf("status %d, want %d", status, x.Status)
	}
	for _, name := range []string{"result", "time"} {
		if _, ok := answer[name]; ok {
			t.Errorf("an error has the member %q", name)
		}
	}
}

func checkAnswer(t *testing.T, x exchange, status int, answer map[string]any) {
	t.Helper()

	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, answer)
	}
	for _, fault := range mismatches("result", x.Result, answer["result"]) {
		t.Error(fault)
	}
	for _, name := range slices.Concat(x.Beside, []string{"time"}) {
		if _, ok := answer[name]; !ok {
			t.Errorf("no %q beside result", name)
		}
	}
	if _, ok := answer["total"]; ok != slices.Contains(x.Beside, "total") {
		t.Errorf("total beside result: %v", ok)
	}
}

var (
	momentPattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$`)
	digitsPattern = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
)

// mismatches lists where a value has another shape than the documentation says.
// Members that the documentation does not show are no fault: custom fields and
// relations differ from portal to portal.
func mismatches(path string, shape, value any) []string {
	var faults []string
	switch shape := shape.(type) {
	case map[string]any:
		object, ok := value.(map[string]any)
		if !ok {
			if list, isList := value.([]any); isList && len(list) == 0 && len(shape) == 0 {
				return nil // an empty object is written as a list
			}
			return []string{fmt.Sprintf("%s is %s, want an object", path, brief(value))}
		}
		for name, member := range shape {
			got, ok := object[name]
			if !ok {
				faults = append(faults, fmt.Sprintf("%s.%s is missing", path, name))
				continue
			}
			faults = append(faults, mismatches(path+"."+name, member, got)...)
		}
	case []any:
		list, ok := value.([]any)
		switch {
		case !ok:
			return []string{fmt.Sprintf("%s is %s, want a list", path, brief(value))}
		case len(shape) == 0:
		case len(list) == 0:
			return []string{path + " is empty"}
		default:
			for i, element := range list {
				faults = append(faults, mismatches(fmt.Sprintf("%s[%d]", path, i), shape[0], element)...)
			}
		}
	case string:
		if !fits(shape, value) {
			return []string{fmt.Sprintf("%s is %s, want %s", path, brief(value), shape)}
		}
	default:
		return []string{fmt.Sprintf("%s: the shape %v is none", path, shape)}
	}
	slices.Sort(faults)
	return faults
}

func fits(shape string, value any) bool {
	shape, nullable := strings.CutSuffix(shape, "?")
	if nullable && value == nil {
		return true
	}
	text, isText := value.(string)
	_, isNumber := value.(float64)
	_, isBool := value.(bool)
	switch shape {
	case "any":
		return true
	case "number":
		return isNumber
	case "boolean":
		return isBool
	case "string":
		return isText
	case "digits":
		return isText && digitsPattern.MatchString(text)
	case "flag":
		return text == "Y" || text == "N"
	case "moment":
		return isText && momentPattern.MatchString(text)
	default:
		return false
	}
}

func brief(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(raw[:min(len(raw), 80)])
}

func openPortal(t *testing.T) *sandbox.Portal {
	t.Helper()

	portal, err := sandbox.New(sandbox.Options{Seed: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := portal.Close(); err != nil {
			t.Error(err)
		}
	})
	return portal
}

// ask calls a method with JSON parameters and returns the decoded answer.
func ask(t *testing.T, portal *sandbox.Portal, method string, params json.RawMessage) (int, map[string]any) {
	t.Helper()

	client := http.Client{Transport: portal.Transport()}
	url := "http://portal.test/" + strings.Trim(portal.WebhookPath(), "/") + "/" + method
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(params))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v: %s", method, err, body)
	}
	return resp.StatusCode, answer
}
