package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/steps"
)

// The folder of README.md, from here.
const top = "../.."

// readme is the text of README.md.
func readme(t *testing.T) string {
	t.Helper()
	return page(t, "README.md")
}

// page is the text of one of the pages at the top.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fenced lists the blocks of a page in a language.
func fenced(t *testing.T, text, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("there is no block of %s", language)
	}
	return blocks
}

// TestReadme_transcripts types what README.md shows, from its first line to its
// last in one folder, and compares what is printed.
func TestReadme_transcripts(t *testing.T) {
	t.Parallel()
	dir := exampleDir(t)
	for _, block := range fenced(t, readme(t), "console") {
		commands, want := transcript(block)
		got := typeIn(t, dir, commands)
		for i, command := range commands {
			if !sameLines(normalLines(want[i]), normalLines(got[i])) {
				t.Errorf("$ %s\n(-README.md +printed):\n%s", command, cmp.Diff(normalLines(want[i]), normalLines(got[i])))
			}
		}
	}
}

// transcript splits a block into what is typed and what is printed.
func transcript(block string) (commands, printed []string) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands, printed = append(commands, strings.TrimSpace(command)), append(printed, "")
			continue
		}
		printed[len(printed)-1] += line
	}
	return commands, printed
}

// typeIn runs commands in one shell, as a person would, and returns what each
// printed.
func typeIn(t *testing.T, dir string, commands []string) []string {
	t.Helper()
	const mark = "--- next command ---\n"
	var script strings.Builder
	script.WriteString("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n")
	for i, command := range commands {
		if i > 0 {
			fmt.Fprintf(&script, "printf '%%s' '%s'\n", mark)
		}
		script.WriteString(command + "\n")
	}
	c := exec.CommandContext(t.Context(), "bash")
	c.Stdin = strings.NewReader(script.String())
	c.Dir = dir
	c.Env = childEnv(dir)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(string(out), mark)
}

// childEnv is the environment of bxflow in a folder of its own: nothing of the
// user who runs the tests.
func childEnv(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "TZ=UTC", "LANG=C.UTF-8"}
}

