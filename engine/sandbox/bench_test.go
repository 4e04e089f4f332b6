package sandbox_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// batchOf makes a batch body of fifty commands.
func batchOf(command func(i int) string) string {
	var b strings.Builder
	b.WriteString(`{"halt":0,"cmd":{`)
	for i := range 50 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%q", fmt.Sprintf("c%d", i), command(i))
	}
	b.WriteString("}}")
	return b.String()
}

func addCard(i int) string {
	return escape("crm.item.add", "entityTypeId", "128", "useOriginalUfNames", "Y", "fields[title]", fmt.Sprint("Card ", i),
		"fields[xmlId]", fmt.Sprint("job:row", i), "fields[categoryId]", "42", "fields[stageId]", "DT128_42:NEW",
		"fields[contactIds][0]", "1", "fields[UF_CRM_41_1737980095947]", "some notes about it",
		"fields[UF_CRM_41_1737980412420]", "85", "fields[opportunity]", "1250.5")
}

// overHTTP measures fifty commands a request over loopback.
func overHTTP(b *testing.B, o sandbox.Options, command func(i int) string) {
	b.Helper()
	p, err := sandbox.New(o)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	srv := httptest.NewServer(p)
	defer srv.Close()
	body := []byte(batchOf(command))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, srv.URL+p.WebhookPath()+"batch", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				b.Error(err)
			}
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)*50/b.Elapsed().Seconds(), "commands/s")
}

func BenchmarkBatchAdd(b *testing.B) { overHTTP(b, sandbox.Options{}, addCard) }

func BenchmarkBatchAddToFile(b *testing.B) {
	overHTTP(b, sandbox.Options{DataFile: filepath.Join(b.TempDir(), "portal.data")}, addCard)
}

func BenchmarkBatchGet(b *testing.B) {
	overHTTP(b, sandbox.Options{}, func(i int) string { return fmt.Sprintf("crm.item.get?entityTypeId=128&id=%d", i%8+1) })
}

func BenchmarkBatchUpdate(b *testing.B) {
	overHTTP(b, sandbox.Options{Seed: "demo,items=1000"}, func(i int) string {
		return escape("crm.item.update", "entityTypeId", "128", "id", strconv.Itoa(i+1), "fields[title]", "same")
	})
}

// A page of fifty ids, as a look-up of keys asks for it.
func BenchmarkBatchLookUp(b *testing.B) {
	overHTTP(b, sandbox.Options{Seed: "demo,contacts=20000"}, func(i int) string {
		pairs := []string{"entityTypeId", "3", "start", "-1", "select[0]", "id", "order[id]", "ASC"}
		for k := range 50 {
			pairs = append(pairs, fmt.Sprintf("filter[@ufCrm_1737980095947][%d]", k), fmt.Sprintf("nope%d", i*50+k))
		}
		return escape("crm.item.list", pairs...)
	})
}

func BenchmarkPageByID(b *testing.B) {
	p := open(b, sandbox.Options{Seed: "demo,contacts=0,items=200000"})
	b.ResetTimer()
	for n := range b.N {
		p.ids(b, fmt.Sprintf(`"start":-1,"order":{"id":"ASC"},"filter":{">id":%d}`, n*50%200000))
	}
}

func BenchmarkSeedMillion(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p, err := sandbox.New(sandbox.Options{Seed: "demo,contacts=100000,items=1000000"})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1.1e6, "bytes/item")
		p.Close()
	}
}

func BenchmarkOpenFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "portal.data")
	for b.Loop() {
		p, err := sandbox.New(sandbox.Options{DataFile: path, Seed: "demo,contacts=50000,items=50000"})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
