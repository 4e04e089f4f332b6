package report

// For tests of what text is made of.
var Duration = duration

// LimitSheets makes the sheets of a workbook end early.
func (i *Items) LimitSheets(rows int) { i.book.most = rows }

// Ahead reads changes ahead of who takes them.
var Ahead = ahead
