// Package metrics counts what the engine does, and says it in the text format of Prometheus. Where Docker's daemon has a
// measure, it has Docker's name here (engine_daemon_…), so that dashboards for it work; all others begin with brig_.
//
// Zone: brigd.
// Input: observations of internal/daemon; what is only known when somebody asks comes from a State.
// Output: GET /metrics. Label values are of closed lists: no name that a client chose, and nothing secret.
// Spec: Prometheus text exposition format 0.0.4.
// Answers: none.
package metrics

import (
	"context"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/brig-engine/brig/internal/wire"
)

// Metrics are all that is measured. Observing is a few atomic additions.
type Metrics struct {
	registry    *prometheus.Registry
	actions     *prometheus.HistogramVec
	failures    *prometheus.CounterVec
	probes      prometheus.Counter
	failed      prometheus.Counter
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	calls       *prometheus.HistogramVec
	callErrors  *prometheus.CounterVec
}

// Actions on containers that are timed.
const (
	Create = "create"
	Start  = "start"
	Exec   = "exec"
	Delete = "delete"
	Commit = "commit"
)

// fast are the buckets of what takes a millisecond when all is well.
func fast() []float64 {
	return []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2.5, 5, 10}
}

// New gives metrics with everything at zero. state is asked whenever somebody reads them.
func New(info Info, state func() State) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: fast()}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		actions:  histogram("engine_daemon_container_actions_seconds", "The number of seconds it takes to process each container action", "action"),
		failures: counter("brig_container_action_failures_total", "Actions on containers that ended with an error", "action"),
		probes: prometheus.NewCounter(prometheus.CounterOpts{Name: "engine_daemon_health_checks_total",
			Help: "The total number of health checks"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "engine_daemon_health_checks_failed_total",
			Help: "The total number of failed health checks"}),
		requests:    counter("brig_api_requests_total", "Requests that were answered, by route and status", "route", "code"),
		requestTime: histogram("brig_api_request_seconds", "How long a request was served; streams last as long as their clients", "route"),
		calls:       histogram("brig_warden_call_seconds", "Round trips to the warden, by operation", "op"),
		callErrors:  counter("brig_warden_call_errors_total", "Round trips to the warden that ended with an error", "op"),
	}
	for _, action := range []string{Create, Start, Exec, Delete, Commit} {
		m.actions.WithLabelValues(action)
		m.failures.WithLabelValues(action)
	}
	m.registry.MustRegister(m.actions, m.failures, m.probes, m.failed, m.requests, m.requestTime, m.calls, m.callErrors,
		collectors.NewGoCollector(), &asked{info: info, state: state})
	return m
}

// Action notes an action on a container that began at some time. The zero Metrics, nil, notes nothing.
func (m *Metrics) Action(action string, begin time.Time, err error) {
	switch {
	case m == nil:
	case err != nil:
		m.failures.WithLabelValues(action).Inc()
	default:
		m.actions.WithLabelValues(action).Observe(time.Since(begin).Seconds())
	}
}

// Probe notes a health check.
func (m *Metrics) Probe(healthy bool) {
	if m == nil {
		return
	}
	m.probes.Inc()
	if !healthy {
		m.failed.Inc()
	}
}

// Request notes a request. route is a pattern, not a path; code is one of the texts of HTTP's numbers.
func (m *Metrics) Request(route, code string, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(route, code).Inc()
	m.requestTime.WithLabelValues(route).Observe(took.Seconds())
}

// Caller asks the warden.
type Caller interface {
	Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error)
}

// Timed is a caller whose round trips are noted.
func (m *Metrics) Timed(c Caller) Caller { return timed{c, m} }

type timed struct {
	Caller
	m *Metrics
}

func (t timed) Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error) {
	begin := time.Now()
	got, err := t.Caller.Call(ctx, op, request, reply, fds...)
	t.m.calls.WithLabelValues(string(op)).Observe(time.Since(begin).Seconds())
	if err != nil && !errdefs.IsNotFound(err) { // which is often the question
		t.m.callErrors.WithLabelValues(string(op)).Inc()
	}
	return got, err
}

// ContentType is that of Write.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Write writes everything.
func (m *Metrics) Write(w io.Writer) error {
	families, err := m.registry.Gather()
	if err != nil {
		return err
	}
	e := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}
