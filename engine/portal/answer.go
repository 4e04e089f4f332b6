package portal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Result is what a method answered.
type Result struct {
	Value json.RawMessage // the method's result
	Total int             // of a list, where it was counted; otherwise 0
	Next  int             // offset of a list's next page; 0: there is none
	Time  Timing
	// Sent and Answered are when the request left and when its answer was here, by
	// this machine's clock; zero for a command of a batch.
	Sent, Answered time.Time
}

// Timing is the portal's account of one call. All of it is optional: self-hosted
// portals don't meter, and builds differ in what they print.
type Timing struct {
	Duration   time.Duration // what the call took on the portal's side
	Metered    bool          // whether the portal reported operating
	Operating  time.Duration // execution time of the method in the portal's window, this call included
	Resets     time.Duration // from the answer until the oldest part of Operating is forgotten
	FinishedAt float64       // the portal's clock, Unix seconds
}

// text is a value that the portal writes as text, number, boolean or null.
type text string

// UnmarshalJSON accepts any scalar; other values leave the text empty.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if raw[0] != '"' {
		*t = text(raw)
		return nil
	}
	if plain := raw[1:max(1, len(raw)-1)]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		*t = text(plain) // nothing to be unescaped, as in most values of an answer
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*t = text(s)
	return nil
}

// number is a number that may be written as text; anything else is 0.
type number float64

// UnmarshalJSON accepts 5, "5", "" and null.
func (n *number) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	*n = number(f)
	return nil
}

// whole is the number as a small id or a count. A damaged answer may hold any number;
// none of them wraps round.
func (n number) whole() int {
	const most = 1 << 53
	return int(max(-most, min(n, most)))
}

// object is a JSON object. An empty one may come as [], as PHP writes an empty
// array; a list gets its indexes as keys.
type object map[string]json.RawMessage

// UnmarshalJSON accepts {}, [], [1,2] and null.
func (o *object) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || (raw[0] != '[' && raw[0] != '{' && raw[0] != 'n') {
		return errors.New("neither an object nor a list")
	}
	*o = objectOf(bytes.Clone(raw)) // the caller's text is not ours to keep
	return nil
}

// objectOf is the object that a checked text holds, empty if it holds none. Its
// members are parts of the text.
func objectOf(raw []byte) object {
	o := object{}
	for key, value := range members(raw) {
		if key == nil {
			o[strconv.Itoa(len(o))] = value
		} else {
			o[string(key)] = value
		}
	}
	return o
}

// values are the members in the order of a list: PHP writes a list with a gap
// as an object.
func (o object) values() []json.RawMessage {
	keys := slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		return cmp.Or(len(a)-len(b), strings.Compare(a, b)) // numbers, by size
	})
	list := make([]json.RawMessage, 0, len(keys))
	for _, k := range keys {
		list = append(list, o[k])
	}
	return list
}

// timing is the wire form of [Timing].
type timing struct {
	Finish    number  `json:"finish"`
	Duration  number  `json:"duration"`
	Process   number  `json:"processing"`
	Operating *number `json:"operating"`
	ResetAt   number  `json:"operating_reset_at"`
}

func (t timing) value() Timing {
	v := Timing{Duration: seconds(float64(max(t.Duration, t.Process))), FinishedAt: float64(t.Finish)}
	if t.Operating != nil {
		v.Metered, v.Operating = true, seconds(float64(*t.Operating))
		if t.ResetAt > t.Finish && t.Finish > 0 {
			v.Resets = seconds(float64(t.ResetAt - t.Finish))
		}
	}
	return v
}

// seconds is a duration of s seconds; absurd figures become 0 or a day.
func seconds(s float64) time.Duration {
	if s <= 0 || s != s {
		return 0
	}
	return time.Duration(min(s, 86400) * float64(time.Second))
}

// decodeTiming reads a time object; PHP writes an empty one as [].
func decodeTiming(raw json.RawMessage) Timing {
	var t timing
	if len(raw) == 0 || json.Unmarshal(raw, &t) != nil {
		return Timing{}
	}
	return t.value()
}

// fault is an error as the portal writes it: beside result, or in result_error.
type fault struct {
	Code     *text `json:"error"`
	Message  text  `json:"error_description"`
	Argument text  `json:"argument"`
}

