package portal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// BenchmarkWrite is what the client itself costs for a batch of fifty additions,
// the sandbox's work on them included; with and without state on disk.
func BenchmarkWrite(b *testing.B) {
	for name, shared := range map[string]bool{"alone": false, "shared": true} {
		b.Run(name, func(b *testing.B) {
			box, err := sandbox.New(sandbox.Options{Seed: "demo"})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { box.Close() })
			limits := portal.CloudLimits()
			limits.Rate = 0
			o := portal.Options{Transport: box.Transport(), Limits: limits}
			if shared {
				o.State = b.TempDir()
			}
			c := openTransport(b, o, box.WebhookPath())
			card := entityOf(b, loadCatalog(b, c, "Onboarding"), "Onboarding")
			commands := make([]engine.Command, 50)
			for i := range commands {
				commands[i] = engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": fmt.Sprint("card ", i), "xmlId": fmt.Sprint("k", i)}}
			}
			write(b, c, commands...)
			for b.Loop() {
				write(b, c, commands...)
			}
		})
	}
}

// BenchmarkScan reads cards of the sandbox at the real limits and a latency of
// 0.1 s, the sandbox's own work included.
func BenchmarkScan(b *testing.B) {
	for _, items := range []int{10_000, 130_000} {
		for name, fields := range map[string][]string{"three fields": {"title", "stageId", "assignedById"}, "all fields": nil} {
			b.Run(fmt.Sprintf("%d items, %s", items, name), func(b *testing.B) {
				box, err := sandbox.New(sandbox.Options{
					Seed: fmt.Sprintf("demo,contacts=20,items=%d", items), Rate: 2, Burst: 50, Latency: 100 * time.Millisecond,
				})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { box.Close() })
				for b.Loop() {
					b.StopTimer()
					box.Reset()
					c := openTransport(b, portal.Options{Transport: box.Transport()}, box.WebhookPath())
					card := entityOf(b, loadCatalog(b, c, "Onboarding"), "Onboarding")
					before := c.Usage()
					b.StartTimer()
					read := 0
					for page, err := range c.Scan(b.Context(), card, nil, fields) {
						if err != nil {
							b.Fatal(err)
						}
						read += len(page)
					}
					used := c.Usage().Since(before)
					b.ReportMetric(float64(used.Requests), "requests")
					b.ReportMetric(float64(used.Commands), "commands")
					b.ReportMetric(float64(read), "items")
				}
			})
		}
	}
}
