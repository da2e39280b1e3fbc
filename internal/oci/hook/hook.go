// Package hook runs the programs of the host that a configuration names, before and after a container's own.
//
// Zone: brig-oci (root). Input: hooks from the configuration of an engine, which is as trusted as root. Output: processes
// of the host that are told the container's state, and have ended when Run returns.
// Spec: OCI runtime-spec 1.3, config.md, POSIX-platform Hooks.
package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Run runs hooks one after the other, in the runtime's namespaces. The first that fails ends it.
func Run(kind string, list []specs.Hook, state *specs.State) error {
	for i, h := range list {
		if err := one(&h, state); err != nil {
			return fmt.Errorf("%s hook #%d: %s: %w", kind, i, h.Path, err)
		}
	}
	return nil
}

func one(h *specs.Hook, state *specs.State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, h.Path)
	cmd.Args, cmd.Env = Args(h), Env(h)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &output, &output
	cmd.WaitDelay = time.Second // a child of it may keep its output
	err = cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("not done in %d seconds", *h.Timeout)
	}
	return Explain(err, output.String())
}

// Args are a hook's arguments: its path, if none are said.
func Args(h *specs.Hook) []string {
	if len(h.Args) == 0 {
		return []string{h.Path}
	}
	return h.Args
}

// Env is exactly what the configuration says, and never nil, which would be the runtime's own.
func Env(h *specs.Hook) []string { return append([]string{}, h.Env...) }

// Explain adds what a hook printed.
func Explain(err error, output string) error {
	if output = strings.TrimSpace(output); err == nil || output == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, output[max(0, len(output)-2000):])
}
