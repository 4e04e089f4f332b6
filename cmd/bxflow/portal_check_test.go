package main

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// employee is a sandbox whose user is no administrator, lists none of some
// entities, and lacks a method.
type employee struct {
	box    http.RoundTripper
	denied string // a part of the body of a list that is refused
	lacks  string
}

// RoundTrip implements [http.RoundTripper].
func (e employee) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(body))
	response, err := e.box.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(answer), `"ADMIN":true`, `"ADMIN":false`)
	if e.denied != "" && strings.Contains(r.URL.Path, "crm.item.list") && strings.Contains(string(body), e.denied) {
		response.StatusCode, text = http.StatusBadRequest, `{"error":"ACCESS_DENIED","error_description":"Access denied."}`
	}
	if e.lacks != "" && strings.Contains(string(body), e.lacks) {
		text = strings.Replace(text, `{"isExisting":true,"isAvailable":true}`, `{"isExisting":false,"isAvailable":false}`, 1)
	}
	response.Body, response.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return response, nil
}

// What a portal tells about the rights of a user who has not all of them.
func TestPortalCheck_rights(t *testing.T) {
	t.Parallel()
	const onboarding = "testdata/jobs/onboarding.yaml"
	tests := map[string]struct {
		portal employee
		job    string
		want   string
	}{
		"an employee who may read": {employee{}, onboarding, ""},
		"one who may not":          {employee{denied: `"entityTypeId":128`}, onboarding, "the user may not read Onboarding, which the job needs; have an administrator give the right"},
		"an old portal":            {employee{lacks: "method.get"}, onboarding, "the portal has no crm.item.add, which the job needs; it must be updated"},
		"one who is to merge":      {employee{}, "../../examples/duplicates/duplicates.yaml", "the job merges items, which the portal lets only administrators do"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box, err := sandbox.New(sandbox.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			address, err := portal.Parse("https://sandbox" + box.WebhookPath())
			if err != nil {
				t.Fatal(err)
			}
			tt.portal.box = box.Transport()
			limits := portal.CloudLimits()
			client, err := portal.Open(portal.Options{Address: address, Transport: tt.portal, Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			s := &session{Client: client, target: target{limits: limits}}
			job, err := newApp().loadJob(filepath.FromSlash(tt.job), true)
			if err != nil {
				t.Fatal(err)
			}
			c, err := s.check(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := c.list(s).JSON(&out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), `"untold":"whether the user may add and change; a canary shows it: bxflow run --canary 1"`) {
				t.Errorf("it shows %s", out.String())
			}
			got := ""
			if err := c.lacking(s); err != nil {
				got = err.Error()
			}
			if got != tt.want && (tt.want == "" || !strings.HasPrefix(got, tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
