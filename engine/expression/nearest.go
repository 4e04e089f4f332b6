package expression

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Suggest is the remedy for a name that fits nothing: the known name that is nearest to it, or else a few that exist. It
// sorts known.
func Suggest(name string, known []string) string {
	const few = 8
	slices.Sort(known)
	if best, ok := Nearest(name, known); ok {
		return fmt.Sprintf("did you mean %q?", best)
	}
	switch {
	case len(known) == 0:
		return "there is none here"
	case len(known) <= few:
		return "there is " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("there is %s and %d more", strings.Join(known[:few], ", "), len(known)-few)
}

// Nearest finds the known name with the smallest edit distance, upper and lower case being equal, if it is a likely
// misspelling: at most a third of the name differs. Failing that, a name of which one is the beginning of the other.
func Nearest(name string, known []string) (string, bool) {
	const longest = 500 // characters that are compared: their product is what it costs
	length := utf8.RuneCountInString(name)
	if length > longest {
		return "", false
	}
	limit := (length + 1) / 3
	best, found := "", false
	for _, k := range known {
		if utf8.RuneCountInString(k) > length+limit { // its distance is that, at least
			continue
		}
		if d := Distance(name, k); d <= limit {
			best, found, limit = k, true, d-1
		}
	}
	if found {
		return best, true
	}
	const tellsEnough = 3
	for _, k := range known {
		short, long := strings.ToLower(name), strings.ToLower(k)
		if len(short) > len(long) {
			short, long = long, short
		}
		if len(short) >= tellsEnough && strings.HasPrefix(long, short) {
			return k, true
		}
	}
	return "", false
}

// Distance counts the insertions, deletions, replacements and swaps of neighbours that turn one name into the other, upper
// and lower case being equal.
func Distance(from, to string) int {
	a, b := []rune(strings.ToLower(from)), []rune(strings.ToLower(to))
	var before []int
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}
