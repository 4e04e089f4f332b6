package daemon

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/schedule"
)

// metrics are what /metrics shows. Labels are names of jobs in the folder and
// words from short lists, never ids or values of a portal.
type metrics struct {
	registry    *prometheus.Registry
	brokenFiles prometheus.Gauge
	events      *prometheus.CounterVec
	runs        *prometheus.CounterVec
	changes     *prometheus.CounterVec
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	outcomes    *prometheus.CounterVec
	lastEnd     *prometheus.GaugeVec
	lastRun     *prometheus.GaugeVec
	lastStatus  *prometheus.GaugeVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		brokenFiles: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bxflow_broken_job_files", Help: "Job files whose present version cannot be run.",
		}),
		events:   counter("bxflow_job_events_total", "What became of due times: started, finished, queued, skipped, missed, refused.", "job", "event"),
		runs:     counter("bxflow_job_runs_total", "How jobs ended: the status of the run, or planned.", "job", "outcome"),
		changes:  counter("bxflow_job_changes_total", "Planned changes by kind.", "job", "kind"),
		outcomes: counter("bxflow_job_results_total", "Changes by what became of them: created, updated, moved, deleted, unchanged, skipped, failed, conflicts.", "job", "outcome"),
		requests: counter("bxflow_job_requests_total", "Requests to portals by what became of them: sent, rejected, retried.", "job", "what"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bxflow_job_seconds", Help: "How long jobs took.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600},
		}, []string{"job"}),
		lastEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bxflow_job_last_end_timestamp_seconds", Help: "When a job last ended, by its outcome.",
		}, []string{"job", "outcome"}),
		lastRun: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bxflow_job_last_run_timestamp_seconds", Help: "When a job last ended, however it did.",
		}, []string{"job"}),
		lastStatus: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bxflow_job_last_run_status", Help: "1 for how a job last ended, 0 for all else that it could have been.",
		}, []string{"job", "outcome"}),
	}
	m.registry.MustRegister(m.brokenFiles, m.events, m.runs, m.changes, m.requests, m.outcomes, m.seconds, m.lastEnd, m.lastRun, m.lastStatus,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// registerEntries adds what the runner knows at any moment.
func (m *metrics) registerEntries(r *schedule.Runner) {
	m.registry.MustRegister(&entries{
		runner:  r,
		next:    prometheus.NewDesc("bxflow_job_next_due_timestamp_seconds", "When a job is due next.", []string{"job"}, nil),
		running: prometheus.NewDesc("bxflow_job_running", "1 while a job runs.", []string{"job"}, nil),
		queued:  prometheus.NewDesc("bxflow_job_queued", "1 while a job waits for its run before.", []string{"job"}, nil),
	})
}

// ended counts a job that ended.
func (m *metrics) ended(job string, last fire, o Outcome) {
	m.runs.WithLabelValues(job, last.Outcome).Inc()
	m.seconds.WithLabelValues(job).Observe(last.Took.Seconds())
	m.lastEnd.WithLabelValues(job, last.Outcome).Set(float64(time.Now().Unix()))
	m.lastRun.WithLabelValues(job).Set(float64(time.Now().Unix()))
	for _, outcome := range outcomes() {
		m.lastStatus.WithLabelValues(job, outcome).Set(oneIf(outcome == last.Outcome))
	}
	if o.Header != nil {
		for _, n := range kinds(o.Header.Summary) {
			m.changes.WithLabelValues(job, n.kind).Add(float64(n.count))
		}
	}
	if o.Result != nil {
		m.usage(job, o.Result.Usage)
		for _, n := range engine.ResultCounts(o.Result.Steps) {
			m.outcomes.WithLabelValues(job, n.Name).Add(float64(n.N))
		}
	}
}

// outcomes are all ways in which a job can end.
func outcomes() []string {
	return []string{
		string(engine.StatusSucceeded), string(engine.StatusPartial), string(engine.StatusFailed),
		string(engine.StatusInterrupted), string(engine.StatusRefused), outcomePlanned,
	}
}

func (m *metrics) usage(job string, u engine.Usage) {
	m.requests.WithLabelValues(job, "sent").Add(float64(u.Requests))
	m.requests.WithLabelValues(job, "rejected").Add(float64(u.Rejected))
	m.requests.WithLabelValues(job, "retried").Add(float64(u.Retried))
}

// forget drops the figures of a job that is gone.
func (m *metrics) forget(job string) {
	labels := prometheus.Labels{"job": job}
	for _, vec := range []*prometheus.CounterVec{m.events, m.runs, m.changes, m.requests, m.outcomes} {
		vec.DeletePartialMatch(labels)
	}
	m.seconds.DeletePartialMatch(labels)
	for _, vec := range []*prometheus.GaugeVec{m.lastEnd, m.lastRun, m.lastStatus} {
		vec.DeletePartialMatch(labels)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// entries collects the state of a runner's entries.
type entries struct {
	runner                *schedule.Runner
	next, running, queued *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (e *entries) Describe(ch chan<- *prometheus.Desc) {
	ch <- e.next
	ch <- e.running
	ch <- e.queued
}

// Collect implements [prometheus.Collector].
func (e *entries) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, job string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, job)
	}
	for _, s := range e.runner.Entries() {
		if !s.Next.IsZero() {
			gauge(e.next, float64(s.Next.Unix()), s.Name)
		}
		gauge(e.running, oneIf(!s.Running.IsZero()), s.Name)
		gauge(e.queued, oneIf(!s.Queued.IsZero()), s.Name)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
