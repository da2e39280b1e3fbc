// Package cdi reads what the Container Device Interface says about devices: files that the administrator, or a driver's
// installer, has put into /etc/cdi and /var/run/cdi. What a container gets of it is package policy's decision.
//
// Zone: brigd. Input: files of root alone, of at most 1 MiB. Output: the edits of a device, as they are written.
// Spec: cdi.specification 1.1.0.
// Answers: A3 (a specification that somebody else could write; CVE-2025-23266, of whose hooks nothing here is executed).
package cdi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"sigs.k8s.io/yaml"
	"tags.cncf.io/container-device-interface/pkg/parser"
	specs "tags.cncf.io/container-device-interface/specs-go"
)

// Dirs are where specifications are. A device of a later one takes the place of one with the same name.
var Dirs = []string{"/etc/cdi", "/var/run/cdi"}

const (
	maxFiles = 256 // of a directory
	maxSize  = 1 << 20
)

// Found is a device as a specification has it.
type Found struct {
	File  string
	Edits []specs.ContainerEdits // those of every device of the specification, then the device's own
}

// Find reads the specifications and gives the device of a qualified name: vendor.com/class=name.
func Find(dirs []string, name string) (*Found, error) {
	vendor, class, device, err := parser.ParseQualifiedName(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	var found *Found
	var bad []error
	for _, dir := range dirs {
		here, err := in(dir, vendor+"/"+class, device, &bad)
		if err != nil {
			return nil, err
		}
		if here != nil {
			found = here
		}
	}
	if found == nil {
		// What cannot be read may have been the one.
		return nil, errors.Join(append([]error{fmt.Errorf("no specification in %s has the device %s: %w", strings.Join(dirs, " or "), name, errdefs.ErrNotFound)}, bad...)...)
	}
	return found, nil
}

// in looks for a device in one directory, which may be missing.
func in(dir, kind, device string, bad *[]error) (found *Found, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		ext := filepath.Ext(e.Name())
		return ext != ".json" && ext != ".yaml"
	})
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("%s has %d specifications, more than the %d that are read: %w", dir, len(entries), maxFiles, errdefs.ErrFailedPrecondition)
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		s, err := read(file)
		if err != nil {
			*bad = append(*bad, fmt.Errorf("%s: %w", file, err))
			continue
		}
		for _, d := range s.Devices {
			if s.Kind != kind || d.Name != device {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("%s and %s have both a device %s=%s: %w", found.File, file, kind, device, errdefs.ErrFailedPrecondition)
			}
			found = &Found{File: file, Edits: []specs.ContainerEdits{s.ContainerEdits, d.ContainerEdits}}
		}
	}
	return found, nil
}

// read reads one specification. What root did not write, or others could have, says nothing.
func read(file string) (*specs.Spec, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, _ := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case owner == nil || owner.Uid != 0 || st.Mode()&0o022 != 0:
		return nil, errors.New("belongs to others than root, or others may write to it. Next: chown root and chmod go-w")
	case st.Size() > maxSize:
		return nil, fmt.Errorf("has %d bytes, more than %d", st.Size(), maxSize)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Parse reads the text of a specification, JSON or YAML. A field that this version does not know could mean anything.
func Parse(b []byte) (*specs.Spec, error) {
	var s specs.Spec
	if err := yaml.UnmarshalStrict(b, &s); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(s.Version, "0.") && s.Version != "1.0.0" && s.Version != "1.1.0" {
		return nil, fmt.Errorf("cdiVersion %.20q is not one of 0.x, 1.0.0 and 1.1.0", s.Version)
	}
	return &s, nil
}
