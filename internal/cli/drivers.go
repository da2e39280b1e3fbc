package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/launch"
	"github.com/brig-engine/brig/internal/cli/policyfile"
)

// storageOption is --storage-opt of the engine: NAME=VALUE.
type storageOption launch.Storage

func (s *storageOption) String() string { return "" }
func (s *storageOption) Type() string   { return "string" }

// leastDisk is the least that a container can be bounded to.
const leastDisk = 1 << 20

func (s *storageOption) Set(option string) error {
	name, value, _ := strings.Cut(option, "=")
	var size *int64
	switch name {
	case "dm.basesize", "size":
		size = &s.Container
	case "brig.volumesize":
		size = &s.Volume
	case "brig.image":
		s.NoImage = value == "off"
		if value != "on" && value != "off" {
			return errors.New("brig.image is on or off")
		}
		return nil
	default:
		return errors.New("there are dm.basesize=SIZE and size=SIZE (of each container), brig.volumesize=SIZE and brig.image=on|off")
	}
	n, err := units.RAMInBytes(value)
	if err != nil || n < leastDisk {
		return fmt.Errorf("%q is no size of 1m or more", value)
	}
	*size = n
	return nil
}

// dockerd holds options of Docker's engine that the survey uses. They are heeded, or refused with what to do instead, and
// stand in no help text: nobody needs them here.
type dockerd struct {
	icc     bool
	driver  string
	add     string
	log     string
	logOpts []string
}

func (d *dockerd) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.icc, "icc", false, "Let containers reach each other")
	cmd.Flags().StringVarP(&d.driver, "exec-driver", "e", "", "Runtime of containers that name none: what --default-runtime is called since")
	cmd.Flags().StringVar(&d.log, "log-driver", "", "Where output of containers goes")
	cmd.Flags().StringArrayVar(&d.logOpts, "log-opt", nil, "Option of the log driver")
	cmd.Flags().StringVar(&d.add, "add-runtime", "", "Name a runtime: NAME=PATH")
	for _, name := range []string{"icc", "exec-driver", "log-driver", "log-opt", "add-runtime"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
}

// refuse is nil for --icc=false and --log-driver json-file, which are always so.
func (d *dockerd) refuse() error {
	switch {
	case d.icc:
		return fmt.Errorf("--icc: containers of this engine share no network segment and do not reach each other. " +
			"Next: leave it out, and brig network create for those that should")
	case d.driver == "lxc" || d.driver == "native":
		return fmt.Errorf("--exec-driver %q: execution drivers are gone, in Docker since version 1.10: Brig makes containers itself, "+
			"with the namespaces and control groups that lxc used. Next: leave it out", d.driver)
	case d.add != "":
		return fmt.Errorf("--add-runtime %q: what is executed in a sandbox stands where the warden reads it, not in a command line. "+
			"Next: a table [runtimes.NAME] in /etc/brig/policy.toml, and brig policy apply", d.add)
	case d.log != "" && d.log != "json-file":
		return fmt.Errorf("--log-driver %q: an engine has no defaults for its containers yet; a container without the option logs to "+
			"json-file, 5 files of 10 MB. Next: leave it out, and give --log-driver to create or run", d.log)
	case len(d.logOpts) > 0:
		return fmt.Errorf("--log-opt %q: an engine has no defaults for its containers yet. Next: leave it out, and give --log-opt to "+
			"create or run", d.logOpts[0])
	}
	return nil
}

// defaultRuntime is the one of containers that name none, by either option; "" is Brig. It is one that the applied policy has.
func (d *dockerd) defaultRuntime(root, name string) (string, error) {
	option := "--default-runtime"
	if name == "" {
		option, name = "--exec-driver", d.driver
	}
	if name == "" || name == brigRuntime {
		return "", nil
	}
	p, err := policyfile.Applied(root)
	if err != nil {
		return "", err
	}
	if p.Runtimes[name] == nil {
		names := append([]string{brigRuntime}, slices.Sorted(maps.Keys(p.Runtimes))...)
		return "", fmt.Errorf("%s %q: the administrator's policy names no such runtime; there are %s. Next: a table [runtimes.NAME] in "+
			"/etc/brig/policy.toml, and brig policy apply", option, name, strings.Join(names, ", "))
	}
	return name, nil
}

// brigRuntime is what Brig is called where a runtime is named.
const brigRuntime = "brig"
