package sandbox_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestHistory(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		p := open(t, sandbox.Options{History: true, Latency: time.Second})
		p.call(t, "server.time", `{}`)
		p.call(t, "batch", `{"cmd":{"a":"crm.item.add?entityTypeId=128&fields[xmlId]=k1","b":"crm.item.update?entityTypeId=128&id=$result[a][item][id]&fields[title]=t",
			"c":"crm.item.update?entityTypeId=128&id=$result[a][item][id]&fields[title]=t","d":"crm.item.delete?entityTypeId=128&id=1"}}`)
		p.call(t, "crm.item.batchImport", `{"entityTypeId":3,"data":[{"originId":"r1"},{"originId":"r2"}]}`)
		var got []string
		for _, e := range p.History() {
			got = append(got, fmt.Sprintf("%d %s %s %d/%d %s %v", e.Request, e.Method, e.Kind, e.EntityTypeID, e.ID, e.Key, e.At.Sub(e.Arrived)))
		}
		want := []string{
			"2 crm.item.add create 128/9 k1 1s", "2 crm.item.update update 128/9 k1 1s", "2 crm.item.delete delete 128/1  1s",
			"3 crm.item.batchImport create 3/13 r1 1s", "3 crm.item.batchImport create 3/14 r2 1s",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if out := p.control(t, "GET", "history", ""); !strings.Contains(out, `"key":"r2"`) {
			t.Errorf("history: %s", out)
		}
		if err := p.Reset(); err != nil || len(p.History()) != 0 {
			t.Errorf("after reset: %v %v", err, p.History())
		}
	})
}

func TestDropMidway(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Seed: "empty", Faults: []string{"drop-midway:count=2"}})
	var cmd []string
	for i := range 5 {
		cmd = append(cmd, fmt.Sprintf(`"c%d":"crm.item.add?entityTypeId=128&fields[title]=%d"`, i, i))
	}
	if got := outcome(t, p, "batch", `{"cmd":{`+strings.Join(cmd, ",")+`}}`); got != "dropped" {
		t.Errorf("a batch: got %s", got)
	}
	if got := outcome(t, p, "crm.item.add", `{"entityTypeId":128,"fields":{}}`); got != "dropped" {
		t.Errorf("one command: got %s", got)
	}
	if got := len(p.items(t)); got != 3 {
		t.Errorf("%d items, want 3", got)
	}
}
