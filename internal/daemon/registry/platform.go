package registry

import (
	"runtime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is what an image is made for. The zero value stands for this machine.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads os/arch[/variant] or arch[/variant]; "" is this machine. Only Linux images can run.
func ParsePlatform(s string) (Platform, error) {
	if s == "" {
		return Platform{}, nil
	}
	parts := strings.Split(strings.ToLower(s), "/")
	if slices.Contains(parts, "") || len(parts) > 3 {
		return Platform{}, invalid("--platform %.64q: must be os/arch or os/arch/variant", s)
	}
	if parts[0] != "linux" && len(parts) < 3 && parts[0] != "windows" && parts[0] != "darwin" && parts[0] != "freebsd" {
		parts = append([]string{"linux"}, parts...)
	}
	if parts[0] != "linux" {
		return Platform{}, invalid("--platform %.64q: only images for linux can run here", s)
	}
	p := Platform{OS: "linux", Architecture: runtime.GOARCH}
	if len(parts) > 1 {
		p.Architecture = parts[1]
	}
	if len(parts) > 2 {
		p.Variant = parts[2]
	}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf", "armv7":
		p.Architecture, p.Variant = "arm", "v7"
	}
	return p, nil
}

// String gives the form that ParsePlatform reads.
func (p Platform) String() string {
	p = p.orHost()
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

func (p Platform) orHost() Platform {
	if p.OS == "" {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	return p
}

// Matches tells whether an image for (os, arch, variant) is what p asks for; where p names no variant, any will do.
func (p Platform) Matches(os, arch, variant string) bool {
	p = p.orHost()
	return os == p.OS && arch == p.Architecture && (p.Variant == "" || rank(p, variant) >= 0)
}

// baseline is the variant that every machine of an architecture can run; "" in a list means the same.
func baseline(arch string) []string {
	switch arch {
	case "amd64":
		return []string{"v1", "", "v2", "v3", "v4"}
	case "arm64":
		return []string{"v8", ""}
	case "arm":
		return []string{"v7", "", "v6", "v5"}
	}
	return []string{""}
}

// rank orders the variants for p: 0 is best, -1 does not match.
func rank(p Platform, variant string) int {
	if p.Variant != "" {
		if variant == p.Variant {
			return 0
		}
		if base := baseline(p.Architecture); variant == "" && p.Variant == base[0] {
			return 1
		}
		return -1
	}
	if i := slices.Index(baseline(p.Architecture), variant); i >= 0 {
		return i
	}
	return 100
}

// choose picks the manifest for p out of an index.
func (x *index) choose(p Platform) (ocispec.Descriptor, error) {
	p = p.orHost()
	best, bestRank := -1, 1<<10
	var have []string
	for i, d := range x.manifests {
		if d.Platform == nil || d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			continue
		}
		have = append(have, Platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}.String())
		if !p.Matches(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) {
			continue
		}
		if r := rank(p, d.Platform.Variant); r >= 0 && r < bestRank {
			best, bestRank = i, r
		}
	}
	if best < 0 {
		list := strings.Join(have[:min(len(have), 20)], ", ")
		return ocispec.Descriptor{}, notFound("no matching manifest for %s in the manifest list entries (it has: %.400s)",
			p, list)
	}
	return x.manifests[best], checkDescriptor(x.manifests[best], MaxManifest)
}
