package portal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Result is what a method answered.
type Result struct {
	Value json.RawMessage // the method's result
	Total int             // of a list, where it was counted; otherwise 0
	Next  int             // offset of a list's next page; 0: there is none
	Time  Timing
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
	if err != nil || f != f {
		f = 0
	}
	*n = number(f)
	return nil
}

// whole is the number as an id or a count. A damaged answer may hold any number;
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
	*o = object{}
	if len(raw) == 0 || raw[0] != '[' {
		m := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		*o = m
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for i, v := range list {
		(*o)[strconv.Itoa(i)] = v
	}
	return nil
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
	var envelope struct {
		Result json.RawMessage `json:"result"`
		Total  number          `json:"total"`
		Next   number          `json:"next"`
		Time   json.RawMessage `json:"time"`
		fault
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return Result{}, &Error{Method: method, Status: status, Verdict: Unknown, Message: "the answer is not JSON"}
	}
	if envelope.Code != nil && (status != http.StatusOK || *envelope.Code != "" || envelope.Result == nil) {
		return Result{}, faultError(method, status, envelope.fault)
	}
	if status != http.StatusOK || envelope.Result == nil {
		return Result{}, &Error{Method: method, Status: status, Verdict: Unknown, Message: "the answer has neither result nor error"}
	}
	return Result{
		Value: envelope.Result, Total: envelope.Total.whole(), Next: envelope.Next.whole(),
		Time: decodeTiming(envelope.Time),
	}, nil
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

// batchAnswer holds the five maps of a batch's answer ("Batch execution" of the
// REST guide).
type batchAnswer struct {
	Result object `json:"result"`
	Errors object `json:"result_error"`
	Totals object `json:"result_total"`
	Nexts  object `json:"result_next"`
	Times  object `json:"result_time"`
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
	var answer batchAnswer
	if err := json.Unmarshal(value, &answer); err != nil {
		return nil, &Error{Method: methodBatch, Status: http.StatusOK, Verdict: Unknown, Message: "the answer is not a batch's"}
	}
	replies := make([]reply, len(calls))
	for i, c := range calls {
		name := c.name(i)
		result, ok := answer.Result[name]
		if raw, failed := answer.Errors[name]; failed {
			replies[i] = reply{Err: nestedFault(c.Method, raw)}
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
			Value: result, Total: intOf(answer.Totals[name]), Next: intOf(answer.Nexts[name]),
			Time: decodeTiming(answer.Times[name]),
		}}
	}
	return replies, nil
}

func nestedFault(method string, raw json.RawMessage) *Error {
	var f fault
	if err := json.Unmarshal(raw, &f); err != nil {
		// Some handlers give the text alone.
		var t text
		if t.UnmarshalJSON(raw) != nil {
			t = ""
		}
		f.Message = t
	}
	return faultError(method, 0, f)
}

func intOf(raw json.RawMessage) int {
	var n number
	if len(raw) == 0 || n.UnmarshalJSON(raw) != nil {
		return 0
	}
	return n.whole()
}
