package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Machine is what a boot differs in.
type Machine struct {
	Run     string            // which tests of package guest, a regular expression
	Boot    string            // more words for the kernel
	Files   map[string]string // more files for its root: name there, path here
	Timeout time.Duration     // of its tests
	Policy  bool              // with an SELinux policy to load
	V1      bool              // control groups of version 1, where its init wants them
	Systemd string            // a root file system whose systemd is process 1, as an archive; none: busybox is
}

// tuned are words for the kernel that halve the time of a boot without hardware support, and make it steady.
const tuned = "console=ttyS0 quiet panic=-1 reboot=t 8250.nr_uarts=2 random.trust_cpu=on mitigations=off nokaslr no_timer_check " +
	"cryptomgr.notests pci=lastbus=0 loop.max_loop=0 transparent_hugepage=never"

// Output is what came out of a machine.
type Output struct {
	Console string // the kernel's words, and the last ones of its init
	Tests   []byte // the words of the test program, for go tool test2json
}

// Boot runs a machine until it switches itself off; dir is where its disks are made.
func Boot(ctx context.Context, dir string, k *Kernel, m Machine) (*Output, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	first, err := firstRoot(k, binary)
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	files := map[string]string{"bin/busybox": busybox}
	for to, from := range m.Files {
		files[to] = from
	}
	texts := map[string]string{"sbin/init": fmt.Sprintf(script, m.Timeout, m.Run)}
	if m.Systemd != "" {
		if texts, err = unpackSystemd(at("tree"), m); err != nil {
			return nil, err
		}
	}
	if err := rootTree(at("tree"), k, texts, files); err != nil {
		return nil, err
	}
	if err := os.WriteFile(at("initrd"), first, 0o600); err != nil {
		return nil, err
	}
	const plain = 2 << 30 // sparse
	if err := disk(at("root"), plain, at("tree")); err != nil {
		return nil, err
	}
	if err := disk(at("data"), plain, ""); err != nil {
		return nil, err
	}
	if err := disk(at("quota"), plain, "", "-O", "quota,project,verity", "-E", "quotatype=prjquota"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timeout+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", arguments(at, k, m)...)
	said, runErr := cmd.CombinedOutput()
	out := &Output{}
	console, err := os.ReadFile(at("console"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %s", err, runErr, bytes.TrimSpace(said))
	}
	out.Console = string(console)
	if out.Tests, err = os.ReadFile(at("tests")); err != nil {
		return out, err
	}
	switch {
	case runErr != nil:
		return out, fmt.Errorf("qemu: %w: %s", runErr, bytes.TrimSpace(said))
	case !strings.Contains(out.Console, "exit status "):
		return out, fmt.Errorf("the machine went off before its tests ended")
	}
	return out, nil
}

func arguments(at func(string) string, k *Kernel, m Machine) []string {
	boot := tuned + " " + m.Boot
	if !m.V1 {
		boot += " cgroup_no_v1=all"
	}
	args := []string{"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536",
		"-kernel", k.Image, "-initrd", at("initrd"), "-append", boot,
		"-serial", "file:" + at("console"), "-serial", "file:" + at("tests")}
	for _, d := range []string{"root", "data", "quota"} {
		args = append(args, "-drive", "if=virtio,format=raw,cache=unsafe,file="+at(d))
	}
	return args
}
