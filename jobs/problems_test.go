package jobs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/jobs"
)

// Each text has the faults that are listed, and no others.
func TestParse_problems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string
	}{
		"an empty file":           {"", []string{"a.yaml:1:1: the file is empty; begin with version: 1"}},
		"only a comment":          {"# x\n", []string{"a.yaml:1:1: the file is empty; begin with version: 1"}},
		"a list":                  {"- a\n", []string{"a.yaml:1:1: a job is a mapping of keys, this is a list; begin with version: 1"}},
		"not UTF-8":               {"version: 1\nname: a\xe7\xe3o\n", []string{"a.yaml:2:8: the file is not UTF-8 text; save the file as UTF-8"}},
		"two documents":           {"version: 1\n---\nname: b\n", []string{"a.yaml:2:1: the file has more than one document; one file is one job"}},
		"too large":               {strings.Repeat("#", 1<<20+1), []string{"a.yaml: the file has 1048577 bytes; a job file may have 1048576"}},
		"a tab":                   {"version: 1\nname: a\nsteps:\n\t- select: deal\n", []string{"a.yaml:4:1: not YAML: found character that cannot start any token; indent with spaces, not with tabs"}},
		"nothing in it":           {"{}", []string{"a.yaml:1:1: the job has no version; begin the file with version: 1", "a.yaml:1:1: the job has no name; add name:, which tells this job from others on the portal", "a.yaml:1:1: the job has no steps; add steps:, beginning with `read` or `select`"}},
		"another version":         {"version: 2\nname: a\nsteps: [{select: deal}]", []string{`a.yaml:1:10: version "2" is not known here; write version: 1`}},
		"unknown keys":            {"namee: b\n" + withSteps("  - select: deal\n    wher: {}\n"), []string{`a.yaml:1:1: a job has no key "namee"; did you mean "name"?`, `a.yaml:6:5: select has no key "wher"; did you mean "where"?`}},
		"a key twice":             {"version: 1\nname: a\nname: b\nsteps: [{select: deal}]", []string{`a.yaml:3:1: key "name" is there twice; line 2 has it first`}},
		"wrong shapes":            {"version: 1\nname: [a]\nparams: 5\nsteps: x\n", []string{"a.yaml:2:7: name takes a single value, not a list", `a.yaml:3:9: params is a mapping of names, not "5"; write name: {type: string}`, "a.yaml:4:8: steps is a list of steps, not \"x\"; begin with `- read: …` or `- select: …`"}},
		"no steps":                {"version: 1\nname: a\nsteps: []\n", []string{"a.yaml:3:8: steps is empty; begin with `- read: …` or `- select: …`"}},
		"an empty name":           {"version: 1\nname: ''\nsteps: [{select: deal}]", []string{"a.yaml:2:8: name is empty; leave the line out, or write a value"}},
		"an alias":                {"version: 1\nname: &n a\nportal: *n\nsteps: [{select: deal}]", []string{"a.yaml:2:7: &n is an anchor of YAML, which job files don't have; leave it out, or put the value in quotes", "a.yaml:3:9: *n is an alias of YAML, which job files don't have; write the value out"}},
		"mode":                    {"mode: dry\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:7: mode cannot be "dry"; it is one of apply, plan`}},
		"schedule":                {"schedule: {timezone: Mars}\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:11: schedule has no cron; add cron:, such as "0 6 * * 1-5"`, `a.yaml:1:22: timezone "Mars" is not known; use a name such as America/Sao_Paulo`}},
		"an empty cron":           {"schedule: {cron: ''}\n" + withSteps("  - select: deal\n"), []string{"a.yaml:1:19: cron is empty; leave the line out, or write a value"}},
		"a whole file as a value": {strings.Repeat("root:x:0:0 ", 1000), []string{`a.yaml:1:1: a job is a mapping of keys, this is "` + strings.Repeat("root:x:0:0 ", 5) + `root:…"; begin with version: 1`}},
		"a long key":              {strings.Repeat("k", 500) + ": 1\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:1: a job has no key "` + strings.Repeat("k", 200) + `…"; there is description, env, fuse, guard, maps, mode, name, notify and 8 more`}},
		"timezone":                {"schedule: {cron: 0 6 * * *, timezone: Mars}\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:39: timezone "Mars" is not known; use a name such as America/Sao_Paulo`}},
		"stop_after":              {"on_error: {stop_after: 0}\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:24: stop_after cannot be "0"; write a number of rows like 50, or a share like 5%`}},
		"a share over all":        {"on_error: {stop_after: 101%}\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:24: stop_after cannot be "101%"; write a number of rows like 50, or a share like 5%`}},
		"guards":                  {"guard: [plan.delet == 0, plan.rows, row.x == 1]\n" + withSteps("  - select: deal\n"), []string{`a.yaml:1:14: unknown field "delet" of plan; did you mean "delete"?`, `a.yaml:1:26: a condition must be true or false, this is whole number; compare it with something, for instance == "sim"`, "a.yaml:1:37: there is no row here; only the steps below a `read` have one"}},
		"environment":             {"env: [TEAM, HOME]\n" + withSteps("  - select: deal\n    where: {a: '${{ env.USER }}'}\n"), []string{`a.yaml:1:13: environment variable "HOME" is not set; set it before the job is started`, `a.yaml:6:25: step deal: environment variable "USER" is not listed; list it under env:`}},
		"params": {"params: {a: {type: int, default: x}, b: {type: enum}, c: {}, d: {type: date, default: 1.2.3}, e: {defalt: 1}}\n" + withSteps("  - select: deal\n"), []string{
			`a.yaml:1:34: default of parameter "a": "x" is not a whole number; write default: 12`, `a.yaml:1:41: parameter "b" is of type enum; an enum, and nothing else, has values: [a, b]`,
			`a.yaml:1:55: parameter "c" has no value; give it: --param c=…, or a default:`, `a.yaml:1:87: default of parameter "d": "1.2.3" is not a date; write default: 2026-11-23`,
			`a.yaml:1:95: parameter "e" has no value; give it: --param e=…, or a default:`, `a.yaml:1:99: parameter "e" has no key "defalt"; did you mean "default"?`,
		}},

		"a path out of the folder": {"params: {f: {type: path, default: ../x.csv}}\n" + withSteps("  - read: ${{ params.f }}\n"), []string{`a.yaml:1:35: default of parameter "f": path "../x.csv" leaves the job's folder; give it on the command line, as a --param`}},

		"no stream":            {withSteps("  - create: deal\n"), []string{"a.yaml:4:5: create is in no stream: nothing above it gives records; put `read` or `select` before it"}},
		"no verb":              {withSteps("  - select: deal\n  - crate: deal\n"), []string{`a.yaml:5:5: the step has no verb; "crate" is no verb; did you mean "create"?`}},
		"two verbs":            {withSteps("  - select: deal\n    read: a.csv\n"), []string{"a.yaml:5:5: a step has one verb, this has select and read; make two steps of it"}},
		"no object":            {withSteps("  - select:\n"), []string{"a.yaml:4:5: select needs the name of an entity, such as contact"}},
		"a missing key":        {withSteps("  - select: deal\n  - move: deal\n"), []string{"a.yaml:5:5: move has no to; The stage, by name or id."}},
		"an unknown word":      {withSteps("  - read: a.csv\n  - import: deal\n    match: a\n    fields: {a: 1}\n    on_match: updat\n"), []string{`a.yaml:8:15: on_match cannot be "updat"; it is one of update, skip, fail`}},
		"an expression there":  {withSteps("  - read: a.csv\n  - import: deal\n    match: ${{ row.x }}\n    fields: {a: 1}\n"), []string{"a.yaml:6:12: match cannot be an expression: it is read before there are values; write the value out"}},
		"an expression entity": {withSteps("  - select: ${{ params.x }}\n"), []string{"a.yaml:4:13: select cannot be an expression: it is read before there are values; write the value out"}},
		"when on a source":     {withSteps("  - select: deal\n    when: true\n"), []string{"a.yaml:5:11: select begins a stream and takes no when; put it on the steps below"}},
		"an empty value":       {withSteps("  - select: deal\n  - update: deal\n    set: {a: , b: [x, ]}\n"), []string{`a.yaml:6:14: a has nothing written after it; write null to clear the field, "" for blank text, or leave the line out`}},
		"a mapping as a value": {withSteps("  - select: deal\n  - update: deal\n    set: {a: {b: 1}}\n"), []string{"a.yaml:6:14: a takes a value or a list of values, not a mapping"}},
		"a list of lists":      {withSteps("  - select: deal\n  - update: deal\n    set: {a: [[b]]}\n"), []string{"a.yaml:6:15: a value in the list of a cannot be a list"}},
		"fields as a list":     {withSteps("  - select: deal\n  - update: deal\n    set: [a]\n"), []string{`a.yaml:6:10: set is a mapping of fields, not a list; write field: value lines below it`}},

		"an id twice":            {withSteps("  - select: deal\n    id: x\n  - create: contact\n    id: x\n"), []string{`a.yaml:7:9: id "x" is that of the step in line 4; choose another`}},
		"an id that is taken":    {withSteps("  - select: deal\n    id: now\n"), []string{`a.yaml:5:9: id "now" is a word of the expression language; choose another name`}},
		"an id with a dash":      {withSteps("  - select: deal\n    id: a-b\n"), []string{`a.yaml:5:9: id "a-b" has '-' in it; use letters, digits and underscores, with a letter first`}},
		"an unknown step":        {withSteps("  - select: deal\n  - update: del\n    set: {a: 1}\n"), []string{`a.yaml:5:13: there is no step "del" above that holds an item; did you mean "deal"?`}},
		"a step below":           {withSteps("  - select: deal\n  - update: new\n    set: {a: 1}\n  - create: contact\n    id: new\n"), []string{`a.yaml:5:13: step "new" comes only below; put it above this one`}},
		"another stream's step":  {withSteps("  - select: deal\n  - select: contact\n  - update: deal\n    set: {a: 1}\n"), []string{`a.yaml:6:13: step "deal" belongs to another stream: it holds nothing for these records; there is contact`}},
		"a step without an item": {withSteps("  - select: deal\n  - update: deal\n    id: up\n    set: {a: 1}\n  - move: up\n    to: x\n"), []string{`a.yaml:8:11: step "up" holds no item; there is deal`}},
		"selecting what is written": {withSteps("  - read: a.csv\n    key: id\n  - create: contact\n  - select: '3'\n"), []string{
			"a.yaml:7:5: select reads 3, which line 6 writes: the plan would not see those changes; put it into a job of its own, to be run after this one",
		}},
		"selecting what is updated": {withSteps("  - select: Onboarding\n  - update: onboarding\n    set: {a: 1}\n  - select: onboarding\n"), []string{
			"a.yaml:7:5: select reads onboarding, which line 5 writes: the plan would not see those changes; put it into a job of its own, to be run after this one",
		}},

		"row in a select":       {withSteps("  - select: deal\n  - move: deal\n    to: ${{ row.x }}\n"), []string{"a.yaml:6:13: step move_deal: there is no row here; use a field of deal"}},
		"a row for the source":  {withSteps("  - read: ${{ row.x }}\n    key: ${{ row.id }}\n"), []string{"a.yaml:4:15: step read: there is no row here; only the steps below a `read` have one"}},
		"an unclosed mark":      {withSteps("  - select: deal\n  - move: deal\n    to: ${{ deal.x\n"), []string{`a.yaml:6:9: step move_deal: ${{ is never closed; close it with }}; YAML ends an unquoted value at " #" and breaks it at ": ", so put the value in quotes`}},
		"an id in arithmetic":   {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n  - update: deal\n    set: {a: '${{ deal.id + 1 }}'}\n"), []string{"a.yaml:8:24: step update_deal: deal.id is not known yet: the item may first be made when the plan is applied; let ${{ deal.id }} stand alone or directly inside text"}},
		"an id in a condition":  {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n  - update: deal\n    when: deal.id > 5\n    set: {a: 1}\n"), []string{"a.yaml:8:16: step update_deal: deal.id is not known yet: the item may first be made when the plan is applied; let ${{ deal.id }} stand alone or directly inside text"}},
		"in a literal block":    {withSteps("  - select: deal\n  - update: deal\n    set:\n      a: |-\n        ção ${{ deal.id }}\n        ${{ row.x }}\n"), []string{"a.yaml:9:13: step update_deal: there is no row here; use a field of deal"}},
		"text in a condition":   {withSteps("  - select: deal\n  - move: deal\n    to: x\n    when: x ${{ true }}\n"), []string{"a.yaml:7:11: step move_deal: a condition is one expression, not text with ${{ }} in it; write it without ${{ }}, or with one around the whole"}},
		"text is no condition":  {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    when: row.paid\n"), []string{`a.yaml:7:11: step deal: a condition must be true or false, this is text; compare it with something, for instance == "sim"`}},
		"a number for a cell":   {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    when: row.n > 5\n"), []string{"a.yaml:7:17: step deal: \">\" cannot be put between text and whole number; one side is text: make a number of it with number(…) or int(…), or text of the other with string(…)"}},
		"a tag for a condition": {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    when: !row.paid\n"), []string{"a.yaml:7:11: !row.paid is a tag of YAML, so that nothing of it would be left; write when: '!row.paid'"}},
		"an expression cut at a comment": {withSteps("  - select: deal\n  - move: deal\n    to: ${{ deal.a # b }}\n"), []string{
			`a.yaml:6:9: YAML takes "# b }}" for a comment and cuts the expression off; write to: '${{ deal.a # b }}'`,
		}},
		"an item left of its list": {"version: 1\nname: t\nsteps:\n  - read: a.csv\n    key: id\n\n- import: contact\n  match: CPF\n", []string{
			"a.yaml:7:1: the item is indented by 0, the list that it belongs to by 2; begin the line with 2 spaces",
		}},
		"an item right of its list": {withSteps("  - read: a.csv\n    key: id\n    - create: deal\n"), []string{
			"a.yaml:6:5: the item is indented by 4, the list that it belongs to by 2; begin the line with 2 spaces",
		}},
		"an item right of its list, below a value": {withSteps("  - read: a.csv\n   - create: deal\n"), []string{
			"a.yaml:5:4: the item is indented by 3, the list that it belongs to by 2; begin the line with 2 spaces",
		}},
		"a list in a list, with a fault": {withSteps("  - select: deal\n  - update: deal\n    set:\n      a:\n        - b: c: d\n"), []string{
			"a.yaml:8:11: a value in the list of a cannot be a mapping", "a.yaml:8:15: YAML cannot read this value as it stands; write - b: 'c: d'",
		}},
		"a condition that is a comment": {withSteps("  - select: deal\n  - move: deal\n    to: x\n    when: # > 1\n"), []string{"a.yaml:7:10: when is a condition, not nothing; write when: '# > 1'"}},
		"a condition cut at a comment": {withSteps("  - select: deal\n  - move: deal\n    to: x\n    when: all(deal.tags, # != \"spam\")\n"), []string{
			`a.yaml:7:24: step move_deal: the expression ends too early; YAML takes the end of it for a comment: write when: 'all(deal.tags, # != "spam")'`,
		}},
		"a colon in an expression, and what is below it": {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    stage: ${{ row.x ? 'it' : 'b' }}  # note\n    categry: x\n"), []string{
			"a.yaml:7:21: step deal: this is not true or false (type string) used as condition", "a.yaml:7:29: YAML cannot read this value as it stands; write stage: '${{ row.x ? ''it'' : ''b'' }}'  # note", `a.yaml:8:5: create has no key "categry"; did you mean "category"?`,
		}},
		"a quote at the start": {withSteps("  - read: a.csv\n    key: id\n  - create: deal\n    when: \"VIP\" in split(row.tags)\n"), []string{
			`a.yaml:7:17: YAML cannot read this value as it stands; write when: '"VIP" in split(row.tags)'`,
		}},
		"braces without a dollar": {withSteps("  - select: deal\n  - move: deal\n    to: {{ x }}\n"), []string{"a.yaml:6:9: an expression is not written {{ … }}; write ${{ … }}, or put text with braces in quotes"}},
		"an expression in braces": {withSteps("  - select: deal\n    where: {a: ${{ env.X }}}\n"), []string{"a.yaml:5:17: not YAML: did not find expected ',' or '}'; put the ${{ … }} in quotes"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := problems(t, tt.text, options())
			for i, p := range got {
				if i < len(tt.want) && strings.HasPrefix(p.Error(), tt.want[i]) && strings.HasSuffix(tt.want[i], ": ") {
					continue
				}
				if i >= len(tt.want) || p.Error() != tt.want[i] {
					t.Errorf("problem %d is\n%s", i, p.Error())
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d problems, want %d", len(got), len(tt.want))
			}
		})
	}
}

func TestParse_unknownParamOnTheCommandLine(t *testing.T) {
	t.Parallel()
	o := options()
	o.Params = map[string]string{"fle": "x"}
	ps := problems(t, "params: {file: {default: x}}\n"+withSteps("  - select: deal\n"), o)
	if want := `a.yaml: --param fle: the job has no parameter "fle"; did you mean "file"?`; ps[0].Error() != want || len(ps) != 1 {
		t.Errorf("got %v, want %s", ps, want)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ps := problems(t, withSteps("  - select: deal\n  - move: deal\n    to: ção ${{ row.x }}\n"), options())
	var b strings.Builder
	if err := jobs.Explain(&b, ps); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"a.yaml:6:17: step move_deal: there is no row here",
		"    6 |     to: ção ${{ row.x }}",
		"      |                 ^",
		"      = use a field of deal",
		"",
	}, "\n")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

func TestExplain_cutsLongLines(t *testing.T) {
	t.Parallel()
	ps := problems(t, withSteps("  - select: deal\n  - move: deal\n    to: "+strings.Repeat("x", 1000)+"${{ row.x }}"+strings.Repeat("y", 1000)+"\n"), options())
	var b strings.Builder
	if err := jobs.Explain(&b, ps); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	column := strings.IndexByte(lines[2], '^')
	if len([]rune(lines[1])) > 220 || !strings.HasPrefix(string([]rune(lines[1])[column:]), "row.x") {
		t.Errorf("the explanation is\n%s", b.String())
	}
}

func TestExplain_endsSomewhere(t *testing.T) {
	t.Parallel()
	ps := problems(t, withSteps("  - select: deal\n"+strings.Repeat("  - x: 1\n", 130)), options())
	var b strings.Builder
	if err := jobs.Explain(&b, ps); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "and 30 more problems\n") {
		t.Errorf("the end is %q", b.String()[b.Len()-80:])
	}
}
