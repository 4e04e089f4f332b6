package engine

import "strings"

// HarmlessCell keeps a spreadsheet from running a cell of delimited text as a
// formula, by an apostrophe before it. Numbers and phone numbers stay as they
// are, although they may begin with + or -. [OriginalCell] is the way back.
func HarmlessCell(cell string) string {
	if runs(cell) {
		return "'" + cell
	}
	return cell
}

// OriginalCell is the cell that [HarmlessCell] was given. Whether it was need
// not be known: of a cell that it would not have made, nothing is taken.
func OriginalCell(cell string) string {
	if original, found := strings.CutPrefix(cell, "'"); found && runs(original) {
		return original
	}
	return cell
}

// runs says whether a spreadsheet would run a cell as a formula, or would but
// for apostrophes before it: those that were there are told from one that was
// put there by putting one before them, too.
func runs(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	if cell == "" || !strings.ContainsAny(cell[:1], "=+-@\t\r") {
		return false
	}
	return cell[0] == '=' || cell[0] == '@' || strings.Trim(cell, "+-0123456789 ().,/") != ""
}
