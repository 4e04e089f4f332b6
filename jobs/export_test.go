package jobs

// Masked is how messages show a line of a job.
var Masked = masked
