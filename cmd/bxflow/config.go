package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// configName is the file that describes portals, beside a job or above it.
const configName = "bxflow.yaml"

// config is a bxflow.yaml.
type config struct {
	Portals map[string]portalConfig `yaml:"portals"`
}

// portalConfig describes one portal of a bxflow.yaml:
//
//	portals:
//	  main: https://host/rest/1/secret/
//	  big:
//	    url: https://host/rest/1/secret/
//	    plan: enterprise
//	    limits: {rate: 5, burst: 250, request: 60s}
//	  app:
//	    url: https://host/rest/
//	    oauth: {client_id: local.1}
//	  copy: {url: "sandbox:copy", empty: true, names: pt}
type portalConfig struct {
	URL    string            `yaml:"url"`
	Plan   string            `yaml:"plan"`
	Limits map[string]string `yaml:"limits"`
	Empty  bool              `yaml:"empty"` // a built-in sandbox begins without items
	Names  string            `yaml:"names"` // of its stages, lists and options: pt; empty: English
	OAuth  *oauthConfig      `yaml:"oauth"`
}

// oauthConfig describes the application that calls a portal. What is secret of
// it has no place in a file that may be shared, and is refused there.
type oauthConfig struct {
	ClientID    string `yaml:"client_id"`
	TokenServer string `yaml:"token_server"`

	ClientSecret string `yaml:"client_secret"`
	RefreshToken string `yaml:"refresh_token"`
	AccessToken  string `yaml:"access_token"`
}

// UnmarshalYAML takes a bare URL for a portal with nothing else to say.
func (p *portalConfig) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		p.URL = node.Value
		return nil
	}
	type described portalConfig
	var d described
	if err := node.Load(&d, yaml.WithKnownFields()); err != nil {
		return err
	}
	*p = portalConfig(d)
	return nil
}

// The seeds of a built-in sandbox.
const (
	seedDemo  = "demo"
	seedEmpty = "empty"
)

// seed is what a built-in sandbox begins with; nil is one without a description.
func (p *portalConfig) seed() string {
	seed := seedDemo
	switch {
	case p == nil:
		return seed
	case p.Empty:
		seed = seedEmpty
	}
	if p.Names != "" {
		seed += ",names=" + p.Names
	}
	return seed
}

// findPortal looks a portal up in the bxflow.yaml of a folder, then in those of
// the folders above it. The files that were looked at come back too.
func findPortal(name, dir string) (found *portalConfig, looked []string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	for {
		path := filepath.Join(dir, configName)
		c, err := readConfig(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, looked, err
		default:
			if p, ok := c.Portals[name]; ok {
				return &p, append(looked, path), nil
			}
			looked = append(looked, path+" (it has "+knownPortals(c)+")")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, looked, nil
		}
		dir = parent
	}
}

func knownPortals(c config) string {
	if len(c.Portals) == 0 {
		return "no portals"
	}
	return strings.Join(slices.Sorted(maps.Keys(c.Portals)), ", ")
}

func readConfig(path string) (config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the place is fixed by the job's folder
	if err != nil {
		return config{}, err
	}
	var c config
	if err := yaml.Load(text, &c, yaml.WithKnownFields()); err != nil {
		return config{}, usage("%s: %s", path, withoutValues(err.Error()))
	}
	return c, nil
}

// withoutValues takes what YAML quotes out of its errors: in this file it may be
// a secret that stands where it doesn't belong.
func withoutValues(text string) string {
	return regexp.MustCompile("`[^`]*`|'[^']*'").ReplaceAllString(text, "***")
}
