package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// All kinds of commands and values make their way to the portal and back, in
// one request.
func TestWrite(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "demo"}, portal.CloudLimits())
	catalog := loadCatalog(t, c, "contact", "Onboarding")
	contact, card := entityOf(t, catalog, "contact"), entityOf(t, catalog, "Onboarding")
	cpf := fieldOf(t, contact, "CPF").Name
	notes, priority := fieldOf(t, card, "Notes").Name, fieldOf(t, card, "Priority")
	high := json.Number(priority.Options[2].ID)
	before := c.Usage().Requests

	made := write(t, c,
		engine.Command{
			Kind: engine.CommandAdd, Entity: contact,
			Fields: map[string]any{"name": "Zoé + Søn & Co <#1>", cpf: "012345", "birthdate": "1990-02-28", "comments": nil},
			Multi:  map[string][]engine.MultiValue{"phone": {{Value: "+55 11 4000-0001"}, {Type: "MOBILE", Value: "+5511900000001"}}, "email": {{Value: "zoe@example.org"}}},
		},
		engine.Command{
			Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{"name": "Imported"},
			Multi: map[string][]engine.MultiValue{"phone": {{Value: "+551140000002"}}},
		},
		engine.Command{
			Kind: engine.CommandAdd, Entity: card,
			Fields: map[string]any{"title": "Card", "categoryId": int64(42), "stageId": "DT128_42:CLIENT", "xmlId": "k1", notes: "n", priority.Name: high},
		},
	)
	if got := c.Usage().Requests - before; got != 1 {
		t.Errorf("three commands took %d requests, want 1", got)
	}
	item := made[0].Item
	if item == nil || item.Fields["name"] != "Zoé + Søn & Co <#1>" || item.Fields[cpf] != "012345" || item.Fields["birthdate"] != "1990-02-28" {
		t.Errorf("the contact came back as %+v", item)
	}
	if _, answered := item.Fields["comments"]; !answered {
		t.Error("an empty field of the answer is missing, want it as nil")
	}
	if made[1].Item != nil || made[1].ID != made[0].ID+1 {
		t.Errorf("the imported contact came back as %+v", made[1])
	}
	if got := made[2].Item.Fields[priority.Name]; fmt.Sprint(got) != high.String() {
		t.Errorf("the list value came back as %v, want %v", got, high)
	}

	rows := phones(t, c, contact, made[0].ID)
	if len(rows) != 2 || rows[0].Type != "WORK" || rows[1].Type != "MOBILE" {
		t.Fatalf("phones %+v", rows)
	}
	write(t, c, engine.Command{
		Kind: engine.CommandUpdate, Entity: contact, ID: made[0].ID, Fields: map[string]any{cpf: nil},
		Multi: map[string][]engine.MultiValue{"phone": {{ID: rows[0].ID}, {Value: "+5511900000009"}}},
	})
	var values []string
	for _, row := range phones(t, c, contact, made[0].ID) {
		values = append(values, row.Value)
	}
	if diff := cmp.Diff([]string{"+5511900000001", "+5511900000009"}, values); diff != "" {
		t.Errorf("phones after the update (-want +got):\n%s", diff)
	}
	write(t, c, engine.Command{Kind: engine.CommandDelete, Entity: card, ID: made[2].ID})
	found, err := c.Get(t.Context(), card, []int64{made[2].ID}, []string{"title"})
	if err != nil || len(found) != 0 {
		t.Errorf("after its deletion the card is %v, %v", found, err)
	}
}

func phones(t *testing.T, c *portal.Client, contact *engine.Entity, id int64) []engine.MultiValue {
	t.Helper()
	items, err := c.Get(t.Context(), contact, []int64{id}, []string{"phone"})
	if err != nil {
		t.Fatal(err)
	}
	rows, ok := items[id].Fields["phone"].([]engine.MultiValue)
	if !ok {
		t.Fatalf("no phones in %+v", items[id])
	}
	return rows
}

