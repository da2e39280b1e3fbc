package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// suite is the newest version of the validation suite that has a list of its own dependencies.
const suite = "github.com/opencontainers/runtime-tools@v0.9.1-0.20241108202711-f7e3563b0271"

// TestValidationSuite runs the programs of opencontainers/runtime-tools, each of which checks some sentences of the
// specification.
func TestValidationSuite(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	runtime := program(t)
	dir := buildSuite(t)
	known := knownFailures(t)
	// The suite knows no --root.
	wrapper := filepath.Join(dir, "runtime")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec "+runtime+" --root "+dir+"/state \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	programs, err := os.ReadDir(filepath.Join(dir, "out"))
	if err != nil || len(programs) < 50 {
		t.Fatalf("%d programs: %v", len(programs), err)
	}
	for _, p := range programs {
		if p.Name() == "runtimetest" {
			continue
		}
		t.Run(p.Name(), func(t *testing.T) {
			out, complaint := runSuite(t, dir, p.Name(), wrapper)
			why, listed := known[p.Name()]
			delete(known, p.Name())
			switch {
			case complaint != "" && !listed:
				t.Errorf("%s\n%s", complaint, out)
			case complaint == "" && listed:
				t.Errorf("it passes, and testdata/validation.txt says %q", why)
			}
		})
	}
	for name := range known {
		t.Errorf("testdata/validation.txt names %s, and the suite has no such program", name)
	}
}

// buildSuite fetches the suite and builds it.
func buildSuite(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "suite")
	download := exec.Command("go", "mod", "download", "-json", suite)
	download.Dir = t.TempDir()
	text, err := download.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(text, &module)
	}
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(module.Dir))
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(filepath.Join(dir, "vendor")), os.Mkdir(filepath.Join(dir, "out"), 0o755))
	}
	if err != nil {
		t.Fatalf("fetch the suite: %v\n%s", err, text)
	}
	names, err := filepath.Glob(filepath.Join(dir, "validation/*"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-mod=mod", "-o", "out/", "./cmd/runtimetest"}
	for _, n := range names {
		if base := filepath.Base(n); base != "util" && base != ".gitignore" {
			args = append(args, "./validation/"+base)
		}
	}
	build := exec.Command("go", args...)
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(dir, "out/runtimetest"), filepath.Join(dir, "runtimetest")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runSuite runs one program and gives what it complains about.
func runSuite(t *testing.T, dir, name, runtime string) (output, complaint string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "out", name))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "RUNTIME="+runtime)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	bad := regexp.MustCompile(`(?m)^\s*not ok.*$`).FindAllString(out.String(), -1)
	switch {
	case len(bad) > 0:
		complaint = strings.Join(bad, "\n")
	case err != nil:
		complaint = err.Error()
	}
	return out.String()[max(0, out.Len()-4000):], complaint
}

func knownFailures(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/validation.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, why, ok := strings.Cut(line, ": ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !ok || strings.TrimSpace(why) == "":
			t.Errorf("testdata/validation.txt: %q gives no reason", line)
		default:
			known[name] = why
		}
	}
	return known
}
