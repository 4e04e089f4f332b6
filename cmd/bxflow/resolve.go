package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine/portal"
)

// The words for the built-in sandbox.
const (
	wordSandbox = "sandbox"        // its contents live in the state folder
	wordMemory  = "sandbox:memory" // its contents end with the program
	// sandbox:NAME is one more, with contents of its own in the state folder.
	wordNamed = "sandbox:"
)

// target is the portal that a command works on, before anything is sent.
type target struct {
	ref     string // as it was named: a name or a word for the sandbox, never a URL
	sandbox string // wordSandbox, wordMemory or wordNamed with a name; empty: the portal at address
	address portal.Address
	app     *portal.Application // that calls it; nil: a webhook
	limits  portal.Limits
	seed    string // what a sandbox begins with; empty: the demo
}

// key tells one open portal from another.
func (t target) key() string {
	if t.sandbox != "" {
		return fmt.Sprint(t.sandbox, " ", t.limits)
	}
	if t.app != nil {
		return fmt.Sprint(t.ref, " ", t.address, " ", t.app.ClientID, " ", t.limits)
	}
	return fmt.Sprint(t.address.Reveal(), " ", t.limits)
}

// resolve finds the portal: --portal wins over the job's, which wins over
// BXFLOW_PORTAL; without any of them it is the built-in sandbox. Files named
// bxflow.yaml are looked for in dir and above.
func (a *app) resolve(ofJob, dir string) (target, error) {
	value := wordSandbox
	fromEnv, _ := a.getenv("BXFLOW_PORTAL")
	for _, v := range []string{a.flags.portal, ofJob, fromEnv} {
		if v = strings.TrimSpace(v); v != "" {
			value = v
			break
		}
	}
	t, described, err := a.locate(value, dir)
	if err != nil {
		return target{}, err
	}
	t.limits, err = a.limits(described)
	return t, err
}

// resolveName finds a portal that a job names beside its own.
func (a *app) resolveName(name, dir string) (target, error) {
	t, described, err := a.locate(name, dir)
	if err != nil {
		return target{}, err
	}
	t.limits, err = a.limits(described)
	return t, err
}

// locate turns a word, a URL or a name into a portal, and says what bxflow.yaml
// has on it.
func (a *app) locate(value, dir string) (target, *portalConfig, error) {
	switch {
	case isSandbox(value):
		return target{ref: value, sandbox: value}, nil, nil
	case strings.Contains(value, "://"):
		address, err := portal.Parse(value)
		if err != nil {
			return target{}, nil, usage("%w", err)
		}
		return target{address: address}, nil, nil
	}
	raw, described, err := a.named(value, dir)
	if err != nil {
		return target{}, nil, err
	}
	if isSandbox(raw) {
		return target{ref: value, sandbox: raw, seed: described.seed()}, described, nil
	}
	if described != nil && described.OAuth != nil {
		t, err := a.application(value, raw, *described.OAuth)
		return t, described, err
	}
	address, err := portal.Parse(raw)
	if err != nil {
		return target{}, nil, usage("portal %q: %w", value, err)
	}
	return target{ref: value, address: address}, described, nil
}

func isSandbox(value string) bool {
	return value == wordSandbox || value == wordMemory || sandboxName(value) != ""
}

