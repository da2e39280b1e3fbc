package room

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// packages are the peers of the distribution; netavark is Podman's network.
var packages = []string{"docker.io", "podman", "runc", "crun", "netavark"}

// modules are the newest releases that build from the Go module proxy with `go install`; containerd and docker-proxy
// are what dockerd runs. Docker's command line is not a module and is taken from the machine, if it has one.
var modules = []struct {
	path, version, tags string
	cgo                 bool
}{
	{"github.com/opencontainers/runc", "latest", "seccomp", true},
	{"github.com/containerd/containerd/v2/cmd/containerd", "latest", "no_btrfs", false},
	{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "latest", "", false},
	{"github.com/moby/moby/v2/cmd/dockerd", "latest", "", false},
	{"github.com/moby/moby/v2/cmd/docker-proxy", "latest", "", false},
}

// Install fetches all peers, and builds the modules.
func (d Peers) Install(ctx context.Context) error {
	if err := d.Unpack(ctx, packages...); err != nil {
		return err
	}
	if err := os.MkdirAll(d.built, 0o755); err != nil {
		return err
	}
	for _, m := range modules {
		env := []string{"GOBIN=" + d.built, "CGO_ENABLED=0"}
		if m.cgo {
			env[1] = "CGO_ENABLED=1"
		}
		if err := show(ctx, env, "go", "install", "-tags", m.tags, m.path+"@"+m.version); err != nil {
			if ctx.Err() != nil {
				return err
			}
			Note("%v", err) // one peer less
		}
	}
	return nil
}

// Unpack fetches packages of the distribution with those that they need, and unpacks them without installing them: no
// service starts, no other program changes.
func (d Peers) Unpack(ctx context.Context, names ...string) error {
	debs := filepath.Join(filepath.Dir(d.packages), "debs")
	for _, dir := range []string{filepath.Join(debs, "partial"), d.packages} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	args := append([]string{"install", "-y", "--no-install-recommends", "--download-only", "-o",
		"Dir::Cache::archives=" + debs}, names...)
	for _, words := range [][]string{{"apt-get", "update"}, append([]string{"apt-get"}, args...)} {
		if err := show(ctx, nil, words...); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := show(ctx, nil, "dpkg", "--extract", f, d.packages); err != nil {
			return err
		}
	}
	return d.alternatives()
}

// alternatives makes the links that installing, and not only unpacking, iptables would have made.
func (d Peers) alternatives() error {
	for _, name := range []string{"iptables", "ip6tables"} {
		for _, form := range []string{"", "-save", "-restore"} {
			link := filepath.Join(d.packages, "usr/sbin", name+form)
			if _, err := os.Lstat(link); err == nil {
				continue
			}
			if err := os.Symlink("xtables-nft-multi", link); err != nil {
				return err
			}
		}
	}
	return nil
}

// show runs a command line and lets the person see it.
func show(ctx context.Context, env []string, words ...string) error {
	Note("%v", words)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = os.TempDir() // not in a module: versions are the newest ones
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", words[0], err)
	}
	return nil
}
