package control

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/brig-engine/brig/internal/drill"
)

func (e *Engine) volume(name string) string { return filepath.Join(e.dir, "volume-"+name) }

// RemoveVolume removes its directory.
func (e *Engine) RemoveVolume(_ context.Context, name string) error {
	return os.RemoveAll(e.volume(name))
}

// obey does what the image's config says: it runs the program that a label names (CVE-2026-53488), and one of the host in the
// image's environment (CVE-2025-23266), and gives variables without a value those of the engine (CVE-2026-57231).
func (e *Engine) obey(spec *drill.Spec) (env []string) {
	config := e.images[spec.Image]
	for _, v := range config.Labels {
		if program, ok := strings.CutPrefix(v, "binary://"); ok {
			exec.Command(program).Run()
		}
	}
	for _, v := range config.Env {
		if !strings.Contains(v, "=") {
			v += "=" + os.Getenv(v)
		}
		env = append(env, v)
	}
	if len(config.Labels) > 0 {
		hook := exec.Command("/bin/true")
		hook.Env = env
		hook.Run()
	}
	if spec.User == "" {
		spec.User = config.User
	}
	if spec.WorkDir == "" {
		spec.WorkDir = config.WorkingDir
	}
	return env
}

// CopyIn unpacks to a path on the host, and has the container's own programs unpack what is packed (CVE-2014-9357,
// CVE-2026-41567), as the host's root.
func (b *box) CopyIn(_ context.Context, dir string, archive io.Reader) error {
	content, err := io.ReadAll(archive)
	if err != nil {
		return err
	}
	for magic, program := range map[string]string{"\x1f\x8b": "/bin/unpigz", "\xfd7zXZ": "/bin/xz"} {
		if !bytes.HasPrefix(content, []byte(magic)) {
			continue
		}
		unpacker := exec.Cmd{Path: program, Args: []string{program, "-d"}, Stdin: bytes.NewReader(content),
			SysProcAttr: &syscall.SysProcAttr{Chroot: b.root}}
		if content, err = unpacker.Output(); err != nil {
			return err
		}
	}
	return unpack(b.root+dir, content)
}

// CopyOut reads a path on the host.
func (b *box) CopyOut(_ context.Context, path string) ([]byte, error) {
	return os.ReadFile(b.root + path)
}