// Data that can't travel in a batch goes alone, as JSON; the others of the same
// call are left for later, and nothing is sent twice.
func TestWrite_dataThatCannotBeBatched(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	titles := []string{"plain 1", "pay $result[x] now", "plain 2", "$next[0]"}
	var commands []engine.Command
	for _, title := range titles {
		commands = append(commands, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": title}})
	}
	for i, o := range write(t, c, commands...) {
		got, err := c.Get(t.Context(), card, []int64{o.ID}, []string{"title"})
		if err != nil || o.Item == nil || got[o.ID].Fields["title"] != o.Item.Fields["title"] {
			t.Errorf("item %d: %v, %v", i, got, err)
		}
	}
	if n := box.Stats().ByMethod["crm.item.add"].Calls; n != len(titles) {
		t.Errorf("%d items were made, want %d", n, len(titles))
	}
	several := multipleField(t, card)
	made := write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{several: []any{"a", "b"}}})
	cleared := write(t, c, engine.Command{Kind: engine.CommandUpdate, Entity: card, ID: made[0].ID, Fields: map[string]any{several: nil}})
	if got := cleared[0].Item.Fields[several]; got != nil {
		t.Errorf("a cleared multiple field holds %v", got)
	}
}

func multipleField(t *testing.T, e *engine.Entity) string {
	t.Helper()
	for _, f := range e.Fields {
		if f.Multiple && f.Custom && f.Type == engine.FieldString {
			return f.Name
		}
	}
	t.Fatal("no multiple text field")
	return ""
}

