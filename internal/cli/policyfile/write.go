package policyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// Source is where an administrator's policy is written.
const Source = "/etc/brig/policy.toml"

// Read reads a policy.toml that nobody but its owner can change: who can write it, can have all that it could allow.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const most = 1 << 20
	switch {
	case !st.Mode().IsRegular() || st.Size() > most:
		return nil, fmt.Errorf("%s: is no file of at most 1 MiB", path)
	case st.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s: others than its owner can write it. Next: chmod go-w %s", path, path)
	}
	b := make([]byte, st.Size())
	_, err = f.ReadAt(b, 0)
	return b, err
}

// Apply has the engine of ROOT check by p from the next start of a container on. Only root can.
func Apply(root string, p *rules.Policy) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, rules.Dir)
	if err := os.MkdirAll(root, 0o711); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, rules.File)); err != nil {
		return err
	}
	return syncDir(dir)
}

// Reset takes an applied policy back.
func Reset(root string) error {
	dir := filepath.Join(root, rules.Dir)
	err := os.Remove(filepath.Join(dir, rules.File))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Applied is what was applied to the engine of ROOT.
func Applied(root string) (*rules.Policy, error) {
	b, err := os.ReadFile(filepath.Join(root, rules.Dir, rules.File))
	if errors.Is(err, os.ErrNotExist) {
		return rules.Default(), nil
	}
	p := &rules.Policy{}
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	return p, err
}
