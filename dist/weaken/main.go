package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are those that an engine consists of.
var programs = []string{"brig", "brigd", "brig-keeper", "brig-warden", "brig-router", "brig-store", "brig-worker"}

func main() {
	out := flag.String("o", "bin/depth", "directory to write to")
	ldflags := flag.String("ldflags", "-s -w", "as of go build")
	flag.Parse()
	if err := build(*out, *ldflags); err != nil {
		fmt.Fprintln(os.Stderr, "weaken:", err)
		os.Exit(1)
	}
}

// build makes the programs with removable defences, from the working directory, and the list of the defences.
func build(out, ldflags string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "weaken")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	file, err := overlay(root, tmp)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-overlay", file, "-ldflags", ldflags, "-o", out + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return os.WriteFile(filepath.Join(out, "defences.txt"), []byte(list()), 0o644)
}

// list is what the drill reads: an id and what it is, in lines. Defences without which no container starts are left out.
func list() (text string) {
	for _, d := range Defences() {
		if d.Vital != "" {
			continue
		}
		text += d.ID + "\t" + d.What + "\n"
	}
	return text
}
