package report_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// busy is the load of a portal whose bucket is full.
var busy = engine.Load{
	Bucket:    engine.Bucket{Used: 50, Burst: 50, Rate: 2},
	Execution: []engine.Execution{{Method: "crm.item.add", Used: 300, Limit: 480, ResetsIn: 12.34}},
}

// work tells a progress of 1200 changes in two minutes. Each count lasts longer
// than a frame of the bar, which so shows them all.
func work(p *report.Progress) {
	for done := 0; done < 1200; done += 2 {
		p.Update(engine.Progress{Phase: "apply", Done: done, Total: 1200, Failed: done / 500, Load: busy})
		<-time.After(200 * time.Millisecond)
	}
	p.Done(false)
}

func TestProgress_logsEveryTenSeconds(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, 0)
		p.LogTo(slog.New(slog.NewTextHandler(p, nil)))
		work(p)
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 11 {
			t.Errorf("%d lines in two minutes, want 11:\n%s", len(lines), b.String())
		}
		want := `msg=progress phase=apply done=600 total=1200 failed=1 left="1 min" limit="bucket 50/50 used, 2.0/s; crm.item.add 300/480 s used"`
		if !strings.Contains(b.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, b.String())
		}
	})
}

func TestProgress_showsABar(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, 80)
		work(p)
		for _, want := range []string{"apply 600 of 1200", "10/s, 1 min left, 1 failed, bucket 50/50 used, 2.0/s", "apply 1198 of 1200  done"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the bar never shows %q", want)
			}
		}
	})
}

func TestProgress_leavesQuickWorkAlone(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, 80)
		for done := range 3 {
			p.Update(engine.Progress{Phase: "apply", Done: done, Total: 3})
			<-time.After(100 * time.Millisecond)
		}
		p.Done(false)
		if b.Len() > 0 {
			t.Errorf("wrote %q", b.String())
		}
	})
}

func TestProgress_keepsLinesApartFromTheBar(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, 80)
		p.Update(engine.Progress{Phase: "apply", Total: 9})
		<-time.After(time.Second)
		p.Update(engine.Progress{Phase: "apply", Done: 1, Total: 9})
		if _, err := p.Write([]byte("the portal moved\n")); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		p.Done(true)
		if !strings.Contains(b.String(), "the portal moved\n") || !strings.Contains(b.String(), "apply 1 of 9  stopped") {
			t.Errorf("wrote %q", b.String())
		}
	})
}
