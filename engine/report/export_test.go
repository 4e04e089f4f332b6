package report

// For tests of what text is made of.
var (
	Clean    = clean
	Duration = duration
	Harmless = harmless
)
