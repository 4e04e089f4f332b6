package sandbox_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// askTokens asks the token server, by POST or, as the guide shows it, by GET.
func askTokens(t *testing.T, box *sandbox.Portal, method string, form url.Values) (int, map[string]any) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "https://oauth.test/oauth/token/", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == http.MethodGet {
		request = httptest.NewRequestWithContext(t.Context(), method, "https://oauth.test/oauth/token/?"+form.Encode(), http.NoBody)
	}
	return served(t, box, request)
}

// callAs calls profile with an access token.
func callAs(t *testing.T, box *sandbox.Portal, token string) (int, map[string]any) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://portal.test/rest/profile", strings.NewReader(`{"auth":"`+token+`"}`))
	request.Header.Set("Content-Type", "application/json")
	return served(t, box, request)
}

func served(t *testing.T, box *sandbox.Portal, request *http.Request) (int, map[string]any) {
	t.Helper()
	response := httptest.NewRecorder()
	box.ServeHTTP(response, request)
	var answer map[string]any
	if err := json.Unmarshal(response.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, response.Body)
	}
	return response.Code, answer
}

// A refresh token serves once, an access token for its time; the answer has the
// documented members.
func TestTokenServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, err := sandbox.New(sandbox.Options{Seed: "empty", TokenLife: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer box.Close()
		given := box.Authorize()
		form := url.Values{
			"grant_type": {"refresh_token"}, "client_id": {given.ClientID}, "client_secret": {given.ClientSecret},
			"refresh_token": {given.RefreshToken},
		}
		with := func(name, value string) url.Values {
			changed := maps.Clone(form)
			changed.Set(name, value)
			return changed
		}
		for name, tt := range map[string]struct {
			form url.Values
			want string
		}{
			"another grant":    {with("grant_type", "password"), "invalid_request"},
			"another client":   {with("client_id", "local.x"), "invalid_client"},
			"a wrong secret":   {with("client_secret", "x"), "invalid_client"},
			"an unknown token": {with("refresh_token", "x"), "invalid_grant"},
		} {
			if status, answer := askTokens(t, box, http.MethodPost, tt.form); status != http.StatusBadRequest || answer["error"] != tt.want {
				t.Errorf("%s: %d %v", name, status, answer)
			}
		}
		status, pair := askTokens(t, box, http.MethodPost, form)
		for _, name := range []string{
			"access_token", "expires", "expires_in", "scope", "domain", "server_endpoint", "status", "client_endpoint", "member_id", "user_id", "refresh_token",
		} {
			if _, ok := pair[name]; !ok || status != http.StatusOK {
				t.Errorf("%d, no %s in %v", status, name, pair)
			}
		}
		if pair["client_endpoint"] != "https://oauth.test/rest/" || pair["expires_in"] != 3600.0 {
			t.Errorf("got %v", pair)
		}
		if _, answer := askTokens(t, box, http.MethodPost, form); answer["error"] != "invalid_grant" {
			t.Errorf("the spent refresh token gave %v", answer)
		}
		access, _ := pair["access_token"].(string)
		refresh, _ := pair["refresh_token"].(string)
		for _, token := range []string{given.AccessToken, access} {
			if status, answer := callAs(t, box, token); status != http.StatusOK {
				t.Errorf("%d %v", status, answer)
			}
		}
		<-time.After(time.Hour)
		if status, answer := callAs(t, box, access); status != http.StatusUnauthorized || answer["error"] != "expired_token" {
			t.Errorf("after an hour: %d %v", status, answer)
		}
		if status, answer := callAs(t, box, "x"); status != http.StatusUnauthorized || answer["error"] != "invalid_token" {
			t.Errorf("an unknown token: %d %v", status, answer)
		}
		_, pair = askTokens(t, box, http.MethodGet, with("refresh_token", refresh))
		access, _ = pair["access_token"].(string)
		if status, answer := callAs(t, box, access); status != http.StatusOK {
			t.Errorf("%d %v", status, answer)
		}
		box.ExpireTokens()
		if _, answer := callAs(t, box, access); answer["error"] != "expired_token" {
			t.Errorf("after all expired: %v", answer)
		}
	})
}
