package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// rawCall writes the command of a raw call: a method that the job names, with
// parameters under names with PHP's brackets (params.fields[TITLE]).
func rawCall(command engine.Command) (call, error) {
	method, _ := command.Fields[engine.CallMethod].(string)
	if method == "" {
		return call{}, errors.New("a call has no method")
	}
	c := call{Method: method, Params: map[string]any{}}
	names := make([]string, 0, len(command.Fields))
	for name := range command.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path, ok := strings.CutPrefix(name, "params.")
		if !ok {
			continue
		}
		value := command.Fields[name]
		if value == nil {
			value = ""
		}
		if err := setParam(c.Params, strings.FieldsFunc(path, func(r rune) bool { return r == '[' || r == ']' }), value); err != nil {
			return call{}, fmt.Errorf("%s: %s: %w", method, path, err)
		}
	}
	return c, nil
}

func setParam(params map[string]any, path []string, value any) error {
	switch len(path) {
	case 0:
		return errors.New("a parameter has no name")
	case 1:
		params[path[0]] = value
		return nil
	}
	below, ok := params[path[0]].(map[string]any)
	if !ok {
		if _, given := params[path[0]]; given {
			return errors.New("it is given both as a value and with keys below it")
		}
		below = map[string]any{}
		params[path[0]] = below
	}
	return setParam(below, path[1:], value)
}

// settleCall is the outcome of a raw call that was done, with its answer.
func settleCall(command engine.Command, answer json.RawMessage) *engine.Item {
	id, _ := command.Fields["id"].(int64)
	if id == 0 {
		id, _ = strconv.ParseInt(fmt.Sprint(command.Fields["id"]), 10, 64)
	}
	return &engine.Item{ID: id, Fields: map[string]any{"result": string(answer)}}
}
