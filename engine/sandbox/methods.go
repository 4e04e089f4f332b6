package sandbox

import (
	"context"
	"slices"
	"strings"
	"time"
)

// method is one REST method. run is called with the store locked, for writing
// where writes is set, else for reading. Its result is put under "result" as it
// is; see [appendJSON] for the types that it may consist of.
type method struct {
	name   string // as documented: crm.item.batchImport
	scope  string // what the webhook must have been given; empty: nothing
	writes bool
	run    func(c *call) (any, *apiError)
}

// allMethods is the list of everything that the portal can do.
func allMethods() []method {
	return slices.Concat(
		itemMethods(),
		otherMethods(),
	)
}

// call is one command on its way through a method.
type call struct {
	ctx    context.Context // a call lives as long as its command
	portal *Portal
	store  *store
	params *array
	cause  cause
	user   int64         // who the webhook or token belongs to
	lag    time.Duration // how long lists don't show what the call makes

	total *int64 // beside the result of a list
	next  *int64 // only where there is another page
}

// apiError is a refusal, in the portal's own words. Texts are the documented
// English ones; clients go by the code, the status and the method.
type apiError struct {
	status int
	code   string
	text   string
	extra  object
}

// fault makes an apiError.
func fault(status int, code, text string) *apiError {
	return &apiError{status: status, code: code, text: text}
}

func (e *apiError) body() object {
	return append(object{{"error", e.code}, {"error_description", e.text}}, e.extra...)
}

// Error implements error, for tests and logs.
func (e *apiError) Error() string { return e.code + ": " + e.text }

// missing is the refusal of a controller method that lacks a parameter.
func missing(name string) *apiError {
	return fault(400, "100", "Could not find value for parameter {"+name+"}")
}

// mismatch is the refusal of a controller method whose parameter has the wrong type.
func mismatch(raw any, name, want string) *apiError {
	return fault(400, "100", "Invalid value {"+textOf(raw)+"} to match with parameter {"+name+"}. Should be value of type "+want+".")
}

// int returns an integer parameter of a controller method; names are exact.
func (c *call) int(name string) (int64, *apiError) {
	raw, ok := c.params.get(name)
	if !ok || raw == nil {
		return 0, missing(name)
	}
	if !isNumeric(raw) {
		return 0, mismatch(raw, name, "int")
	}
	return intOf(floatOrInt(raw)), nil
}

// floatOrInt reads "12.0" as 12, as PHP does where an int is declared.
func floatOrInt(raw any) any {
	if s, ok := raw.(string); ok && strings.ContainsAny(s, ".eE") {
		return floatOf(raw)
	}
	return raw
}

// optInt is [call.int] for a parameter that may be left out.
func (c *call) optInt(name string, otherwise int64) (int64, *apiError) {
	if raw, ok := c.params.get(name); !ok || raw == nil || raw == "" {
		return otherwise, nil
	}
	return c.int(name)
}

// array returns an array parameter of a controller method.
func (c *call) array(name string) (*array, *apiError) {
	raw, ok := c.params.get(name)
	if !ok || raw == nil {
		return nil, missing(name)
	}
	a, ok := raw.(*array)
	if !ok {
		return nil, mismatch(raw, name, "array")
	}
	return a, nil
}

// optArray is [call.array] for a parameter that may be left out: nil then.
func (c *call) optArray(name string) (*array, *apiError) {
	if raw, ok := c.params.get(name); !ok || raw == nil {
		return nil, nil // a nil array is an empty one
	}
	return c.array(name)
}

// text returns a string parameter of a controller method.
func (c *call) text(name string) (string, *apiError) {
	raw, ok := c.params.get(name)
	if !ok || raw == nil {
		return "", missing(name)
	}
	switch raw.(type) {
	case string, int64, float64:
		return textOf(raw), nil
	default:
		return "", mismatch(raw, name, "string")
	}
}

// original reads useOriginalUfNames, a string that is compared with "Y".
func (c *call) original() (bool, *apiError) {
	raw, ok := c.params.get("useOriginalUfNames")
	if !ok || raw == nil {
		return false, nil
	}
	if b, isBool := raw.(bool); isBool {
		return false, mismatch(b, "useOriginalUfNames", "string")
	}
	return textOf(raw) == "Y", nil
}

// old returns a parameter of an old method, whose names come in any case.
func (c *call) old(names ...string) (any, bool) {
	for key, val := range c.params.all() {
		for _, n := range names {
			if strings.EqualFold(key, n) {
				return val, true
			}
		}
	}
	return nil, false
}

// oldInt is [call.old] as PHP casts it to an integer; 0 where it is missing.
func (c *call) oldInt(names ...string) int64 {
	raw, _ := c.old(names...)
	return intOf(raw)
}

// oldArray is [call.old] where an array is wanted; nil where it isn't one.
func (c *call) oldArray(names ...string) *array {
	raw, _ := c.old(names...)
	a, _ := raw.(*array) // nil is the answer then
	return a
}

// pageSize is how many rows a list method returns, fixed (limits of list methods).
const pageSize = 50

// start reads the start parameter of a list: the offset, rounded down to a
// whole page, and false where no counting is wanted (start=-1).
func (c *call) start() (offset int64, count bool, err *apiError) {
	n, err := c.optInt("start", 0)
	if err != nil {
		return 0, false, err
	}
	if n < 0 {
		return 0, false, nil
	}
	return n / pageSize * pageSize, true, nil
}

// paged notes the size of a list and the start of its next page.
func (c *call) paged(total, offset, shown int64) {
	c.total = &total
	if next := offset + shown; shown > 0 && next < total {
		c.next = &next
	}
}
