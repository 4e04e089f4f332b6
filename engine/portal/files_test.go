package portal_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
)

func TestEncode_files(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("one"))
	local := engine.File{Name: "a.txt", Size: 3, SHA256: hex.EncodeToString(sum[:]), Path: path}
	docs := &engine.Field{Name: "docs", Type: engine.FieldFile, Multiple: true}
	wire, err := portal.Encode(docs, []any{engine.File{ID: 4, URL: "x"}, local})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(wire)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`[{"id":4},["a.txt","b25l"]]`, string(text)); diff != "" {
		t.Errorf("wire (-want +got):\n%s", diff)
	}
	local.Size = 4
	if wire, err := portal.Encode(docs, []any{local}); wire != nil || err == nil || !strings.Contains(err.Error(), "plan again") {
		t.Errorf("of a file that has changed: %v, %v", wire, err)
	}
}

// The addresses of files for programs hold the webhook's secret.
func TestAddress_scrubAnswer(t *testing.T) {
	t.Parallel()

	address, err := portal.Parse("https://portal.test/rest/1/abc123/")
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]string{
		`{"urlMachine":"https:\/\/portal.test\/rest\/1\/abc123\/crm.controller.item.getFile\/?token=x"}`: `{"urlMachine":"https:\/\/portal.test\/rest\/1\/***\/crm.controller.item.getFile\/?token=x"}`,
		`{"urlMachine":"/rest/1/abc123/crm"}`: `{"urlMachine":"/rest/1/***/crm"}`,
		`{"title":"abc123"}`:                  `{"title":"abc123"}`,
	} {
		if got := string(portal.ScrubAnswer(address, []byte(answer))); got != want {
			t.Errorf("%s became %s", answer, got)
		}
	}
}
