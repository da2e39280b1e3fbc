package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/brig-engine/brig/internal/daemon/event"
)

// Info is what does not change.
type Info struct {
	Version, Kernel, Driver, ID string
	CPUs                        int
	Memory                      int64
}

// State is what is known when somebody asks.
type State struct {
	Running, Paused, Stopped int
	Health                   map[string]int // by Docker's words, of the running ones with a check
	Images                   int
	Events                   map[event.Happened]uint64
	Listeners                int
	LogBytes, LogLost        uint64
	Connections              int
}

// asked makes metrics of a state.
type asked struct {
	info  Info
	state func() State
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descInfo = desc("engine_daemon_engine_info", "The information related to the engine and the OS it is running on",
		"version", "commit", "architecture", "graphdriver", "kernel", "os", "os_type", "os_version", "daemon_id")
	descCPUs      = desc("engine_daemon_engine_cpus_cpus", "The number of cpus that the host system of the engine has")
	descMemory    = desc("engine_daemon_engine_memory_bytes", "The number of bytes of memory that the host system of the engine has")
	descStates    = desc("engine_daemon_container_states_containers", "The count of containers in various states", "state")
	descHealth    = desc("brig_container_health_containers", "Running containers with a health check, by how they are", "status")
	descImages    = desc("brig_images", "Images that there are")
	descEvents    = desc("engine_daemon_events_total", "The number of events logged")
	descHappened  = desc("brig_events_total", "Events by type and action", "type", "action")
	descListeners = desc("engine_daemon_events_subscribers_total", "The number of current subscribers to events")
	descStarts    = desc("brig_container_starts_total", "Starts of containers")
	descExits     = desc("brig_container_exits_total", "Ends of containers")
	descOOM       = desc("brig_container_oom_kills_total", "Containers in which the kernel killed for want of memory")
	descLogBytes  = desc("brig_log_written_bytes_total", "Bytes that containers printed into their logs")
	descLogLost   = desc("brig_log_lost_lines_total", "Lines that a log took too slowly, and that are lost")
	descConns     = desc("brig_api_connections", "Connections to the API that are open")
)

// Describe is of a Collector.
func (a *asked) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descInfo, descCPUs, descMemory, descStates, descHealth, descImages, descEvents,
		descHappened, descListeners, descStarts, descExits, descOOM, descLogBytes, descLogLost, descConns} {
		ch <- d
	}
}

// Collect is of a Collector.
func (a *asked) Collect(ch chan<- prometheus.Metric) {
	s := a.state()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(descInfo, 1, a.info.Version, "", runtime.GOARCH, a.info.Driver, a.info.Kernel, "Linux", runtime.GOOS, "", a.info.ID)
	gauge(descCPUs, float64(a.info.CPUs))
	gauge(descMemory, float64(a.info.Memory))
	gauge(descStates, float64(s.Running), "running")
	gauge(descStates, float64(s.Paused), "paused")
	gauge(descStates, float64(s.Stopped), "stopped")
	for _, status := range []string{"starting", "healthy", "unhealthy"} {
		gauge(descHealth, float64(s.Health[status]), status)
	}
	gauge(descImages, float64(s.Images))
	total := uint64(0)
	for what, n := range s.Events {
		total += n
		counter(descHappened, n, what.Type, what.Action)
	}
	counter(descEvents, total)
	gauge(descListeners, float64(s.Listeners))
	counter(descStarts, s.Events[event.Happened{Type: "container", Action: "start"}])
	counter(descExits, s.Events[event.Happened{Type: "container", Action: "die"}])
	counter(descOOM, s.Events[event.Happened{Type: "container", Action: "oom"}])
	counter(descLogBytes, s.LogBytes)
	counter(descLogLost, s.LogLost)
	gauge(descConns, float64(s.Connections))
}
