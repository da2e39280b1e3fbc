// embed writes the programs that brig-warden has built in: the system call filters that nobody can change, the device
// program of control groups and the init of containers; and the AppArmor profiles, which brig engine start loads. They are
// made from tables that people read, here and ahead of time, so that no compiler and no assembler is linked into a process
// that runs as root. What is written are listings, and they are committed: a change of a table shows in a review as the
// instructions that change.
//
//	go run ./dist/embed
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/brig-engine/brig/dist/embed/apparmor"
	"github.com/brig-engine/brig/dist/embed/devices"
	"github.com/brig-engine/brig/dist/embed/filters"
	"github.com/brig-engine/brig/dist/embed/reaper"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	all, err := listings()
	if err != nil {
		return err
	}
	for name, text := range all {
		path := filepath.Join(root, listed, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	policy, _, err := apparmor.Program(filepath.Join(root, "dist/embed/apparmor"))
	if errors.Is(err, apparmor.ErrNoCompiler) {
		fmt.Fprintln(os.Stderr, "embed: the AppArmor profiles stay as they are:", err)
	} else if err != nil {
		return err
	} else if err := os.WriteFile(filepath.Join(root, "internal/cli/launch/apparmor.policy"), policy, 0o644); err != nil {
		return err
	}
	told, err := surfaces()
	if err != nil {
		return err
	}
	for name, text := range told {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// listed is where the warden has its programs.
const listed = "internal/warden/code"

// surfaces are what brigd tells of the filters, by path: people and other runtimes.
func surfaces() (out map[string]string, err error) {
	out = map[string]string{}
	for _, arch := range filters.Architectures {
		out["internal/daemon/policy/surface_"+string(arch)+".go"] = filters.Left(arch).Source(arch)
		if out["internal/daemon/bundle/seccomp_"+string(arch)+".json"], err = filters.RuntimeProfile(arch); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listings are all files by their path, ARCHITECTURE/NAME.
func listings() (map[string]string, error) {
	out := map[string]string{}
	device, err := devices.Program()
	if err != nil {
		return nil, fmt.Errorf("device program: %w", err)
	}
	block, err := devices.Block()
	if err != nil {
		return nil, fmt.Errorf("block of the device program: %w", err)
	}
	for _, arch := range filters.Architectures {
		init, err := reaper.Program(string(arch))
		if err != nil {
			return nil, err
		}
		out[filepath.Join(string(arch), "init.txt")] = reaper.Listing(init)
		out[filepath.Join(string(arch), "devices.txt")] = devices.Listing(append(slices.Clone(device), block...))
		for name, f := range filters.All(arch) {
			prog, err := filter.Compile(&f)
			if err != nil {
				return nil, fmt.Errorf("filter %s for %s: %w", name, arch, err)
			}
			out[filepath.Join(string(arch), name+".txt")] = filters.Listing(prog, string(arch))
		}
	}
	return out, nil
}
