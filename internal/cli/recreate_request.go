package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/cli/tighten"
)

// request is that of the container that was, as inspect shows it, with the options.
func (r *recreation) request(ctx context.Context, name string, advice *tighten.Advice, profile []byte) (map[string]any, error) {
	var c struct {
		ID, Name, Image string
		Config          map[string]any
		HostConfig      map[string]any
		Mounts          []struct{ Type, Name, Destination string }
		NetworkSettings struct{ Networks map[string]map[string]any }
	}
	if err := r.engine.Call(ctx, "GET", at(name)+"/json", nil, &c); err != nil {
		return nil, err
	}
	r.id, r.name = c.ID, strings.TrimPrefix(c.Name, "/")
	host := c.HostConfig
	if host["AutoRemove"] == true {
		return nil, fmt.Errorf("%s is removed when it ends (--rm), so that it could not be put back. Next: run it anew with %s", r.name, strings.Join(quoted(advice.Options), " "))
	}
	// The image that it was made of, which may have lost its name to another one.
	var image struct{ ID string }
	ref, _ := c.Config["Image"].(string)
	if err := r.engine.Call(ctx, "GET", "/images/"+ref+"/json", nil, &image); err != nil || image.ID != c.Image {
		c.Config["Image"] = c.Image
	}
	if c.Config["Hostname"] == c.ID[:12] { // its own
		delete(c.Config, "Hostname")
	}
	annotations, _ := host["Annotations"].(map[string]any)
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = map[string]any{}
	}
	delete(annotations, "brig.record")
	annotations["brig.level"] = "strict"
	host["Annotations"] = annotations
	networks := r.options(c.Config, host, advice, profile)
	// Volumes without a name have one, by which they stay.
	for _, m := range c.Mounts {
		if m.Type == "volume" && m.Name != "" && !mounted(host, m.Destination) {
			host["Binds"] = append(list(host, "Binds"), m.Name+":"+m.Destination)
		}
	}
	ends := map[string]any{}
	for _, n := range networks {
		end := map[string]any{}
		for _, key := range []string{"Aliases", "Links", "IPAMConfig", "DriverOpts", "GwPriority"} {
			if v, ok := c.NetworkSettings.Networks[n][key]; ok && v != nil {
				end[key] = v
			}
		}
		ends[n] = end
	}
	body := maps.Clone(c.Config)
	body["HostConfig"], body["NetworkingConfig"] = host, map[string]any{"EndpointsConfig": ends}
	return body, nil
}

// options puts those of the advice into a request, and gives the networks among them.
func (r *recreation) options(config, host map[string]any, advice *tighten.Advice, profile []byte) (networks []string) {
	for i := 0; i+1 < len(advice.Options); i += 2 {
		switch option, value := advice.Options[i], advice.Options[i+1]; option {
		case "-u":
			config["User"] = value
		case "--tmpfs":
			tmpfs, _ := host["Tmpfs"].(map[string]any)
			if tmpfs == nil {
				tmpfs = map[string]any{}
			}
			tmpfs[value] = ""
			host["Tmpfs"] = tmpfs
		case "-v":
			volumes, _ := config["Volumes"].(map[string]any)
			if volumes == nil {
				volumes = map[string]any{}
			}
			volumes[value] = map[string]any{}
			config["Volumes"] = volumes
			r.fresh = append(r.fresh, value)
		case "--network":
			networks = append(networks, value)
		}
	}
	if host["NetworkMode"] = "none"; len(networks) > 0 {
		host["NetworkMode"] = networks[0]
	}
	host["ReadonlyRootfs"] = true
	if profile != nil {
		var small bytes.Buffer
		_ = json.Compact(&small, profile) // it is JSON, made a moment ago
		opts := slices.DeleteFunc(list(host, "SecurityOpt"), func(o any) bool { s, _ := o.(string); return strings.HasPrefix(s, "seccomp") })
		host["SecurityOpt"] = append(opts, "seccomp="+small.String())
	}
	return networks
}

func list(m map[string]any, key string) []any {
	l, _ := m[key].([]any)
	return l
}

// mounted tells whether a request says itself what is at a place.
func mounted(host map[string]any, target string) bool {
	for _, b := range list(host, "Binds") {
		s, _ := b.(string)
		if parts := strings.Split(s, ":"); len(parts) > 1 && path.Clean(parts[1]) == target {
			return true
		}
	}
	for _, m := range list(host, "Mounts") {
		if m, ok := m.(map[string]any); ok && m["Target"] == target {
			return true
		}
	}
	return false
}
