package oci

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/oci/config"
)

// example is a shell with little: three capabilities, no new privileges, the usual mounts, proc and sys masked.
//
//go:embed example.json
var example string

func setupSpec(_ *app, f *flag.FlagSet) func([]string) (int, error) {
	var bundle string
	f.StringVar(&bundle, "bundle", ".", "directory that config.json is written to")
	f.StringVar(&bundle, "b", ".", "short for bundle")
	rootless := f.Bool("rootless", false, "(refused) for a runtime without root")
	return func(args []string) (int, error) {
		if len(args) > 0 || *rootless {
			return 0, errors.New("spec takes no arguments, and writes nothing for a runtime without root")
		}
		out, err := os.OpenFile(filepath.Join(bundle, "config.json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return 0, errors.New("config.json exists. Remove it first")
		}
		if err != nil {
			return 0, err
		}
		_, err = out.WriteString(example)
		return 0, errors.Join(err, out.Close())
	}
}

func setupFeatures(a *app, _ *flag.FlagSet) func([]string) (int, error) {
	return func(args []string) (int, error) {
		if len(args) > 0 {
			return 0, fmt.Errorf("features takes no arguments")
		}
		return 0, printJSON(a.features(), "  ")
	}
}

// features is what features prints; the fields are the specification's.
func (a *app) features() map[string]any {
	on := func(yes bool) map[string]any { return map[string]any{"enabled": yes} }
	var namespaces []string
	for _, t := range config.Namespaces() {
		namespaces = append(namespaces, string(t))
	}
	return map[string]any{
		"ociVersionMin": "1.0.0", "ociVersionMax": specs.Version,
		"hooks":        []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		"mountOptions": config.Options(),
		"linux": map[string]any{
			"namespaces": namespaces, "capabilities": config.Capabilities[:],
			"cgroup": map[string]any{"v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true},
			"seccomp": map[string]any{"enabled": true,
				"actions": []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
					specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap},
				"operators": []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual,
					specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual},
				"archs":          []specs.Arch{native()},
				"knownFlags":     []string{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"},
				"supportedFlags": []string{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"}},
			"apparmor": on(true), "selinux": on(true), "intelRdt": on(false), "netDevices": on(false),
			"mountExtensions": map[string]any{"idmap": on(true)},
		},
		"annotations": map[string]string{"engine.brig.oci.version": a.version},
	}
}

func native() specs.Arch {
	if runtime.GOARCH == "arm64" {
		return specs.ArchAARCH64
	}
	return specs.ArchX86_64
}
