package portal

import (
	"encoding/json"
	"fmt"

	"github.com/bxflow/bxflow/engine"
)

// mergeCall writes the command that has an item go into another one: the first of
// the ids is that of the one that stays (crm.entity.mergeBatch).
func mergeCall(command engine.Command) (call, error) {
	if command.ID <= 0 || command.Into <= 0 || command.ID == command.Into {
		return call{}, fmt.Errorf("%s %d can't go into %d", command.Entity.Name, command.ID, command.Into)
	}
	return call{Method: methodMerge, Params: map[string]any{
		"params": map[string]any{"entityTypeId": command.Entity.TypeID, "entityIds": []any{command.Into, command.ID}},
	}}, nil
}

// settleMerge is the outcome of a merge that the portal answered: done, or nothing
// was done, since values conflict that only a person can choose from, or since the
// user may not change or delete these items.
func settleMerge(command engine.Command, answer json.RawMessage, o *engine.Outcome) {
	var result struct {
		Status string `json:"STATUS"`
	}
	err := json.Unmarshal(answer, &result)
	switch {
	case err == nil && result.Status == "SUCCESS":
	case err == nil && result.Status == "CONFLICT":
		o.Kind = engine.OutcomeConflict
		o.Message = fmt.Sprintf("the portal wants a person to choose between the values of %s %d and %d; merge them on its page /crm/%s/merge/?id=%d,%d",
			command.Entity.Name, command.Into, command.ID, command.Entity.OwnerType(), command.Into, command.ID)
	case err == nil && result.Status == "ERROR":
		o.Kind, o.Code = engine.OutcomeFailed, result.Status
		o.Message = fmt.Sprintf("the portal could not merge %s %d into %d; may the user change and delete both?", command.Entity.Name, command.ID, command.Into)
	default:
		o.Kind, o.Message = engine.OutcomeUnknown, "the answer does not say whether the items were merged"
	}
}
