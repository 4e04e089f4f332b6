package portal

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const (
	// methodBatchImport makes several items that robots and workflows don't see.
	methodBatchImport = "crm.item.batchImport"
	// maxImport is how many rows it takes.
	maxImport = 20
)

// group is one call of a request, with the commands that are in it.
type group struct {
	call      call
	rows      []int // indexes among the request's commands
	variables int   // values that the rows hold
}

// grouping gathers the imports of one entity into calls of
// crm.item.batchImport, as many as one request carries; every other command is a
// call of its own.
type grouping struct {
	single bool // crm.item.import stays a call of its own
	groups []group
	open   map[any]int // the last group of imports, by entity
}

// add takes one more command in, unless the request is full.
func (g *grouping) add(c call, i int) bool {
	imports := c.Method == methodBatchImport || (c.Method == methodImport && !g.single)
	entity := c.Params["entityTypeId"]
	if at, ok := g.open[entity]; ok && imports && g.groups[at].add(c, i) {
		return true
	}
	if len(g.groups) == maxBatch {
		return false
	}
	if !imports {
		g.groups = append(g.groups, group{call: c, rows: []int{i}})
		return true
	}
	one := group{call: call{Method: methodBatchImport, Params: map[string]any{
		"entityTypeId": entity, "data": map[string]any{}, "useOriginalUfNames": "N",
	}}}
	one.add(c, i)
	if g.open == nil {
		g.open = map[any]int{}
	}
	g.open[entity] = len(g.groups)
	g.groups = append(g.groups, one)
	return true
}

// groups makes the calls of a request of its commands, which it can carry.
func groups(calls []call) []group {
	g := grouping{single: true} // those that share calls are marked
	for i, c := range calls {
		g.add(c, i)
	}
	return g.groups
}

// add takes one more row in, unless the call would get too large. Rows are keyed
// in the request, and so in the answer.
func (g *group) add(c call, i int) bool {
	data, ok := g.call.Params["data"].(map[string]any)
	size := variables(c.Params["fields"])
	if !ok || len(g.rows) == maxImport || (len(g.rows) > 0 && g.variables+size > maxVariables-10) {
		return false
	}
	data[rowKey(len(g.rows))] = c.Params["fields"]
	g.variables += size
	g.rows = append(g.rows, i)
	return true
}

// rowKey has two digits, so that rows are sent in their order.
func rowKey(i int) string { return fmt.Sprintf("r%02d", i) }

// variables counts the values in a parameter.
func variables(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		for _, e := range v {
			n += variables(e)
		}
	case []any:
		for _, e := range v {
			n += variables(e)
		}
	default:
		n = 1
	}
	return n
}

// markImports has the imports of an entity share calls, where there are several
// that can travel in a batch.
func markImports(calls []call) {
	count := map[any]int{}
	for _, c := range calls {
		if c.Method == methodImport {
			count[c.Params["entityTypeId"]]++
		}
	}
	for i, c := range calls {
		if c.Method == methodImport && count[c.Params["entityTypeId"]] > 1 {
			calls[i].Method = methodBatchImport
		}
	}
}

// spread gives each command of a group its own reply. The answer has a result or
// an error for each row, by its key; older builds answer with a list.
func (g group) spread(r reply) []reply {
	replies := make([]reply, len(g.rows))
	for i := range replies {
		replies[i] = r
	}
	if g.call.Method != methodBatchImport || r.Err != nil {
		return replies
	}
	var answer struct {
		Items object `json:"items"`
	}
	if json.Unmarshal(r.Result.Value, &answer) != nil {
		answer.Items = object{}
	}
	for i := range replies {
		raw, ok := answer.Items[rowKey(i)]
		if !ok && len(answer.Items) == len(g.rows) {
			raw, ok = answer.Items[strconv.Itoa(i)]
		}
		replies[i] = rowReply(raw, ok)
		replies[i].Result.Time.Duration = r.Result.Time.Duration / time.Duration(len(g.rows))
	}
	return replies
}

func rowReply(raw json.RawMessage, ok bool) reply {
	var row struct {
		Item json.RawMessage `json:"item"`
	}
	if !ok || json.Unmarshal(raw, &row) != nil {
		return reply{Err: &Error{Method: methodBatchImport, Verdict: Unknown, Message: "the answer leaves the row out"}}
	}
	if isNull(row.Item) {
		f := faultOf(raw)
		if f.Code == nil {
			return reply{Err: &Error{Method: methodBatchImport, Verdict: Unknown, Message: "the answer names neither an item of the row nor an error"}}
		}
		return reply{Err: faultError(methodBatchImport, 0, f)}
	}
	return reply{Result: Result{Value: raw}}
}

// unsupported says whether a portal has no crm.item.batchImport: self-hosted
// ones may be older than the method.
func (g group) unsupported(r reply) bool {
	return g.call.Method == methodBatchImport && r.Err != nil && r.Err.Code == "ERROR_METHOD_NOT_FOUND"
}
