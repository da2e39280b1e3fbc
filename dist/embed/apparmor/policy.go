// Package apparmor compiles the AppArmor profiles of containers, where a compiler is installed. The kernel's own form of
// a policy is data for `brig engine start`, which hands it to the kernel and knows nothing of the language.
package apparmor

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Compiler is the version whose output is committed: another one may write the same policy in other bytes.
const Compiler = "3.0.8"

// ErrNoCompiler: the Debian package apparmor is not installed.
var ErrNoCompiler = errors.New("there is no apparmor_parser")

// Program gives the policy of the files in dir, and which version compiled it. What it may ask of the kernel is what
// AppArmor 3.0 knew: a later kernel leaves out what came after.
func Program(dir string) (policy []byte, version string, err error) {
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		if parser, err = exec.LookPath("/usr/sbin/apparmor_parser"); err != nil {
			return nil, "", ErrNoCompiler
		}
	}
	out, err := exec.Command(parser, "--version").Output()
	if err != nil {
		return nil, "", fmt.Errorf("apparmor_parser: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	var said bytes.Buffer
	cmd := exec.Command(parser, "--skip-cache", "--skip-kernel-load", "--features-file", "/etc/apparmor.d/abi/3.0",
		"--Include", filepath.Join(dir, "include"), "--stdout", filepath.Join(dir, "brig"))
	cmd.Stderr = &said
	if policy, err = cmd.Output(); err != nil {
		return nil, "", fmt.Errorf("apparmor_parser: %w: %s", err, said.String())
	}
	return policy, first[strings.LastIndex(first, " ")+1:], nil
}
