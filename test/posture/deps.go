package posture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is the prefix of our own packages.
const Module = "github.com/brig-engine/brig/"

// Package is what go list tells about one package.
type Package struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// Ours tells whether the package is part of this repository.
func (p *Package) Ours() bool { return strings.HasPrefix(p.ImportPath, Module) }

// List runs go list -deps for patterns, as the release is built.
func List(patterns ...string) ([]*Package, error) {
	fields := "ImportPath,Dir,Standard,GoFiles,Imports,Deps,Module"
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=" + fields}, patterns...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	var list []*Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		list = append(list, &p)
	}
}

// RootPrograms are the programs that run as root.
var RootPrograms = []string{Module + "cmd/brig-keeper", Module + "cmd/brig-warden"}

// RuntimePrograms are those that run as root for another engine, for as long as one command.
var RuntimePrograms = []string{Module + "cmd/brig-oci"}

// Sum counts the lines of packages: ours, and those of libraries other than the standard one and golang.org/x/sys.
func Sum(list []*Package) (ours, libraries Count, err error) {
	for _, p := range list {
		if p.Standard || p.Module == nil || p.Module.Path == "golang.org/x/sys" {
			continue
		}
		c, err := p.Lines()
		if err != nil {
			return ours, libraries, err
		}
		sum := &libraries
		if p.Ours() {
			sum = &ours
		}
		sum.Files, sum.Lines, sum.Code = sum.Files+c.Files, sum.Lines+c.Lines, sum.Code+c.Code
	}
	return ours, libraries, nil
}

// Count is a number of lines: Code leaves out blank lines and lines that are only a comment.
type Count struct{ Files, Lines, Code int }

// Lines counts the files of a package that are built for Linux.
func (p *Package) Lines() (Count, error) {
	var c Count
	for _, name := range p.GoFiles {
		f, err := os.Open(filepath.Join(p.Dir, name))
		if err != nil {
			return c, err
		}
		c.Files++
		s := bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			c.Lines++
			line := strings.TrimSpace(s.Text())
			if line != "" && !strings.HasPrefix(line, "//") {
				c.Code++
			}
		}
		f.Close()
		if err := s.Err(); err != nil {
			return c, err
		}
	}
	return c, nil
}