// sandboxName is the name in sandbox:NAME, "" in other words.
func sandboxName(value string) string {
	name, ok := strings.CutPrefix(value, wordNamed)
	if !ok || value == wordMemory || !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`).MatchString(name) {
		return ""
	}
	return name
}

// named looks a portal's name up: in BXFLOW_PORTAL_NAME, in the file named by
// BXFLOW_PORTAL_NAME_FILE, in bxflow.yaml.
func (a *app) named(name, dir string) (raw string, described *portalConfig, err error) {
	if !regexp.MustCompile(`^[\pL\pN][\pL\pN_.-]*$`).MatchString(name) {
		return "", nil, usage("portal: this is neither a name nor a webhook URL; want a name such as main, or https://host/rest/1/secret/")
	}
	variable := variableOf(name)
	described, looked, err := findPortal(name, dir)
	if err != nil {
		return "", nil, err
	}
	value, err := a.secret(name, variable)
	if err != nil || value != "" {
		return value, described, err
	}
	if described != nil && described.URL != "" {
		return described.URL, described, nil
	}
	where := "there is no " + configName + " beside the job or above it"
	if len(looked) > 0 {
		where = "looked in " + strings.Join(looked, ", ")
	}
	return "", nil, usage("portal %q is not known: %s; set %s to its webhook URL", name, where, variable)
}

// variableOf is the environment variable of a portal's name.
func variableOf(name string) string {
	return "BXFLOW_PORTAL_" + strings.ToUpper(regexp.MustCompile(`[^\pL\pN]`).ReplaceAllString(name, "_"))
}

// secret reads a variable, else the file that the variable with _FILE at its end
// names; it is empty where there is neither.
func (a *app) secret(name, variable string) (string, error) {
	if value, ok := a.getenv(variable); ok && value != "" {
		return strings.TrimSpace(value), nil
	}
	path, ok := a.getenv(variable + "_FILE")
	if !ok || path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the user names the file of his own secret
	if err != nil {
		return "", usage("portal %q: %s_FILE: %w", name, variable, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// application is a portal that is called by an application. Its secrets come
// from the environment, or from files that it names.
func (a *app) application(name, raw string, o oauthConfig) (target, error) {
	if o.ClientSecret != "" || o.RefreshToken != "" || o.AccessToken != "" {
		return target{}, usage("%s: portal %q: secrets of an application have no place in the file; set %s and %s, or the same with _FILE",
			configName, name, variableOf(name)+"_CLIENT_SECRET", variableOf(name)+"_REFRESH_TOKEN")
	}
	if o.ClientID == "" {
		return target{}, usage("%s: portal %q: oauth has no client_id; it is in the portal, with the application", configName, name)
	}
	address, err := portal.ParseApplication(raw)
	if err != nil {
		return target{}, usage("portal %q: %w", name, err)
	}
	app := &portal.Application{ClientID: o.ClientID, Server: o.TokenServer}
	for _, s := range []struct {
		ending string
		into   *portal.Secret
	}{{"_CLIENT_SECRET", &app.Secret}, {"_REFRESH_TOKEN", &app.Refresh}} {
		variable := variableOf(name) + s.ending
		text, err := a.secret(name, variable)
		if err != nil {
			return target{}, err
		}
		if text == "" {
			return target{}, usage("portal %q: its application needs a secret that is not there; set %s, or %s_FILE to the file that has it", name, variable, variable)
		}
		*s.into = portal.NewSecret(text)
	}
	app.Folder, err = portal.KeptTokens()
	return target{ref: name, address: address, app: app}, err
}

// limits are what bxflow assumes of the portal: --limits, else `limits` of
// bxflow.yaml, each over what the portal's plan gives.
func (a *app) limits(described *portalConfig) (portal.Limits, error) {
	l := portal.CloudLimits()
	if described != nil {
		if err := applyPlan(&l, described.Plan); err != nil {
			return l, err
		}
		for key, value := range described.Limits {
			if err := setLimit(&l, key, value); err != nil {
				return l, usage("%s: limits: %w", configName, err)
			}
		}
	}
	given := map[string]string{}
	for pair := range strings.SplitSeq(strings.Join(a.flags.limits, ","), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			return l, usage("--limits: %q is not name=value", pair)
		}
		if before, twice := given[key]; twice && before != value {
			return l, usage("--limits: %s is both %s and %s; keep one", key, before, value)
		}
		given[key] = value
		if err := setLimit(&l, key, value); err != nil {
			return l, usage("--limits: %w", err)
		}
	}
	return l, nil
}

// applyPlan sets the limits of a portal's plan: Enterprise has its own, all
// others share theirs.
func applyPlan(l *portal.Limits, plan string) error {
	switch strings.ToLower(plan) {
	case "":
	case "enterprise":
		*l = portal.EnterpriseLimits()
	default:
		known := []string{"free", "basic", "standard", "professional"}
		if !slices.Contains(known, strings.ToLower(plan)) {
			return usage("%s: plan %q is not known; use %s or enterprise", configName, plan, strings.Join(known, ", "))
		}
	}
	return nil
}

// setLimit sets one limit by its name.
func setLimit(l *portal.Limits, key, value string) error {
	var err error
	switch key {
	case "rate":
		l.Rate, err = positive(key, value)
	case "burst":
		l.Burst, err = positive(key, value)
	case "operating":
		l.Operating, err = span(key, value)
	case "window":
		l.Window, err = span(key, value)
	case "request":
		l.Request, err = span(key, value)
	default:
		err = fmt.Errorf("%q is not a limit; use rate, burst, operating, window or request", key)
	}
	return err
}

func positive(key, value string) (float64, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n < 0 || n > 1e6 || n != n {
		return 0, fmt.Errorf("%s: %q is not a number from 0 to 1000000", key, value)
	}
	return n, nil
}

// span reads a duration; 0 needs no unit.
func span(key, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("%s: %q is not a duration such as 60s or 10m", key, value)
	}
	return d, nil
}
