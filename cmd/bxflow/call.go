package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine/report"
)

func newCallCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "call METHOD [K=V…]",
		Short: "Call one REST method and print its result",
		Long: `Call one REST method, at the speed that the portal allows, and print its
result as JSON. Parameters are K=V, nested ones with brackets; a value that is
JSON ([1,2], {"a":1}, null) is sent as such where it is written as K:=V. A call
may write: nothing asks, and no journal is kept.`,
		Example: `  bxflow call server.time --portal sandbox
  bxflow call crm.item.list entityTypeId=3 'select[]=id' start=-1 --portal sandbox
  bxflow call crm.item.list --json request.json --portal sandbox`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			params, err := a.callParams(file, args[1:])
			if err != nil {
				return err
			}
			return a.withPortal(c.Context(), func(ctx context.Context, s *session) error {
				result, err := s.Call(ctx, args[0], params)
				if err != nil {
					return err
				}
				return a.printJSON(result.Value)
			})
		},
	}
	c.Flags().StringVar(&file, "json", "", "`file` with the parameters as one JSON object; - is standard input")
	return c
}

// callParams are the parameters of a call, from a file or from arguments.
func (a *app) callParams(file string, pairs []string) (map[string]any, error) {
	params := map[string]any{}
	if file != "" {
		text, err := a.readInput(file)
		if err != nil {
			return nil, usage("--json: %w", err)
		}
		err = wholeJSON(text, &params)
		if err == nil && params == nil {
			err = errors.New("it is null")
		}
		if err != nil {
			return nil, usage("--json %s: %w; want one JSON object", file, err)
		}
	}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || name == ":" {
			return nil, usage("%q is not name=value", pair)
		}
		if err := setParam(params, name, value); err != nil {
			return nil, err
		}
	}
	return params, nil
}

// wholeJSON reads a text that is one JSON value and nothing else.
func wholeJSON(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the value")
	}
	return nil
}

// readInput reads a file, or standard input for "-".
func (a *app) readInput(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(file) //nolint:gosec // the user's own file, by the name on the command line
}

// setParam sets name, with PHP's brackets for nesting (filter[>id], select[]),
// to a text, or to JSON where the name ends with a colon.
func setParam(params map[string]any, name, text string) error {
	var value any = text
	if path, isJSON := strings.CutSuffix(name, ":"); isJSON {
		if err := wholeJSON([]byte(text), &value); err != nil {
			return usage("%q: %w; quote it for the shell, or use = for text", name, err)
		}
		name = path
	}
	head, rest, nested := strings.Cut(name, "[")
	if !nested {
		params[name] = value
		return nil
	}
	rest, closed := strings.CutSuffix(rest, "]")
	if !closed || head == "" {
		return usage("%q: its brackets don't close; write filter[name]", name)
	}
	return setPath(params, append([]string{head}, strings.Split(rest, "][")...), value)
}

// setPath walks down a path of keys; an empty last key appends to a list.
func setPath(params map[string]any, path []string, value any) error {
	key := path[0]
	switch {
	case len(path) == 1:
		params[key] = value
		return nil
	case path[1] == "" && len(path) == 2:
		list, ok := params[key].([]any)
		if _, given := params[key]; given && !ok {
			return usage("%s is given both as a value and as a list", key)
		}
		params[key] = append(list, value)
		return nil
	case path[1] == "":
		return usage("%s[]: an empty key can only come last; number it", key)
	}
	below, ok := params[key].(map[string]any)
	if !ok {
		if _, given := params[key]; given {
			return usage("%s is given both as a value and with keys below it", key)
		}
		below = map[string]any{}
		params[key] = below
	}
	return setPath(below, path[1:], value)
}

// printJSON prints a raw JSON value, indented.
func (a *app) printJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, report.CleanJSON(raw), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := a.stdout.Write(b.Bytes())
	return err
}
