package log

import (
	"fmt"
	"strconv"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// The drivers.
const (
	DriverJSON = "json-file"
	DriverNone = "none"
)

// Bounds of the options: a container may not ask for more than 100 files of 1 GiB.
const (
	defaultSize  = 10 << 20
	defaultFiles = 3
	minSize      = 64 << 10
	maxSize      = 1 << 30
	maxFiles     = 100
)

// Options of one container's log. MaxSize is in bytes and holds for each of MaxFiles files.
type Options struct {
	Driver   string `json:"driver"`
	MaxSize  int64  `json:"maxSize,omitempty"`
	MaxFiles int    `json:"maxFiles,omitempty"`
}

// Parse reads a request's LogConfig. It returns every mistake.
func Parse(c container.LogConfig) (Options, []error) {
	o := Options{Driver: c.Type, MaxSize: defaultSize, MaxFiles: defaultFiles}
	var errs []error
	switch c.Type {
	case "", "default":
		o.Driver = DriverJSON
	case DriverJSON:
	case DriverNone:
		o = Options{Driver: DriverNone}
	default:
		return o, []error{fmt.Errorf("--log-driver %s: Brig has the drivers json-file and none", c.Type)}
	}
	for k, v := range c.Config {
		if err := o.set(k, v); err != nil {
			errs = append(errs, err)
		}
	}
	return o, errs
}

func (o *Options) set(k, v string) error {
	if o.Driver == DriverNone {
		return fmt.Errorf("--log-opt %s: the driver none has no options", k)
	}
	switch k {
	case "max-size":
		n, err := units.RAMInBytes(v)
		if err != nil || n < minSize || n > maxSize {
			return fmt.Errorf("--log-opt max-size=%s: must be a size between 64k and 1g", v)
		}
		o.MaxSize = n
	case "max-file":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxFiles {
			return fmt.Errorf("--log-opt max-file=%s: must be a number between 1 and %d", v, maxFiles)
		}
		o.MaxFiles = n
	default:
		return fmt.Errorf("--log-opt %s: json-file has the options max-size and max-file", k)
	}
	return nil
}
