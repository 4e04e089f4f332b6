package journal

import (
	"crypto/rand"
	"strings"
	"time"
)

// newID makes an id for a plan or run: the time in UTC to the millisecond and
// eight random letters and digits (40 bits), 20261123-100000-123-k7m2qwxa.
// Ids sort by time, can be typed, and can stand in file names.
func newID(now time.Time) string {
	stamp := strings.Replace(now.UTC().Format("20060102-150405.000"), ".", "-", 1)
	return stamp + "-" + strings.ToLower(rand.Text()[:8])
}

// isID says whether text has the form of an id, which a hostile file may not.
func isID(text string) bool {
	if len(text) != len("20261123-100000-123-k7m2qwxa") {
		return false
	}
	for _, c := range []byte(text) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
