package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// told is a request in one line, its times in seconds since a moment.
func told(r *sandbox.Request, since time.Time) string {
	commands := make([]string, 0, len(r.Commands))
	for _, c := range r.Commands {
		text := fmt.Sprintf("%s %d/%d", c.Method, c.EntityTypeID, c.ID)
		for _, part := range []struct {
			text string
			here bool
		}{{strings.Join(c.Keys, "+"), len(c.Keys) > 0}, {"whole", c.Whole}, {"done", c.Done}, {c.Error, c.Error != ""}} {
			if part.here {
				text += " " + part.text
			}
		}
		commands = append(commands, text)
	}
	seconds := func(t time.Time) float64 { return t.Sub(since).Seconds() }
	return fmt.Sprintf("%d %s [%s] %g-%g in=%t %s %d %s %s",
		r.Number, r.Method, strings.Join(commands, ", "), seconds(r.Arrived), seconds(r.Ended), r.LetIn, r.Answered, r.Status, r.Error, r.Fault)
}

func TestRequests(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{
			Seed: "empty", History: true, Latency: time.Second, RequestLimit: 10 * time.Second,
			Cost: map[string]time.Duration{"crm.item.delete": 20 * time.Second},
			Faults: []string{
				"limit-503:nth=4", "drop-before:nth=4", "drop-after:nth=4", "truncate:nth=4", "html-502:nth=4", "late:nth=4,delay=5s",
			},
		})
		began := time.Now()
		add := `{"entityTypeId":128,"fields":{"xmlId":"k","originId":"o"}}`
		for _, c := range [][2]string{
			{"batch", `{"cmd":{"a":"crm.item.add?entityTypeId=128&fields[XML_ID]=k1","b":"crm.item.get?entityTypeId=128&id=9","c":"no.such"}}`},
			{"crm.item.batchImport", `{"entityTypeId":3,"data":[{"originId":"r1"},{"ORIGIN_ID":"r2"},{}]}`},
			{"crm.item.list", `{"entityTypeId":128,"filter":{"@xmlId":["k1","k2"],"0":{"logic":"OR","0":{"=xmlId":"k3"}}}}`},
			{"crm.item.add", add},
			{"crm.item.add", add},
			{"crm.item.add", add},
			{"crm.item.add", add},
			{"crm.item.add", add},
			{"crm.item.add", add},
			{"crm.item.list", `{"entityTypeId":128,"filter":{">id":7}}`},
			{"crm.item.list", `{"entityTypeId":128,"filter":{"!xmlId":"k1"}}`},
			{"crm.item.delete", `{"entityTypeId":128,"id":1}`},
		} {
			outcome(t, p, c[0], c[1])
		}
		pass(t, time.Minute) // until all work is over
		var got []string
		for _, r := range p.Requests() {
			got = append(got, told(&r, began))
		}
		want := []string{
			"1 batch [crm.item.add 128/0 k1 done, crm.item.get 128/9 NOT_FOUND, no.such 0/0 ERROR_METHOD_NOT_FOUND] 0-1 in=true answered 200  ",
			"2 crm.item.batchimport [crm.item.batchimport 3/0 r1+r2+ done] 1-2 in=true answered 200  ",
			"3 crm.item.list [crm.item.list 128/0 k1+k2+k3 done] 2-3 in=true answered 200  ",
			"4 crm.item.add [crm.item.add 128/0 k] 3-3 in=false refused 503 QUERY_LIMIT_EXCEEDED limit-503",
			"5 crm.item.add [crm.item.add 128/0 k] 3-3 in=false dropped 0  drop-before",
			"6 crm.item.add [crm.item.add 128/0 k done] 3-4 in=true dropped 0  drop-after",
			"7 crm.item.add [crm.item.add 128/0 k done] 4-5 in=true cut 200  truncate",
			"8 crm.item.add [crm.item.add 128/0 k] 5-5 in=false refused 502  html-502",
			"9 crm.item.add [crm.item.add 128/0 k done] 5-11 in=true dropped 0  late",
			"10 crm.item.list [crm.item.list 128/0 whole done] 5-6 in=true answered 200  ",
			"11 crm.item.list [crm.item.list 128/0 done] 6-7 in=true answered 200  ",
			"12 crm.item.delete [crm.item.delete 128/1 done] 7-28 in=true dropped 0  ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if out := p.control(t, "GET", "requests", ""); !strings.Contains(out, `"keys":["k1","k2","k3"]`) {
			t.Errorf("requests: %s", out)
		}
		if err := p.Reset(); err != nil || len(p.Requests()) != 0 {
			t.Errorf("after reset: %v %v", err, p.Requests())
		}
		if quiet := open(t, sandbox.Options{}); outcome(t, quiet, "server.time", `{}`) != "200 " || len(quiet.Requests()) != 0 {
			t.Errorf("unasked: %v", quiet.Requests())
		}
	})
}
