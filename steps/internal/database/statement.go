package database

import (
	"regexp"
	"slices"
	"strings"
)

// check refuses what is not one query. What a query could still do, by functions
// that write, the read-only transaction refuses.
func (s *Source) check(statement string) error {
	const remedy = "; write one query, which begins with select or with"
	word := firstWord(statement)
	if !slices.Contains([]string{"select", "with", "values", "table"}, word) {
		return &StatementError{"sql: the statement is not a query" + remedy}
	}
	if s.kind == mysqlServe && regexp.MustCompile(`(?i)\binto\s+(outfile|dumpfile)\b|/\*!`).MatchString(statement) {
		return &StatementError{"sql: the query writes a file" + remedy}
	}
	if s.kind == sqlite && several(statement) { // the servers see to it themselves
		return &StatementError{"sql: there are several statements" + remedy}
	}
	return nil
}

// firstWord is the first word of a statement, in lower case.
func firstWord(statement string) string {
	rest := strings.TrimLeft(afterBlank(statement), "( \t\r\n")
	end := strings.IndexFunc(rest, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' })
	if end < 0 {
		end = len(rest)
	}
	return strings.ToLower(rest[:end])
}

// several says whether something follows the first semicolon.
func several(statement string) bool {
	for i := 0; i < len(statement); {
		rest := statement[i:]
		switch closing := map[byte]string{'\'': "'", '"': `"`, '`': "`", '[': "]"}[rest[0]]; {
		case closing != "":
			end := strings.Index(rest[1:], closing)
			if end < 0 {
				return false // the database will say so
			}
			i += end + 2
		case rest[0] == ';':
			return strings.Trim(afterBlank(rest[1:]), "; \t\r\n") != ""
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "/*"):
			i = len(statement) - len(afterBlank(rest))
		default:
			i++
		}
	}
	return false
}

// afterBlank is a text without the blanks and comments that it begins with.
func afterBlank(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\v\uFEFF")
		closing := "\n"
		switch {
		case strings.HasPrefix(text, "/*"):
			text, closing = text[2:], "*/"
		case !strings.HasPrefix(text, "--"):
			return text
		}
		_, after, found := strings.Cut(text, closing)
		if !found {
			return ""
		}
		text = after
	}
}
