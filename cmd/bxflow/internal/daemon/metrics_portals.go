package daemon

import "github.com/prometheus/client_golang/prometheus"

// portals collects how portals stand at the moment when they are asked.
type portals struct {
	state func() []PortalState

	level, size, rate, inFlight           *prometheus.Desc
	used, limit, resets, wait             *prometheus.Desc
	requests, commands, rejected, retried *prometheus.Desc
}

func newPortals(state func() []PortalState) *portals {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("bxflow_portal_"+name, help, append([]string{"portal"}, labels...), nil)
	}
	return &portals{
		state:    state,
		level:    desc("bucket_level_requests", "Requests in the portal's leaky bucket, as far as is known here."),
		size:     desc("bucket_size_requests", "Requests that the bucket holds."),
		rate:     desc("bucket_rate_requests_per_second", "Requests a second that drain from the bucket for us; others behind the same address may use some."),
		inFlight: desc("requests_in_flight", "Requests that are sent and not answered."),
		used:     desc("execution_used_seconds", "Execution time of a method in the portal's window, with what is on its way.", "method"),
		limit:    desc("execution_limit_seconds", "Execution time that a method may use in the portal's window.", "method"),
		resets:   desc("execution_resets_in_seconds", "Until the oldest part of a method's execution time is forgotten.", "method"),
		wait:     desc("wait_seconds", "How much longer requests wait, and for what; none where nothing waits for a second.", "for"),
		requests: desc("requests_total", "Requests sent to the portal, those for look-ups and messages included."),
		commands: desc("commands_total", "Calls of methods in these requests."),
		rejected: desc("rejected_total", "Answers by which the portal refused for a limit."),
		retried:  desc("retried_total", "Requests that were made again."),
	}
}

// Describe implements [prometheus.Collector].
func (p *portals) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		p.level, p.size, p.rate, p.inFlight, p.used, p.limit, p.resets, p.wait, p.requests, p.commands, p.rejected, p.retried,
	} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (p *portals) Collect(ch chan<- prometheus.Metric) {
	for _, s := range p.state() {
		tell := func(kind prometheus.ValueType, desc *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, kind, value, append([]string{s.Portal}, labels...)...)
		}
		if b := s.Load.Bucket; b.Burst > 0 { // else the portal has none
			tell(prometheus.GaugeValue, p.level, b.Used)
			tell(prometheus.GaugeValue, p.size, b.Burst)
			tell(prometheus.GaugeValue, p.rate, b.Rate)
		}
		tell(prometheus.GaugeValue, p.inFlight, float64(s.Load.InFlight))
		for _, e := range s.Load.Execution {
			tell(prometheus.GaugeValue, p.used, e.Used, e.Method)
			tell(prometheus.GaugeValue, p.limit, e.Limit, e.Method)
			tell(prometheus.GaugeValue, p.resets, e.ResetsIn, e.Method)
		}
		if w := s.Load.Wait; w.For != "" {
			tell(prometheus.GaugeValue, p.wait, w.Seconds, w.For)
		}
		tell(prometheus.CounterValue, p.requests, float64(s.Usage.Requests))
		tell(prometheus.CounterValue, p.commands, float64(s.Usage.Commands))
		tell(prometheus.CounterValue, p.rejected, float64(s.Usage.Rejected))
		tell(prometheus.CounterValue, p.retried, float64(s.Usage.Retried))
	}
}
