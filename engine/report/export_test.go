package report

// For tests of what text is made of.
var (
	Duration = duration
	Harmless = harmless
)
