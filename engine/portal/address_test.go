package portal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/portal"
)

const secret = "s3cr3tT0ken9"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw, want string
	}{
		"a webhook":                     {"https://a.bitrix24.com/rest/1/" + secret + "/", "https://a.bitrix24.com/rest/1/***/"},
		"without the last slash":        {" https://A.Bitrix24.com/rest/17/" + secret + " ", "https://a.bitrix24.com/rest/17/***/"},
		"with a method":                 {"https://a.bitrix24.com/rest/1/" + secret + "/profile.json", "https://a.bitrix24.com/rest/1/***/"},
		"with a port":                   {"https://a.example:8443/rest/1/" + secret + "/", "https://a.example:8443/rest/1/***/"},
		"http on loopback":              {"http://127.0.0.1:8080/rest/1/" + secret + "/", "http://127.0.0.1:8080/rest/1/***/"},
		"http on IPv6 loopback":         {"http://[::1]:8080/rest/1/" + secret + "/", "http://[::1]:8080/rest/1/***/"},
		"http on localhost":             {"http://localhost/rest/1/" + secret + "/", "http://localhost/rest/1/***/"},
		"http elsewhere":                {"http://a.bitrix24.com/rest/1/" + secret + "/", ""},
		"another scheme":                {"ftp://a.bitrix24.com/rest/1/" + secret + "/", ""},
		"no secret":                     {"https://a.bitrix24.com/rest/1/", ""},
		"no user":                       {"https://a.bitrix24.com/rest/zero/" + secret + "/", ""},
		"user 0":                        {"https://a.bitrix24.com/rest/0/" + secret + "/", ""},
		"too long a path":               {"https://a.bitrix24.com/rest/1/" + secret + "/a/b", ""},
		"a secret that alters the path": {"https://a.bitrix24.com/rest/1/" + secret + "%2f../", ""},
		"a query":                       {"https://a.bitrix24.com/rest/1/" + secret + "/?auth=1", ""},
		"a password":                    {"https://u:" + secret + "@a.bitrix24.com/rest/1/" + secret + "/", ""},
		"not a URL":                     {"https://a b/rest/1/" + secret + "/%zz", ""},
		"a name":                        {"main", ""},
		"nothing":                       {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := portal.Parse(tt.raw)
			if err != nil {
				if tt.want != "" {
					t.Fatal(err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds the secret: %v", err)
				}
				return
			}
			if a.String() != tt.want {
				t.Errorf("got %q, want %q", a, tt.want)
			}
		})
	}
}

func TestAddress_neverShowsItsSecret(t *testing.T) {
	t.Parallel()
	a, err := portal.Parse("https://a.bitrix24.com/rest/1/" + secret + "/")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb, a, &a, struct{ A portal.Address }{a})
		fmt.Fprintf(&out, verb, a.Secret)
	}
	text, err := json.Marshal(map[string]any{"a": a, "s": a.Secret})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "a", a, "secret", a.Secret, "in", map[string]any{"a": a})
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("the secret shows in %s", out.String())
	}
	if !strings.Contains(a.Reveal(), secret) {
		t.Errorf("Reveal gave %q", a.Reveal())
	}
}