// answerOf turns an HTTP answer into a result or an *Error. A body that is not
// the portal's JSON (a gateway's page, half an answer) proves nothing: unknown.
func answerOf(method string, status int, body []byte) (Result, *Error) {
	if body = bytes.TrimSpace(body); !json.Valid(body) || body[0] != '{' {
		return Result{}, &Error{Method: method, Status: status, Verdict: Unknown, Message: "the answer is not JSON"}
	}
	envelope := objectOf(body)
	result, answered := envelope["result"]
	if code, refused := envelope["error"]; refused && !isNull(code) && (status != http.StatusOK || string(code) != `""` || !answered) {
		return Result{}, faultError(method, status, faultOf(body))
	}
	if status != http.StatusOK || !answered {
		return Result{}, &Error{Method: method, Status: status, Verdict: Unknown, Message: "the answer has neither result nor error"}
	}
	return Result{
		Value: result, Total: intOf(envelope["total"]), Next: intOf(envelope["next"]), Time: decodeTiming(envelope["time"]),
	}, nil
}

// faultOf reads an error; one that is no object is its text alone, as some
// handlers give it.
func faultOf(raw json.RawMessage) fault {
	var f fault
	if json.Unmarshal(raw, &f) != nil && f.Message.UnmarshalJSON(raw) != nil {
		f.Message = ""
	}
	return f
}

func faultError(method string, status int, f fault) *Error {
	code := ""
	if f.Code != nil {
		code = printable(string(*f.Code))
	}
	return &Error{
		Method: method, Status: status, Code: code, Verdict: classify(method, status, code),
		Message: plainText(string(f.Message)), Argument: printable(string(f.Argument)),
	}
}

// plainText makes one line of a message that may hold <br> and line breaks.
func plainText(message string) string {
	message = strings.NewReplacer("<br>", "; ", "<br/>", "; ", "<br />", "; ", "\r", "", "\n", "; ").Replace(message)
	return strings.TrimSuffix(strings.TrimSpace(printable(message)), ";")
}

// printable puts a space in place of each character that a terminal would obey
// instead of show: whoever answers in the portal's place must not write escape
// sequences to it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// batchMaps are the maps of a batch's answer by their names: result,
// result_error, result_total, result_next and result_time ("Batch execution" of
// the REST guide). ok is false for an answer of another shape.
func batchMaps(value json.RawMessage) (maps map[string]object, ok bool) {
	if value = bytes.TrimSpace(value); len(value) == 0 || (value[0] != '{' && !isNull(value)) {
		return nil, false
	}
	maps = map[string]object{}
	for key, raw := range members(value) {
		switch name := string(key); name {
		case "result", "result_error", "result_total", "result_next", "result_time":
			if raw[0] != '{' && raw[0] != '[' && !isNull(raw) {
				return nil, false
			}
			maps[name] = objectOf(raw)
		}
	}
	return maps, true
}

// reply is what became of one command: a result, or an error.
type reply struct {
	Result Result
	Err    *Error
}

// batchReplies takes a batch's answer apart, in the order of calls, which were
// named by [call.name]. A command that is in no map was not reached if the
// batch stops at errors; otherwise nobody knows.
func batchReplies(calls []call, value json.RawMessage, halt bool) ([]reply, *Error) {
	answer, ok := batchMaps(value)
	if !ok {
		return nil, &Error{Method: methodBatch, Status: http.StatusOK, Verdict: Unknown, Message: "the answer is not a batch's"}
	}
	replies := make([]reply, len(calls))
	for i, c := range calls {
		name := c.name(i)
		result, ok := answer["result"][name]
		if raw, failed := answer["result_error"][name]; failed {
			replies[i] = reply{Err: faultError(c.Method, 0, faultOf(raw))}
			continue
		}
		if !ok {
			verdict := Unknown
			if halt {
				verdict = Refused
			}
			replies[i] = reply{Err: &Error{Method: c.Method, Verdict: verdict, Message: "the batch's answer leaves the command out"}}
			continue
		}
		replies[i] = reply{Result: Result{
			Value: result, Total: intOf(answer["result_total"][name]), Next: intOf(answer["result_next"][name]),
			Time: decodeTiming(answer["result_time"][name]),
		}}
	}
	return replies, nil
}

func intOf(raw json.RawMessage) int {
	var n number
	if len(raw) == 0 || n.UnmarshalJSON(raw) != nil {
		return 0
	}
	return n.whole()
}

// idOf is an item's id, to its last digit: rounded it would be another's. What is no
// id is 0.
func idOf(raw json.RawMessage) int64 {
	s, _ := scalar(raw)
	id, _ := integer(s, false).(int64)
	return max(0, id)
}
