package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// hook is a webhook as people write it where it does not belong.
const (
	hookSecret = "s3cr3tT0ken9"
	hook       = "https://a.test/rest/1/" + hookSecret + "/"
)

// checkUsage checks that an error is one of usage, which a person can mend.
func checkUsage(t *testing.T, err error) {
	t.Helper()
	if code := codeOf(t.Context(), err); code != exitUsage {
		t.Fatalf("exit %d: %v", code, err)
	}
	checkShown(t, explained(err))
}

// checkShown checks what goes to a terminal.
func checkShown(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if !strconv.IsPrint(r) && r != '\n' && r != '\t' {
			t.Fatalf("%q reaches a terminal: %q", r, text)
		}
	}
	if strings.Contains(text, hookSecret) {
		t.Fatalf("the secret is told: %s", text)
	}
}

// Of the parameters of a call, none is lost without a word: they are JSON, with
// each value where its name says.
func FuzzCallParams(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "a[b][]=1", "a[b][]=2"},
		{"{}", "a:={}", "a[b]=1"},
		{"null", "a=1", ""},
		{`{"a":1} x`, "[=", "a[]][=x"},
		{`[1]`, "a[b]c=1", ":="},
		{`{"a":[1]}`, "a[]:=[2]", "a=1"},
		{"", "a=1", "a[]=2"},
		{"", "a:=1 2", ""},
		{"", "a:=12345678901234567890", "b[c]:=null"},
		{"{", "a]=1", "a[b][c]=1"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	path := filepath.Join(f.TempDir(), "params.json")
	f.Fuzz(func(t *testing.T, file, first, second string) {
		name := ""
		if file != "" {
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			name = path
		}
		params, err := newApp().callParams(name, []string{first, second})
		if err != nil {
			checkUsage(t, err)
			return
		}
		if file != "" && !json.Valid([]byte(file)) {
			t.Fatalf("%q is taken for JSON", file)
		}
		if _, err := json.Marshal(params); err != nil {
			t.Fatalf("%q and %q are no JSON: %v", first, second, err)
		}
		for _, pair := range []string{first, second} {
			name, text, _ := strings.Cut(pair, "=")
			if path, isJSON := strings.CutSuffix(name, ":"); isJSON {
				if !json.Valid([]byte(text)) {
					t.Fatalf("%q is taken for JSON", pair)
				}
				name = path
			}
			if _, ok := params[strings.SplitN(name, "[", 2)[0]]; !ok {
				t.Fatalf("%q is not in %v", pair, params)
			}
		}
		one, other := nameOf(first), nameOf(second)
		if file != "" || strings.HasPrefix(one, other) {
			return // the later one replaces what was there
		}
		both := leaves("", params)
		for _, pair := range []string{first, second} {
			alone, err := newApp().callParams("", []string{pair})
			if err != nil {
				t.Fatalf("%q is refused alone: %v", pair, err)
			}
			for place, value := range leaves("", alone) {
				if list, ok := value.([]any); ok && strings.HasSuffix(nameOf(pair), "[]") {
					all, _ := both[place].([]any)
					if !slices.ContainsFunc(all, func(v any) bool { return cmp.Equal(v, list[0]) }) {
						t.Fatalf("%q and %q give %v: %s is lost", first, second, params, place)
					}
				} else if !cmp.Equal(both[place], value) && !strings.HasSuffix(nameOf(second), "[]") {
					t.Fatalf("%q and %q give %v: %s is lost", first, second, params, place)
				}
			}
		}
	})
}

// nameOf is the name of a pair, without what says that its value is JSON.
func nameOf(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSuffix(name, ":")
}

// leaves are the values of a tree by their names in brackets.
func leaves(prefix string, tree any) map[string]any {
	all := map[string]any{}
	m, ok := tree.(map[string]any)
	if !ok {
		return map[string]any{prefix: tree}
	}
	for key, v := range m {
		name := key
		if prefix != "" {
			name = prefix + "[" + key
		}
		maps.Copy(all, leaves(name, v))
	}
	return all
}

// Limits are figures to reckon with, or refused; told again, they are the same.
func FuzzLimits(f *testing.F) {
	for _, seed := range [][3]string{
		{"rate=2,burst=50", "operating", "480s"},
		{"rate=1e6,rate=1e6", "window", "24h"},
		{"request=0", "rate", "NaN"},
		{"rate=0x1p4, burst = 5", "burst", "-1"},
		{"=,", "x", ""},
		{"burst=0.5", "request", "1ns"},
		{"rate=1,rate=2", "plan", "enterprise"},
		{"a\x1b=\x00", "\u202e", "1e400"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, flag, key, value string) {
		a := newApp()
		a.flags.limits = []string{flag}
		described := &portalConfig{Plan: "Enterprise", Limits: map[string]string{key: value}}
		l, err := a.limits(described)
		if err != nil {
			checkUsage(t, err)
			return
		}
		day := 24 * time.Hour
		if !(l.Rate >= 0 && l.Rate <= 1e6 && l.Burst >= 0 && l.Burst <= 1e6) || min(l.Operating, l.Window, l.Request) < 0 || max(l.Operating, l.Window, l.Request) > day {
			t.Fatalf("%q, %s=%q: %+v", flag, key, value, l)
		}
		figure := func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
		again := newApp()
		again.flags.limits = []string{
			"rate=" + figure(l.Rate), "burst=" + figure(l.Burst) + ",operating=" + l.Operating.String(),
			"window=" + l.Window.String() + ",request=" + l.Request.String(),
		}
		if twice, err := again.limits(nil); err != nil || twice != l {
			t.Fatalf("%q: %+v, and then %+v, %v", again.flags.limits, l, twice, err)
		}
	})
}

