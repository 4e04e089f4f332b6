package engine

// Load is how much of a portal's limits is in use, and what requests wait for.
type Load struct {
	Bucket    Bucket
	Execution []Execution // by method, the fullest first; none where it is not limited
	Wait      Wait
	InFlight  int // requests that are sent and not answered
}

// Bucket is the leaky bucket that counts requests. The zero Bucket limits nothing.
type Bucket struct {
	Used  float64 `json:"used"`  // requests in it, at most Burst
	Burst float64 `json:"burst"` // requests that it holds
	Rate  float64 `json:"rate"`  // requests a second that drain from it for us
}

// Execution is the execution time of one method in the portal's window, in
// seconds.
type Execution struct {
	Method   string  `json:"method"`
	Used     float64 `json:"used"` // with what is expected of requests on their way
	Limit    float64 `json:"limit"`
	ResetsIn float64 `json:"resets_in"` // until the oldest part of Used is forgotten; 0: nothing to forget
}

// Share is the used part of the limit.
func (e Execution) Share() float64 { return e.Used / e.Limit }

// Wait is what requests wait for, if they do.
type Wait struct {
	For     string  // "execution time of crm.item.add"; empty if nothing waits
	Seconds float64 // how much longer; 0 if that is not known
}
