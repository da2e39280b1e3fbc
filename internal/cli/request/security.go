package request

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// security reads --security-opt. Both spellings are sent as they were given (label=… and the survey's label:…); a
// seccomp profile is a file of the caller's, so its content is sent, and "systempaths=unconfined" is two empty lists.
func (o *Options) security(h *engineapi.HostConfig) error {
	for _, opt := range o.securityOpts {
		key, value, ok := strings.Cut(opt, "=")
		if !ok {
			key, value, ok = strings.Cut(opt, ":")
		}
		if key == "no-new-privileges" {
			h.SecurityOpt = append(h.SecurityOpt, opt)
			continue
		}
		if !ok || value == "" {
			return fmt.Errorf("--security-opt %q: key=value is needed", opt)
		}
		switch {
		case key == "seccomp" && value != "builtin" && value != "unconfined":
			profile, err := readProfile(value)
			if err != nil {
				return err
			}
			h.SecurityOpt = append(h.SecurityOpt, "seccomp="+profile)
		case opt == "systempaths=unconfined":
			h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
		default:
			h.SecurityOpt = append(h.SecurityOpt, opt)
		}
	}
	return nil
}

func readProfile(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("seccomp profile: %w", err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		return "", fmt.Errorf("seccomp profile %s: %w", path, err)
	}
	return b.String(), nil
}

// capabilities writes names as the kernel does, CAP_NET_ADMIN for net_admin, each once and in order.
func capabilities(names []string) []string {
	var out []string
	for _, name := range names {
		name = strings.ToUpper(strings.TrimSpace(name))
		if name != "ALL" && !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// parseDevice reads host[:container][:rwm].
func parseDevice(s string) (engineapi.DeviceMapping, error) {
	parts := strings.Split(s, ":")
	d := engineapi.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	switch {
	case len(parts) == 2 && deviceMode(parts[1]):
		d.CgroupPermissions = parts[1]
	case len(parts) == 2:
		d.PathInContainer = parts[1]
	case len(parts) == 3:
		d.PathInContainer, d.CgroupPermissions = parts[1], parts[2]
	}
	if len(parts) > 3 || !deviceMode(d.CgroupPermissions) || !strings.HasPrefix(d.PathInContainer, "/") {
		return d, fmt.Errorf("--device %q: a device is /path/on/host[:/path/inside[:rwm]]", s)
	}
	return d, nil
}

// deviceMode reports whether s is a set of the letters r, w and m.
func deviceMode(s string) bool {
	if s == "" || len(s) > 3 {
		return false
	}
	for i, c := range s {
		if !strings.ContainsRune("rwm", c) || strings.ContainsRune(s[:i], c) {
			return false
		}
	}
	return true
}
