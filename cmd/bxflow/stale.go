package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// maxStale is how many things of a portal a refusal names.
const maxStale = 4

// thisPortal refuses a plan that was made for another portal.
func thisPortal(h *engine.Header, id, address string) error {
	switch {
	case id != h.Portal.ID && address == h.Portal.Address: // two sandboxes, or users of an application
		return refused("plan %s: was made for %s, and this is another of that name (%s, not %s); name the portal with --portal",
			h.ID, h.Portal.Address, id, h.Portal.ID)
	case id != h.Portal.ID:
		return refused("plan %s: was made for %s, and this is %s; name the portal with --portal", h.ID, h.Portal.Address, address)
	}
	return nil
}

// sameCatalog refuses a plan that was made while the portal's fields, stages or
// people were others.
func sameCatalog(h *engine.Header, c *engine.Catalog) error {
	if what := changedSince(h, c); what != "" {
		return refused("plan %s: was made at %s, and since then %s; make it again", h.ID, moment(h.Created), what)
	}
	return nil
}

// changedSince names what of a portal was changed or removed since a plan was
// made; empty if nothing was.
func changedSince(h *engine.Header, c *engine.Catalog) string {
	if h.Parts == nil { // a plan of an earlier bxflow
		if c.Fingerprint() != h.Catalog {
			return "fields, stages or people of the portal were changed"
		}
		return ""
	}
	changes := c.Changes(h.Parts)
	told := strings.Join(changes[:min(len(changes), maxStale)], ", ")
	if more := len(changes) - maxStale; more > 0 {
		told += fmt.Sprintf(" and %d more", more)
	}
	return told
}

// sameJob refuses a plan whose job file was changed. Without the file the plan
// speaks for itself, and so does one that takes a run back.
func sameJob(h *engine.Header) error {
	if h.JobHash == "" || h.Undoes != "" {
		return nil
	}
	parts := append([]engine.FileInfo{{Path: h.JobFile, SHA256: h.JobHash}}, h.Includes...)
	for _, f := range parts {
		sum, changed, err := digest(f.Path)
		if err != nil || sum == f.SHA256 { // a file that can't be read is as good as none
			continue
		}
		return refused("plan %s: was made at %s, and its job %s is another now, changed at %s; make it again",
			h.ID, moment(h.Created), f.Path, moment(changed))
	}
	return nil
}

// mentionFiles warns of input files that were changed since the plan was made:
// what is applied are the rows that the plan has.
func (a *app) mentionFiles(h *engine.Header) {
	for _, f := range h.Files {
		if f.Database != "" {
			continue
		}
		sum, changed, err := digest(f.Path)
		if err == nil && sum != f.SHA256 {
			a.log.Warn("an input file was changed since the plan was made; the plan's rows are applied",
				"file", f.Path, "changed", moment(changed), "plan made", moment(h.Created))
		}
	}
}

// digest is the SHA-256 of a file, in hex, and when the file was changed last.
func digest(path string) (sum string, changed time.Time, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // a pipe would never end
		return "", changed, errors.Join(err, fs.ErrInvalid)
	}
	f, err := os.Open(path) //nolint:gosec // a file that the user's plan was made from
	if err != nil {
		return "", changed, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", changed, err
	}
	return hex.EncodeToString(h.Sum(nil)), info.ModTime(), nil
}

// moment is a time as messages have it, in the zone of whoever reads them.
func moment(t time.Time) string { return t.Local().Format(time.DateTime) }