// normalLines are the lines of a text without what is another one each time:
// ids, times, what a request took.
func normalLines(text string) []string {
	for _, r := range []struct{ pattern, with string }{
		{`(?m)^time=\S+ level=INFO msg=progress .*\n`, ""}, // where it takes long
		{`\b\d{8}-\d{6}-\d{3}(-[a-z0-9]{8})?\b`, "ID"},
		{`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{4}-\d\d-\d\d\b`, "DAY"},
		{`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b`, "TIME"},
		{`(under |over )?\b\d+(\.\d+)? (s|ms|min)\b`, "SPAN"},
		{`(?m)^About \d+ requests?( \(\d+ of them to read\))?, .*$`, "About N requests"},
		{`(?m)^Faster: .*\n`, ""}, // depends on what was asked before
		{`(?m)^\d+ requests?, \d+ commands?.*$`, "N requests"},
		{`/rest/1/[0-9a-f]{16}/`, "/rest/1/SECRET/"},
		{`(?m)^(  [~>] \w+: \w+) \d+`, "$1 N"}, // batches in flight together race for ids
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// sameLines compares lines with those that are wanted, where a line of one …
// stands for any number of lines.
func sameLines(want, got []string) bool {
	for i, line := range want {
		if line == "…" {
			return slices.ContainsFunc(tails(got[i:]), func(rest []string) bool { return sameLines(want[i+1:], rest) })
		}
		if i >= len(got) || line != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}

// tails lists what is left of lines without the first ones.
func tails(lines []string) [][]string {
	all := make([][]string, 0, len(lines)+1)
	for i := range len(lines) + 1 {
		all = append(all, lines[i:])
	}
	return all
}

// TestReadme_job plans the job that README.md explains.
func TestReadme_job(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, block := range fenced(t, readme(t), "yaml") {
		if strings.Contains(block, "version: 1\n") {
			writeFile(t, filepath.Join(dir, "companies.yaml"), block)
		}
	}
	writeFile(t, filepath.Join(dir, "companies.csv"), "name;e-mail;industry\nNovo Um;um@example.com;IT\nNovo Dois;dois@example.com;\n")
	c := exec.CommandContext(t.Context(), "bxflow", "plan", "companies.yaml", "--portal", "sandbox")
	c.Dir, c.Env = dir, childEnv(dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := regexp.MustCompile(`(?m)^  total +2 +1 `); !want.Match(out) {
		t.Errorf("want two companies and an update of one, got:\n%s", out)
	}
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// TestReadme_commands sees to the two commands that are run on a fresh machine,
// and that each command that README.md names is there.
func TestReadme_commands(t *testing.T) {
	t.Parallel()
	text := readme(t)
	for _, command := range []string{"go run ./cmd/bxflow run examples/onboarding/onboarding.yaml --yes", "go test ./..."} {
		word := strings.Join(strings.Fields(command)[:2], " ")
		first := regexp.MustCompile(`(?m)^    (` + regexp.QuoteMeta(word) + ` .*)$`).FindStringSubmatch(text)
		if first == nil || first[1] != command {
			t.Errorf("the first line of four spaces and %q is %q, want %q", word, first, command)
		}
	}
	root := newRootCommand(newApp())
	for _, m := range regexp.MustCompile("(?m)(?:^|[`$] )`?bxflow ([a-z]+)").FindAllStringSubmatch(text, -1) {
		if c, _, err := root.Find(m[1:]); (err != nil || c == root) && strings.ContainsAny(m[0], "`$") {
			t.Errorf("README.md: %q: bxflow has no such command", m[0])
		}
	}
}

// TestReadme_verbs compares the table of verbs with the kinds of steps.
func TestReadme_verbs(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readme(t), "|---|---|---|---|\n")
	got, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, kind := range steps.All() {
		var settings any
		if kind.Source != nil {
			settings = kind.Source()
		} else {
			settings = kind.Step()
		}
		object, keys := tags(reflect.TypeOf(settings).Elem())
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", kind.Verb, object, strings.TrimSuffix(kind.Doc, "."), strings.Join(keys, " ")))
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
		t.Errorf("table of verbs (-steps.All +README.md):\n%s", diff)
	}
}

// tags reads what a kind's settings are called in a job file; what must be given
// is bold.
func tags(kind reflect.Type) (object string, keys []string) {
	objects := map[string]string{"entity": "an entity", "step": "a step's item", "value": "a file", "method": "a REST method", "mapping": ", or `{sql, dsn, args}`"}
	for f := range kind.Fields() {
		if f.Anonymous {
			inner, more := tags(f.Type)
			object, keys = object+inner, append(keys, more...)
			continue
		}
		object += objects[f.Tag.Get("object")]
		switch key := f.Tag.Get("key"); {
		case key == "":
		case f.Tag.Get("required") == "true":
			keys = append(keys, "**`"+key+"`**")
		default:
			keys = append(keys, "`"+key+"`")
		}
	}
	return object, keys
}

// TestReadme_parity runs the commands of the table of bitrixUtils' functions; the
// jobs that it links to are run by TestExampleFolders.
func TestReadme_parity(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readme(t), "## Coming from bitrixUtils\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	dir := exampleDir(t)
	commands := regexp.MustCompile("`(bxflow [^`]+)`").FindAllStringSubmatch(section, -1)
	if len(commands) < 8 {
		t.Fatalf("the table has %d commands", len(commands))
	}
	for _, m := range commands {
		if out := bxflow(t, dir, exitDone, strings.Fields(m[1])[1:]...); out == "" && !strings.Contains(m[1], "--out") {
			t.Errorf("%s prints nothing", m[1])
		}
	}
	for _, name := range []string{"cards.csv", "theirs.csv"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.Count(string(text), "\n") < 2 {
			t.Errorf("%s holds %q: %v", name, text, err)
		}
	}
	for _, link := range regexp.MustCompile(`\]\((examples/[^)]+)\)`).FindAllStringSubmatch(section, -1) {
		if _, err := os.Stat(filepath.Join(top, link[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestReadme_functions compares the list of functions with those that there are.
func TestReadme_functions(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readme(t), "### Expressions\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var want, got []string
	for _, f := range expression.Functions() {
		want = append(want, f.Signature)
	}
	for _, m := range regexp.MustCompile("`([a-zA-Z]+\\([^`]*\\))`").FindAllStringSubmatch(section, -1) {
		got = append(got, strings.Join(strings.Fields(m[1]), " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-expression.Functions +README.md):\n%s", diff)
	}
}

// TestReadme_exitCodes compares the table of exit codes with those that there are.
func TestReadme_exitCodes(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(readme(t), -1) {
		got = append(got, m[1])
	}
	var want []string
	for _, code := range []int{exitDone, exitUnfinished, exitUsage, exitPartial, exitRefused, exitChanges, exitInterrupted} {
		want = append(want, strconv.Itoa(code))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exit codes (-exit.go +README.md):\n%s", diff)
	}
}

// TestReadme_source sees that the Go that README.md shows is the program's own.
func TestReadme_source(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(top, "steps", "move.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range fenced(t, readme(t), "go") {
		if !strings.Contains(string(source), block) {
			t.Errorf("not in steps/move.go as README.md shows it:\n%s", block)
		}
	}
}

// TestReadme_links follows the links to files.
func TestReadme_links(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.pt-BR.md"} {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(page(t, name), -1) {
			path, _, _ := strings.Cut(m[1], "#")
			if path == "" || strings.Contains(path, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(top, path)); err != nil {
				t.Errorf("%s: link: %v", name, err)
			}
		}
	}
}

// TestReadme_portuguese holds the Portuguese page against the English one, which
// the other tests hold against the program: what they share is the same, in the
// same order.
func TestReadme_portuguese(t *testing.T) {
	t.Parallel()
	english, portuguese := parts(t, "README.md"), parts(t, "README.pt-BR.md")
	if diff := cmp.Diff(english, portuguese); diff != "" {
		t.Fatalf("what one page has and the other one doesn't, or where they differ (-README.md +README.pt-BR.md):\n%s", diff)
	}
	for i, part := range portuguese {
		if len(part.words) > 2 && slices.Equal(part.words, english[i].words) {
			t.Errorf("%v: not translated", part)
		}
	}
}

// A part of a page is a heading, a block of code, a row of a table, an item of a
// list or a paragraph.
type part struct {
	where  string   // file, line and the heading above
	shared string   // what each language has: code without comments, links, numbers
	words  []string // what is translated
}

// Equal compares what each language has; cmp.Diff calls it.
func (p part) Equal(other part) bool { return p.shared == other.shared }

func (p part) String() string { return p.where + ": " + p.shared }

// parts lists the parts of a page.
func parts(t *testing.T, name string) []part {
	t.Helper()
	text := strings.ReplaceAll(page(t, name), "](README.pt-BR.md)", "](README.md)") // each links to the other
	blocks := regexp.MustCompile("(?m)^```(?s:.*?)^```$|^#+ .*|^\\|.*|^    .*|^.+(?:\\n(?:[^-\\n]|-[^ \\n]).*)*")
	var all []part
	heading := ""
	for _, at := range blocks.FindAllStringIndex(text, -1) {
		block := text[at[0]:at[1]]
		if strings.HasPrefix(block, "#") {
			heading = block
		}
		p := part{where: fmt.Sprintf("%s:%d (%s)", name, 1+strings.Count(text[:at[0]], "\n"), heading)}
		p.shared, p.words = split(block)
		all = append(all, p)
	}
	return all
}

// split tells what a block of a page has in each language from the words that are
// translated.
func split(block string) (shared string, words []string) {
	kind, cells := "paragraph", []string{block}
	switch {
	case strings.HasPrefix(block, "#"):
		level, _, _ := strings.Cut(block, " ")
		return level, nil
	case strings.HasPrefix(block, "```yaml"), strings.HasPrefix(block, "    "):
		return regexp.MustCompile(`(?m)(^|\s+)# .*$`).ReplaceAllString(block, ""), nil
	case strings.HasPrefix(block, "```"):
		return block, nil
	case strings.HasPrefix(block, "|"):
		kind, cells = "row", strings.Split(strings.Trim(block, "|"), "|")
	case strings.HasPrefix(block, "- "):
		kind = "item"
	}
	kept := regexp.MustCompile("(?:\\*\\*)?`[^`]+`(?:\\*\\*)?|\\]\\([^)]+\\)|\\b\\d+(?:[.,]\\d+)*")
	number := regexp.MustCompile(`^\d`)
	for i, cell := range cells {
		marks := kept.FindAllString(strings.Join(strings.Fields(cell), " "), -1)
		for j, mark := range marks {
			if number.MatchString(mark) {
				marks[j] = strings.NewReplacer(".", "", ",", "").Replace(mark) // 2,500 is 2.500
			}
		}
		slices.Sort(marks)
		cells[i] = strings.Join(slices.Compact(marks), " ")
		words = append(words, regexp.MustCompile(`\pL+`).FindAllString(kept.ReplaceAllString(cell, ""), -1)...)
	}
	return kind + " " + strings.Join(cells, " | "), words
}