// What became of a command is never guessed.
func TestWrite_outcomes(t *testing.T) {
	t.Parallel()
	deal := &engine.Entity{TypeID: 2, Name: "deal", Fields: []*engine.Field{{Name: "id", Type: engine.FieldInteger}, {Name: "title", Type: engine.FieldString}}}
	tests := map[string]struct {
		status int
		answer string
		want   []engine.OutcomeKind // of an add and an update of deal 7
	}{
		"both done": {200, `{"result":{"result":{"c0":{"item":{"id":1}},"c1":{"item":{"id":7}}},"result_error":[]}}`, []engine.OutcomeKind{"done", "done"}},
		"one refused": {
			200, `{"result":{"result":{"c1":{"item":{"id":7}}},"result_error":{"c0":{"error":"CRM_FIELD_ERROR_REQUIRED"}}}}`,
			[]engine.OutcomeKind{"failed", "done"},
		},
		"one over its time": {
			200, `{"result":{"result":{"c1":{"item":{"id":7}}},"result_error":{"c0":{"error":"OPERATION_TIME_LIMIT"}}}}`,
			[]engine.OutcomeKind{"refused", "done"},
		},
		"one left out":          {200, `{"result":{"result":{"c1":{"item":{"id":7}}},"result_error":[]}}`, []engine.OutcomeKind{"unknown", "done"}},
		"an item without an id": {200, `{"result":{"result":{"c0":{"item":[]},"c1":{"item":{"id":7}}}}}`, []engine.OutcomeKind{"unknown", "done"}},
		"another item":          {200, `{"result":{"result":{"c0":{"item":{"id":1}},"c1":{"item":{"id":8}}}}}`, []engine.OutcomeKind{"done", "unknown"}},
		"the bucket is full":    {503, `{"error":"QUERY_LIMIT_EXCEEDED"}`, []engine.OutcomeKind{"refused", "refused"}},
		"an expired token":      {401, `{"error":"expired_token"}`, []engine.OutcomeKind{"refused", "refused"}},
		"a gateway's page":      {502, `<html>`, []engine.OutcomeKind{"unknown", "unknown"}},
		"half an answer":        {200, `{"result":{"result":{"c0":`, []engine.OutcomeKind{"unknown", "unknown"}},
		"no answer":             {0, ``, []engine.OutcomeKind{"unknown", "unknown"}},
		"not sent":              {-1, ``, []engine.OutcomeKind{"refused", "refused"}},
		"wrong credentials":     {403, `{"error":"INVALID_CREDENTIALS"}`, []engine.OutcomeKind{"fatal", "fatal"}},
		"one without the scope": {200, `{"result":{"result":[],"result_error":{"c0":{"error":"insufficient_scope"},"c1":{"error":"NOT_FOUND"}}}}`, []engine.OutcomeKind{"fatal", "failed"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := 0
			c := openScript(t, func(string, map[string]any, *http.Request) (int, string) {
				sent++
				return tt.status, tt.answer
			}, nil)
			outcomes, err := c.Write(t.Context(), []engine.Command{
				{Kind: engine.CommandAdd, Entity: deal, Fields: map[string]any{"title": "a"}},
				{Kind: engine.CommandUpdate, Entity: deal, ID: 7, Fields: map[string]any{"title": "b"}},
			}, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			var got []engine.OutcomeKind
			for _, o := range outcomes {
				got = append(got, o.Kind)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || sent != 1 {
				t.Errorf("sent %d times, outcomes (-want +got):\n%s", sent, diff)
			}
		})
	}
}

// Of a row that is answered with neither an item nor an error nobody knows what became,
// and an id is taken to its last digit: rounded it would be another item's.
func TestWrite_importsAnsweredOddly(t *testing.T) {
	t.Parallel()
	deal := &engine.Entity{TypeID: 2, Name: "deal", Fields: []*engine.Field{{Name: "title", Type: engine.FieldString}}}
	c := openScript(t, func(string, map[string]any, *http.Request) (int, string) {
		return http.StatusOK, `{"result":{"result":{"c0":{"items":{"r00":{"item":{"id":9007199254740993}},"r01":{},"r02":{"error":0,"error_description":"no"}}}}}}`
	}, nil)
	commands := make([]engine.Command, 3)
	for i := range commands {
		commands[i] = engine.Command{Kind: engine.CommandImport, Entity: deal, Fields: map[string]any{"title": "a"}}
	}
	outcomes, err := c.Write(t.Context(), commands, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if o := outcomes[0]; o.Kind != engine.OutcomeDone || o.ID != 9007199254740993 {
		t.Errorf("the first row is %+v", o)
	}
	if outcomes[1].Kind != engine.OutcomeUnknown || outcomes[2].Kind != engine.OutcomeFailed {
		t.Errorf("the others are %+v", outcomes[1:])
	}
}

// A command that can't be written fails by itself.
func TestWrite_commandsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	deal := &engine.Entity{TypeID: 2, Name: "deal", Fields: []*engine.Field{{Name: "title", Type: engine.FieldString}}}
	c := openScript(t, func(string, map[string]any, *http.Request) (int, string) {
		t.Error("something was sent")
		return 500, ""
	}, nil)
	outcomes, err := c.Write(t.Context(), []engine.Command{
		{Kind: engine.CommandAdd, Entity: deal, Fields: map[string]any{"tilte": "a"}},
		{Kind: engine.CommandAdd, Entity: deal, Fields: map[string]any{"title": struct{}{}}},
		{Kind: engine.CommandUpdate, Entity: deal},
		{Kind: "merge", Entity: deal},
		{Kind: engine.CommandAdd},
		{Kind: engine.CommandAdd, Entity: deal, Multi: map[string][]engine.MultiValue{"fax": {{Value: "1"}}}},
		{Kind: engine.CommandAdd, Entity: deal, Multi: map[string][]engine.MultiValue{"phone": {{}}}},
	}, func() error { t.Error("before was called"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.Kind != engine.OutcomeFailed || o.Message == "" {
			t.Errorf("command %d: %+v", i, o)
		}
	}
}

// Nothing is sent unless before agrees, and before is not called until the
// limits admit the request.
func TestWrite_before(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deal := &engine.Entity{TypeID: 2, Name: "deal"}
		sent := 0
		limits := portal.CloudLimits()
		limits.Rate, limits.Burst = 1, 1
		c := openTransport(t, portal.Options{Limits: limits, Transport: script(func(string, map[string]any, *http.Request) (int, string) {
			sent++
			return 200, `{"result":{"result":{"c0":[]}}}`
		})}, "/rest/1/"+secret+"/")
		commands := []engine.Command{{Kind: engine.CommandDelete, Entity: deal, ID: 1}}
		disk := errors.New("disk full")
		if _, err := c.Write(t.Context(), commands, func() error { return disk }); !errors.Is(err, disk) || sent != 0 {
			t.Errorf("sent %d requests, got %v", sent, err)
		}
		began := time.Now()
		var called []time.Duration
		for range 3 {
			if _, err := c.Write(t.Context(), commands, func() error { called = append(called, time.Since(began)); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second, 2 * time.Second}, called); diff != "" {
			t.Errorf("before was called at (-want +got):\n%s", diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Write(ctx, commands, func() error { t.Error("before was called after the end"); return nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2100*time.Millisecond {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

// Fifty-one commands are two requests.
func TestWrite_moreThanABatch(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	var commands []engine.Command
	for i := range 120 {
		commands = append(commands, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": fmt.Sprint("card ", i)}})
	}
	outcomes := write(t, c, commands...)
	if len(outcomes) != 120 || box.Stats().MaxBatch != 50 {
		t.Errorf("%d items, largest batch %d", len(outcomes), box.Stats().MaxBatch)
	}
	if size := c.BatchSize(); size != 50 {
		t.Errorf("batches are of %d, want 50 after fast answers", size)
	}
}

// Batches of slow calls get shorter, so that no request runs into the portal's
// limit.
func TestWrite_slowCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := unlimited()
		c, box := openSandbox(t, sandbox.Options{Seed: "demo", Cost: map[string]time.Duration{"crm.item.add": 3700 * time.Millisecond}}, limits)
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		if size := c.BatchSize(); size > 10 {
			t.Errorf("the first batch is of %d calls of an unknown kind", size)
		}
		adds(t, c, card, 100)
		if size := c.BatchSize(); size != 4 {
			t.Errorf("batches are of %d, want 4 in 15 seconds", size)
		}
		if s := box.Stats(); s.Timeouts != 0 || s.ByMethod["crm.item.add"].Calls != 100 {
			t.Errorf("%d requests were cut off, %d items made", s.Timeouts, s.ByMethod["crm.item.add"].Calls)
		}
	})
}

func TestError(t *testing.T) {
	t.Parallel()
	err := &portal.Error{Method: "crm.item.add", Code: "NOT_FOUND", Message: "Item not found", Status: 400, Verdict: portal.Failed}
	if got, want := err.Error(), "crm.item.add: NOT_FOUND: Item not found (HTTP 400)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err.Temporary() || !strings.HasPrefix((&portal.Error{Method: "x"}).Error(), "x") {
		t.Error("a refusal for good is not temporary")
	}
}

// Imports share calls, twenty rows in each, and each row has its own outcome.
func TestWrite_imports(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "demo"}, unlimited())
	catalog := loadCatalog(t, c, "contact", "Onboarding")
	contact, card := entityOf(t, catalog, "contact"), entityOf(t, catalog, "Onboarding")
	several := multipleField(t, card)
	var commands []engine.Command
	for i := range 45 {
		commands = append(commands, engine.Command{
			Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{"name": fmt.Sprint("row ", i)},
			Multi: map[string][]engine.MultiValue{"phone": {{Value: fmt.Sprint("+55114000", 1000+i)}}},
		})
	}
	commands[7].Fields["name"] = "has a $result[x]"
	commands = append(commands,
		engine.Command{Kind: engine.CommandImport, Entity: card, Fields: map[string]any{"title": "card"}},
		engine.Command{Kind: engine.CommandImport, Entity: card, Fields: map[string]any{"title": "bad", "categoryId": int64(999)}},
		engine.Command{Kind: engine.CommandImport, Entity: card, Fields: map[string]any{"title": "later", several: nil}},
	)
	write(t, c, engine.Command{Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{"name": "first"}},
		engine.Command{Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{"name": "second"}})
	outcomes, err := c.Write(t.Context(), commands, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		want := engine.OutcomeDone
		switch i {
		case 7, 47:
			want = engine.OutcomeRefused // travels alone, later
		case 46:
			want = engine.OutcomeFailed
		}
		if o.Kind != want || (want == engine.OutcomeDone) != (o.ID > 0) {
			t.Errorf("command %d: %+v, want %s", i, o, want)
		}
	}
	got, err := c.Get(t.Context(), contact, []int64{outcomes[0].ID, outcomes[44].ID}, []string{"name", "phone"})
	if err != nil || got[outcomes[0].ID].Fields["name"] != "row 0" || got[outcomes[44].ID].Fields["name"] != "row 44" {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := box.Stats().ByMethod["crm.item.batchImport"].Calls; n != 1+3+1 {
		t.Errorf("%d calls, want 5", n)
	}
	write(t, c, commands[7], commands[47])
}

// Imports with creation dates keep their order, though one of them can't travel with
// the others: the portal takes none that is older than its newest item.
func TestWrite_importsInTheirOrder(t *testing.T) {
	t.Parallel()
	c, _ := openSandbox(t, sandbox.Options{Seed: "empty"}, unlimited())
	contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
	var commands []engine.Command
	for i, name := range []string{"Ana", "as in $result[x]", "Bea", "Caio"} {
		commands = append(commands, engine.Command{Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{
			"name": name, "createdTime": fmt.Sprintf("2020-01-0%dT10:00:00Z", i+1),
		}})
	}
	for requests := 0; len(commands) > 0; requests++ {
		outcomes, err := c.Write(t.Context(), commands, func() error { return nil })
		if err != nil || requests == 4 {
			t.Fatalf("%d left: %v", len(commands), err)
		}
		var left []engine.Command
		for i, o := range outcomes {
			switch o.Kind {
			case engine.OutcomeRefused:
				left = append(left, commands[i])
			case engine.OutcomeDone:
			default:
				t.Errorf("%v: %+v", commands[i].Fields["name"], o)
			}
		}
		commands = left
	}
}

// A portal without crm.item.batchImport gets single imports.
func TestWrite_importsOnAnOldPortal(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Options{Seed: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	c := openTransport(t, portal.Options{Transport: oldPortal{box.Transport()}, Limits: unlimited()}, box.WebhookPath())
	card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
	command := engine.Command{Kind: engine.CommandImport, Entity: card, Fields: map[string]any{"title": "card"}}
	outcomes := write(t, c, command, command, command)
	if len(outcomes) != 3 || box.Stats().ByMethod["crm.item.import"].Calls != 3 {
		t.Errorf("got %+v", outcomes)
	}
}

// oldPortal knows no crm.item.batchImport.
type oldPortal struct{ next http.RoundTripper }

func (o oldPortal) RoundTrip(r *http.Request) (*http.Response, error) {
	return roundTripEdited(o.next, r, func(body string) string {
		return strings.ReplaceAll(body, "crm.item.batchImport?", "crm.item.unheardOf?")
	})
}

// A request that has left is heard out when the run is interrupted.
func TestWrite_interrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := openSandbox(t, sandbox.Options{Seed: "demo", Cost: map[string]time.Duration{"crm.item.add": 10 * time.Second}}, unlimited())
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		outcomes, err := c.Write(ctx, []engine.Command{{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "x"}}}, func() error { return nil })
		if err != nil || outcomes[0].Kind != engine.OutcomeDone {
			t.Errorf("got %+v, %v", outcomes, err)
		}
	})
}

// A request carries a thousand imports once their cost is known, and no more.
func TestWrite_manyImports(t *testing.T) {
	t.Parallel()
	c, box := openSandbox(t, sandbox.Options{Seed: "empty"}, unlimited())
	contact := entityOf(t, loadCatalog(t, c, "contact"), "contact")
	imports := make([]engine.Command, 1100)
	for i := range imports {
		imports[i] = engine.Command{Kind: engine.CommandImport, Entity: contact, Fields: map[string]any{"name": fmt.Sprint("row ", i)}}
	}
	write(t, c, imports[:5]...)
	if size := c.BatchSize(); size != 1000 {
		t.Errorf("the next request is to carry %d imports, want 1,000", size)
	}
	before := box.Stats()
	outcomes, err := c.Write(t.Context(), imports, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	done := map[engine.OutcomeKind]int{}
	for _, o := range outcomes {
		done[o.Kind]++
	}
	after := box.Stats()
	calls := after.ByMethod["crm.item.batchImport"].Calls - before.ByMethod["crm.item.batchImport"].Calls
	if done[engine.OutcomeDone] != 1000 || done[engine.OutcomeRefused] != 100 || after.Requests != before.Requests+1 || calls != 50 {
		t.Errorf("%v in %d requests and %d calls; want 1,000 in one of 50, and 100 left for later", done, after.Requests-before.Requests, calls)
	}
}
