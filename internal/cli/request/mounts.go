package request

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/mount"
)

// splitVolumes sorts the values of -v: with a source they are binds (of a path or of a named volume), without one they
// are volumes of the container's configuration. A source that begins with a dot is a path relative to the caller's
// directory, which the engine cannot know.
func splitVolumes(values []string) (binds []string, volumes map[string]struct{}, err error) {
	volumes = make(map[string]struct{})
	for _, v := range values {
		source, rest, ok := strings.Cut(v, ":")
		if v == "" || ok && (source == "" || rest == "") {
			return nil, nil, fmt.Errorf("--volume %q: a volume is [source:]/target[:options]", v)
		}
		if !ok {
			volumes[v] = struct{}{}
			continue
		}
		if source, err = absolute(source); err != nil {
			return nil, nil, err
		}
		binds = append(binds, source+":"+rest)
	}
	return binds, volumes, nil
}

func absolute(path string) (string, error) {
	if !strings.HasPrefix(path, ".") {
		return path, nil
	}
	return filepath.Abs(path)
}

// parseMount reads one --mount: comma separated key=value, quoted as in CSV.
func parseMount(s string) (mount.Mount, error) {
	m := mount.Mount{Type: mount.TypeVolume}
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return m, errors.New("comma separated key=value is needed")
	}
	for _, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		if err := setMount(&m, strings.ToLower(key), value, hasValue); err != nil {
			return m, err
		}
	}
	return m, checkMount(&m)
}

func setMount(m *mount.Mount, key, value string, hasValue bool) (err error) {
	flag := func() (bool, error) {
		if !hasValue {
			return true, nil
		}
		b, err := strconv.ParseBool(value)
		if err != nil {
			return false, fmt.Errorf("%s is true or false, not %q", key, value)
		}
		return b, nil
	}
	switch key {
	case "readonly", "ro":
		m.ReadOnly, err = flag()
		return err
	case "volume-nocopy":
		volumeOf(m).NoCopy, err = flag()
		return err
	case "bind-nonrecursive": // Docker's older word for bind-recursive=disabled
		bindOf(m).NonRecursive, err = flag()
		return err
	case "bind-create-src":
		bindOf(m).CreateMountpoint, err = flag()
		return err
	}
	if value == "" {
		return fmt.Errorf("%q needs a value", key)
	}
	switch key {
	case "type":
		m.Type = mount.Type(strings.ToLower(value))
	case "source", "src":
		m.Source, err = absolute(value)
	case "target", "dst", "destination":
		m.Target = value
	case "consistency":
		m.Consistency = mount.Consistency(strings.ToLower(value))
	default:
		return setMountOption(m, key, value)
	}
	return err
}

// setMountOption sets what only one type of mount has.
func setMountOption(m *mount.Mount, key, value string) (err error) {
	switch key {
	case "bind-propagation":
		bindOf(m).Propagation = mount.Propagation(strings.ToLower(value))
	case "bind-recursive":
		return setRecursive(bindOf(m), value)
	case "volume-subpath":
		volumeOf(m).Subpath = value
	case "image-subpath":
		imageOf(m).Subpath = value
	case "volume-label":
		k, v, _ := strings.Cut(value, "=")
		volumeOf(m).Labels = with(volumeOf(m).Labels, k, v)
	case "volume-driver":
		driverOf(m).Name = value
	case "volume-opt":
		k, v, _ := strings.Cut(value, "=")
		driverOf(m).Options = with(driverOf(m).Options, k, v)
	case "tmpfs-size":
		if tmpfsOf(m).SizeBytes, err = units.RAMInBytes(value); err != nil {
			return fmt.Errorf("tmpfs-size: %w", err)
		}
	case "tmpfs-mode":
		mode, err := strconv.ParseUint(value, 8, 12)
		if err != nil {
			return fmt.Errorf("tmpfs-mode %q: octal permission bits are needed, like 1777", value)
		}
		tmpfsOf(m).Mode = fs.FileMode(mode)
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

func setRecursive(b *mount.BindOptions, value string) error {
	switch value {
	case "enabled":
	case "disabled":
		b.NonRecursive = true
	case "writable":
		b.ReadOnlyNonRecursive = true
	case "readonly":
		b.ReadOnlyForceRecursive = true
	default:
		return fmt.Errorf("bind-recursive is enabled, disabled, writable or readonly, not %q", value)
	}
	return nil
}

// checkMount finds options of another type: they would be sent and have no effect.
func checkMount(m *mount.Mount) error {
	if m.Target == "" {
		return errors.New("target is missing")
	}
	if m.Type == mount.TypeBind && m.Source == "" {
		return errors.New("source is missing")
	}
	if m.Type == mount.TypeTmpfs && m.Source != "" {
		return errors.New("a tmpfs has no source")
	}
	if b := m.BindOptions; b != nil && (b.ReadOnlyNonRecursive || b.ReadOnlyForceRecursive) && !m.ReadOnly {
		return errors.New("bind-recursive=writable and bind-recursive=readonly go with readonly")
	}
	for _, o := range []struct {
		set  bool
		kind mount.Type
	}{
		{m.BindOptions != nil, mount.TypeBind},
		{m.VolumeOptions != nil, mount.TypeVolume},
		{m.TmpfsOptions != nil, mount.TypeTmpfs},
		{m.ImageOptions != nil, mount.TypeImage},
	} {
		if o.set && m.Type != o.kind {
			return fmt.Errorf("%s options do not go with type=%s", o.kind, m.Type)
		}
	}
	return nil
}

func bindOf(m *mount.Mount) *mount.BindOptions {
	if m.BindOptions == nil {
		m.BindOptions = &mount.BindOptions{}
	}
	return m.BindOptions
}

func volumeOf(m *mount.Mount) *mount.VolumeOptions {
	if m.VolumeOptions == nil {
		m.VolumeOptions = &mount.VolumeOptions{}
	}
	return m.VolumeOptions
}

func imageOf(m *mount.Mount) *mount.ImageOptions {
	if m.ImageOptions == nil {
		m.ImageOptions = &mount.ImageOptions{}
	}
	return m.ImageOptions
}

func driverOf(m *mount.Mount) *mount.Driver {
	v := volumeOf(m)
	if v.DriverConfig == nil {
		v.DriverConfig = &mount.Driver{}
	}
	return v.DriverConfig
}

func tmpfsOf(m *mount.Mount) *mount.TmpfsOptions {
	if m.TmpfsOptions == nil {
		m.TmpfsOptions = &mount.TmpfsOptions{}
	}
	return m.TmpfsOptions
}

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = make(map[string]string)
	}
	m[k] = v
	return m
}
