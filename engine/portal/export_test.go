package portal

import (
	"encoding/json"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// What tests look at from inside.

// BatchQuery is a call as a command of a batch.
func BatchQuery(method string, params map[string]any) (string, bool) {
	return batchQuery(call{Method: method, Params: params})
}

// BatchBody is the body of a batch with one command.
func BatchBody(command string) []byte { return batchBody([]string{"c0"}, []string{command}, false) }

// Classify decides what an error means.
func Classify(method string, status int, code string) Verdict { return classify(method, status, code) }

// AnswerOf reads an HTTP answer.
func AnswerOf(method string, status int, body []byte) (Result, *Error) {
	return answerOf(method, status, body)
}

// BatchReplies reads the result of a batch of n calls.
func BatchReplies(n int, value json.RawMessage, halt bool) ([]Reply, *Error) {
	calls := make([]call, n)
	for i := range calls {
		calls[i].Method = "crm.item.add"
	}
	replies, fault := batchReplies(calls, value, halt)
	out := make([]Reply, 0, len(replies))
	for _, r := range replies {
		out = append(out, Reply(r))
	}
	return out, fault
}

// DecodeItem reads an item as crm.item.* prints it, from an answer that is JSON.
func DecodeItem(e *engine.Entity, raw json.RawMessage, keepEmpty bool) (engine.Item, bool) {
	if !json.Valid(raw) {
		return engine.Item{}, false
	}
	return decodeItem(e, raw, keepEmpty)
}

// CatalogKept is how long a catalog serves again.
const CatalogKept time.Duration = catalogKept

// Members cuts an object into its members.
func Members(raw []byte) map[string]json.RawMessage { return objectOf(raw) }