// A parameter is what is before the first equals sign, and its value all that
// is behind it.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"file=a=b", "=x", "x", "a=", "\x1b[2J", " a = b "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		a := newApp()
		a.flags.params = []string{pair}
		params, err := a.params()
		if err != nil {
			checkUsage(t, err)
			return
		}
		for name, value := range params {
			if name+"="+value != pair || name == "" || strings.Contains(name, "=") {
				t.Fatalf("%q is %q: %q", pair, name, value)
			}
		}
		if len(params) != 1 {
			t.Fatalf("%q is %v", pair, params)
		}
	})
}

// Costs of the sandbox are methods and times that are none below zero.
func FuzzCosts(f *testing.F) {
	for _, seed := range []string{"crm.item.add=200ms", "*=0", "=1s", "a=-1s", "a=1", "a=9999999h", "a=\x1b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		costs, err := parseCosts([]string{pair})
		if err != nil {
			checkUsage(t, err)
			return
		}
		for method, d := range costs {
			if method == "" || d < 0 || !strings.HasPrefix(pair, method+"=") {
				t.Fatalf("%q is %q: %v", pair, method, d)
			}
		}
	})
}

// Whatever bxflow.yaml holds, a name is a portal or the mistake is told, without
// the secret that the file is full of.
func FuzzConfig(f *testing.F) {
	for _, seed := range [][2]string{
		{"portals: {main: ", "}"},
		{"portals:\n  main: {url: ", ", plan: enterprise, limits: {rate: 5}}"},
		{"portals:\n  ", ": main"},
		{"portals: ", ""},
		{"portals: {main: {", ": 1}}"},
		{"portals:\n  main: &", " [1]"},
		{"portals:\n  main: *", ""},
		{"portals:\n  main: !", " x"},
		{"portals:\n  main: {plan: ", "}"},
		{"portals:\n  main: {limits: {rate: ", "}}"},
		{"portals:\n  main: {url: https://a.test/rest/, oauth: ", "}"},
		{"portals:\n  main: {url: https://a.test/rest/, oauth: {client_id: ", "}}"},
		{"portals:\n  main: {url: https://a.test/rest/, oauth: {client_secret: ", "}}"},
		{"portals:\n  main: {url: https://a.test/rest/, oauth: {client_id: x, ", ": y}}"},
		{"portals:\n  main: {oauth: {client_id: x}, url: ", "}"},
		{"portals:\n  main: {limits: {", ": 1}}"},
		{"portals:\n  main: {url: \"", "}\n"},
		{"main: ", ""},
		{"\t", ""},
		{"portals: {main: [", "]}"},
		{"portals: {main: 'http", "'}"},
	} {
		f.Add(seed[0], seed[1], "main")
	}
	f.Add("portals: {a: x}", "", "sandbox")
	f.Add("portals: {a: x}", "", "https://u:"+hookSecret+"@a.test/")
	f.Add("", "", hook+"?x")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, before, after, name string) {
		if err := os.WriteFile(filepath.Join(dir, configName), []byte(before+hook+after), 0o600); err != nil {
			t.Fatal(err)
		}
		a := newApp()
		a.getenv = func(string) (string, bool) { return "", false }
		a.flags.portal = name
		found, err := a.resolve("", dir)
		if err != nil {
			if strings.Contains(name, hookSecret) && !strings.Contains(name, "/rest/1/") && !strings.Contains(name, "://") {
				return // a name is told
			}
			checkUsage(t, err)
			return
		}
		if strings.Contains(found.ref, hookSecret) && strings.Contains(found.ref, "/") || found.sandbox == "" && found.address == (portal.Address{}) {
			t.Fatalf("%q is %+v", name, found)
		}
	})
}

// Problems of a job are shown without the webhook that somebody wrote into it,
// wherever that stands, and a terminal obeys nothing in them.
func FuzzExplain(f *testing.F) {
	const head, end = "version: 1\nname: x\n", "\nsteps:\n  - read: a.csv\n"
	for _, seed := range [][2]string{
		{head + "portal: ", ": y" + end},
		{head + "portal: ${{ ", " }}" + end},
		{head + "name: ", end},
		{head, ": 1" + end},
		{head + "portal: [", end},
		{"", ""},
		{head + "mode: ", end},
		{head + "steps:\n  - import: ", "\n    match: x"},
		{head + "steps:\n  - read: ${{ row.", " }}"},
		{head + "guard: ", " ==\n"},
		{head + "portal: '", strings.Repeat(" ", 82) + "' x" + strings.Repeat("y", 120) + end},
		{head + "portal: \"" + strings.Repeat("é", 170), "\" x" + end},
		{"\x1b[2J\u009b: ", "\u202e"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		_, err := jobs.Parse("a.yaml", []byte(before+hook+after), jobs.Options{Kinds: steps.All(), Table: steps.EachRow, CheckSchedule: checkSchedule})
		if err == nil {
			return
		}
		var problems engine.Problems
		if !errors.As(err, &problems) || slices.ContainsFunc(problems, func(p engine.Problem) bool { return p.Msg == "" }) {
			t.Fatalf("%v is not problems", err)
		}
		checkShown(t, explained(err))
	})
}
