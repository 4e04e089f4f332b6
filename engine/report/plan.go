package report

import (
	"maps"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Plan is a plan to be shown: its header, and where its changes are read from.
type Plan struct {
	Header  *engine.Header
	Changes engine.Changes
	// Catalog gives names beside ids; without it there are only ids.
	Catalog *engine.Catalog
	// Rows is how many changes, problems and skipped rows the text shows of
	// each; 0 is all of them.
	Rows int
	// All adds the unchanged to what is listed.
	All bool
	// Searches has the text tell how items were looked up.
	Searches bool
	// Broken are the guards of the job that the plan breaks.
	Broken []string
	// Next is the command to be typed next, shown at the end of the text.
	Next string
}

// listed are the kinds that a plan lists in JSON, HTML and CSV.
func (p Plan) listed() engine.Filter {
	if p.All {
		return engine.Filter{}
	}
	return engine.Filter{Kinds: []engine.Kind{
		engine.KindCreate, engine.KindUpdate, engine.KindMove, engine.KindDelete,
		engine.KindSkip, engine.KindInvalid, engine.KindConflict,
	}}
}

// problem is what is wrong with a change, or why it does nothing.
func problem(c *engine.Change) string {
	if c.Error != "" {
		return c.Error
	}
	return c.Reason
}

// fields are the names of the fields that a change sets, in order.
func fields(c *engine.Change) []string {
	return slices.Sorted(maps.Keys(c.Fields))
}

// told are the fields that people are told of: all but those by which bxflow
// finds an item again that it made.
func (p Plan) told(c *engine.Change) []string {
	n := names{p.Catalog}
	keys := slices.DeleteFunc(fields(c), func(name string) bool {
		if c.TypeID == engine.TypeCall {
			return name == "id" // a number of bxflow's own
		}
		if c.Kind == engine.KindDelete { // the whole item goes; what it is called is enough
			return name != "title" && name != "name" && name != "lastName"
		}
		return c.Kind == engine.KindCreate && (name == c.KeyField || name == "originatorId" && c.Fields[name].After == "bxflow")
	})
	slices.SortStableFunc(keys, func(a, b string) int {
		return strings.Compare(strings.ToLower(n.label(c.TypeID, a)), strings.ToLower(n.label(c.TypeID, b)))
	})
	return keys
}
