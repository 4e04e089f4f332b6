package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authorize is the command authorize of scripts: it authorises the application
// of the sandbox whose webhook is in a file, and describes it in bxflow.yaml as
// the portal app, with its secrets in the environment. They are in the file
// secrets, too, one a line.
func authorize(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: authorize url-file")
	}
	hook, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	base := hook.Scheme + "://" + hook.Host
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/_sandbox/authorize", http.NoBody)
	ts.Check(err)
	response, err := (&http.Client{}).Do(request)
	ts.Check(err)
	defer response.Body.Close()
	var given struct {
		ID      string `json:"client_id"`
		Secret  string `json:"client_secret"`
		Refresh string `json:"refresh_token"`
	}
	ts.Check(json.NewDecoder(response.Body).Decode(&given))
	ts.Check(os.WriteFile(ts.MkAbs("bxflow.yaml"), []byte(
		"portals:\n  app:\n    url: "+base+"/rest/\n    oauth: {client_id: "+given.ID+", token_server: "+base+"/oauth/token/}\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("secrets"), []byte(given.Secret+"\n"+given.Refresh+"\n"), 0o600))
	ts.Setenv("BXFLOW_PORTAL_APP_CLIENT_SECRET", given.Secret)
	ts.Setenv("BXFLOW_PORTAL_APP_REFRESH_TOKEN", given.Refresh)
}
