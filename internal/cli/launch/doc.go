// Package launch starts, finds and stops the engine of this machine: the keeper and what the keeper keeps.
//
//	Zone:    brig, here as root (start, stop) or as anybody (status).
//	Input:   the command line; RUN/keeper.pid and /proc, which only root can have written.
//	Output:  a running keeper, or a signal to one.
//	Spec:    proc_pid_stat(5), pidfd_open(2), sd_notify(3); the keeper's options and its ready line.
//	Answers: none. A pid is never trusted alone: it is compared with the start time that was noted beside it.
//
//	brig engine start            keeper                     warden, brigd
//	      │  start.lock, pipe      │                              │
//	      ├─ spawn ───────────────►│ binds the socket, pid file   │
//	      │                        ├─ spawn ─────────────────────►│ prepares, listens
//	      │◄──────── "ready\n", or one line of why not ───────────┤
package launch

import "time"

// Options say where an engine lives.
type Options struct {
	Root   string // durable state
	Run    string // volatile state: keeper.pid, engine.log
	Socket string // path of the API socket
	// Programs is the directory of the engine's programs; "" is that of this program, then /usr/libexec/brig.
	Programs string
	// Foreground makes this process the keeper instead of starting one.
	Foreground bool
	// Storage is what --storage-opt says.
	Storage Storage
	// LogFormat and LogLevel are of LogFormats and LogLevels; "": as usual.
	LogFormat, LogLevel string
	// Runtime makes the containers that name none; "": Brig.
	Runtime string
}

// Status is what can be seen of an engine from outside.
type Status struct {
	Running bool           `json:"running"`
	Hidden  bool           `json:"hidden,omitempty"` // only root can tell
	PIDs    map[string]int `json:"pids,omitempty"`   // by program: brig-keeper, brig-warden, brig-router, brig-store, brigd
	Root    string         `json:"root,omitempty"`   // as in Options; "" if it cannot be told
	Socket  string         `json:"socket,omitempty"`
}

// Storage says how containers and volumes are bounded unless they ask for something else, in bytes; 0: as usual.
type Storage struct {
	Container int64  `json:"container,omitempty"`
	Volume    int64  `json:"volume,omitempty"`
	NoImage   bool   `json:"-"`                   // no btrfs image where the file system has no project quota
	Why       string `json:"unbounded,omitempty"` // there is no bound, and why
}

// How long the two transitions may take.
const (
	readyWithin = 10 * time.Second
	endsWithin  = 60 * time.Second
)

// LogFormats and LogLevels are what an engine's log can be, the usual first.
var (
	LogFormats = []string{"text", "json"}
	LogLevels  = []string{"info", "debug", "warn", "error"}
)

// DefaultRoot and DefaultRun are where the machine's own engine lives.
const (
	DefaultRoot = "/var/lib/brig"
	DefaultRun  = "/run/brig"
)
