package portal_test

import (
	"fmt"
	"testing"

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
