package log

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/log/syslog"
)

// The drivers.
const (
	DriverJSON     = "json-file"
	DriverLocal    = "local"
	DriverJournald = "journald"
	DriverSyslog   = "syslog"
	DriverNone     = "none"
)

// Drivers are all drivers, sorted.
func Drivers() []string {
	return []string{DriverJournald, DriverJSON, DriverLocal, DriverNone, DriverSyslog}
}

// The modes. Unset, a container waits for its log a little, and then goes on without.
const (
	ModeBlocking    = "blocking"
	ModeNonBlocking = "non-blocking"
)

// Bounds of the options: a container may not ask for more than 100 files of 1 GB.
const (
	defaultSize   = 10_000_000
	defaultFiles  = 5
	defaultBuffer = 1_000_000
	minSize       = 64_000
	maxSize       = 1 << 30
	maxFiles      = 100
	maxBuffer     = 64 << 20
)

// Options of one container's log. MaxSize is in bytes and holds for each of MaxFiles files, of the log or of its cache.
type Options struct {
	Driver   string `json:"driver"`
	MaxSize  int64  `json:"maxSize,omitempty"`
	MaxFiles int    `json:"maxFiles,omitempty"`
	Compress bool   `json:"compress,omitempty"`
	Mode     string `json:"mode,omitempty"`
	Buffer   int64  `json:"buffer,omitempty"`
	NoCache  bool   `json:"noCache,omitempty"`
	Choice
	Syslog *syslog.Options `json:"syslog,omitempty"`
}

// remote tells that what is written goes to somebody else, and at most a copy stays here.
func (o *Options) remote() bool { return o.Driver == DriverJournald || o.Driver == DriverSyslog }

// Readable tells whether the log can be read back.
func (o *Options) Readable() bool { return o.Driver != DriverNone && !(o.remote() && o.NoCache) }

// Parse reads a request's LogConfig. It returns every mistake, in the order of the options' names.
func Parse(c container.LogConfig) (Options, []error) {
	o := Options{Driver: c.Type, MaxSize: defaultSize, MaxFiles: defaultFiles}
	switch c.Type {
	case "", "default":
		o.Driver = DriverJSON
	case DriverJSON, DriverLocal, DriverJournald:
	case DriverSyslog:
		o.Syslog = syslog.Default()
	case DriverNone:
		o = Options{Driver: DriverNone}
	default:
		return o, []error{fmt.Errorf("--log-driver %s: no log driver named '%s' is registered; Brig has %s", c.Type, c.Type,
			strings.Join(Drivers(), ", "))}
	}
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(c.Config)) {
		if err := o.set(k, c.Config[k]); err != nil {
			errs = append(errs, fmt.Errorf("--log-opt %w", err))
		}
	}
	if len(errs) == 0 {
		errs = o.check()
	}
	return o, errs
}

func (o *Options) set(k, v string) error {
	if o.Driver == DriverNone {
		return fmt.Errorf("%s: the driver none has no options", k)
	}
	switch {
	case k == "mode":
		if v != "" && v != ModeBlocking && v != ModeNonBlocking {
			return fmt.Errorf("mode=%s: logging mode not supported; there are %s and %s", v, ModeBlocking, ModeNonBlocking)
		}
		o.Mode = v
	case k == "max-buffer-size":
		n, err := units.RAMInBytes(v)
		if err != nil || n < 0 || n > maxBuffer {
			return fmt.Errorf("max-buffer-size=%s: must be a size of at most 64m", v)
		}
		o.Buffer = max(n, 1)
	case o.Choice.known(k):
		return o.Choice.set(k, v)
	case strings.HasPrefix(k, "cache-"):
		return o.setCache(k, v)
	case !o.remote() && (k == "max-size" || k == "max-file" || k == "compress"):
		return o.setFiles(k, k, v)
	case o.Driver == DriverSyslog && syslog.Known(k):
		return o.Syslog.Set(k, v)
	default:
		return fmt.Errorf("%s: unknown log opt '%s' for %s log driver", k, k, o.Driver)
	}
	return nil
}

// setFiles sets what bounds the files. A person wrote the option name.
func (o *Options) setFiles(name, what, v string) (err error) {
	switch what {
	case "max-size":
		n, err := units.FromHumanSize(v)
		if err != nil || n < minSize || n > maxSize {
			return fmt.Errorf("%s=%s: must be a size between 64k and 1g", name, v)
		}
		o.MaxSize = n
	case "max-file":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxFiles {
			return fmt.Errorf("%s=%s: must be a number between 1 and %d", name, v, maxFiles)
		}
		o.MaxFiles = n
	case "compress":
		if o.Compress, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("%s=%s: must be true or false", name, v)
		}
	}
	return nil
}

// setCache sets what holds for the copy of what goes to a receiver.
func (o *Options) setCache(k, v string) (err error) {
	what := strings.TrimPrefix(k, "cache-")
	switch what {
	case "disabled", "max-size", "max-file", "compress":
		if !o.remote() {
			return fmt.Errorf("%s: the driver %s is read back itself and has no cache", k, o.Driver)
		}
		if what != "disabled" {
			return o.setFiles(k, what, v)
		}
		if o.NoCache, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("%s=%s: must be true or false", k, v)
		}
		return nil
	case "labels", "labels-regex", "env", "env-regex", "tag":
		return fmt.Errorf("%s: what the cache keeps is what %s says; give that one", k, what)
	}
	return fmt.Errorf("%s: unknown log opt '%s' for %s log driver", k, k, o.Driver)
}

// check looks at what only makes sense together.
func (o *Options) check() (errs []error) {
	if o.Buffer != 0 && o.Mode != ModeNonBlocking {
		errs = append(errs, fmt.Errorf("--log-opt max-buffer-size: is only supported with 'mode=%s'", ModeNonBlocking))
	}
	if o.Compress && o.MaxFiles < 2 {
		errs = append(errs, fmt.Errorf("--log-opt compress=true: cannot be true when max-file is less than 2"))
	}
	if o.Syslog != nil {
		if err := o.Syslog.Check(); err != nil {
			errs = append(errs, fmt.Errorf("--log-opt %w", err))
		}
	}
	return errs
}
