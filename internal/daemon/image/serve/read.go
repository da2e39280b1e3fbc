package serve

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	imageapi "github.com/moby/moby/api/types/image"
	registryapi "github.com/moby/moby/api/types/registry"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/registry"
)

// oldSummary is a summary as API versions before 1.44 have it.
type oldSummary struct {
	*imageapi.Summary
	VirtualSize int64
}

func (v *server) list(w http.ResponseWriter, r *http.Request) error {
	raw, err := filters(r, "reference", "dangling", "label", "label!", "before", "since", "until")
	if err != nil {
		return err
	}
	if old := r.URL.Query().Get("filter"); old != "" && api.Version(r) < 41 {
		raw = map[string][]string{"reference": {old}}
	}
	f, err := filter(raw, time.Now())
	if err != nil {
		return err
	}
	list, err := v.store.List(f, on(r, "shared-size"))
	if err != nil {
		return err
	}
	version := api.Version(r)
	var out any = list
	if version < 43 {
		for _, s := range list {
			if len(s.RepoTags)+len(s.RepoDigests) == 0 {
				s.RepoTags, s.RepoDigests = []string{"<none>:<none>"}, []string{"<none>@<none>"}
			}
		}
	}
	if version < 44 {
		old := make([]oldSummary, len(list))
		for i, s := range list {
			old[i] = oldSummary{s, s.Size}
		}
		out = old
	}
	api.WriteJSON(w, http.StatusOK, out)
	return nil
}

func (v *server) inspect(w http.ResponseWriter, r *http.Request, name string) error {
	img, err := v.store.Lookup(name)
	if err != nil {
		return err
	}
	if want := r.URL.Query().Get("platform"); want != "" {
		if err := v.checkPlatform(img, name, want); err != nil {
			return err
		}
	}
	out := img.Inspect()
	if api.Version(r) < 48 {
		out.Descriptor = nil
	}
	if api.Version(r) < 44 {
		api.WriteJSON(w, http.StatusOK, struct {
			*imageapi.InspectResponse
			VirtualSize int64
		}{out, out.Size})
		return nil
	}
	api.WriteJSON(w, http.StatusOK, out)
	return nil
}

// checkPlatform: an image here has one platform; the parameter is its JSON.
func (v *server) checkPlatform(img *image.Image, name, want string) error {
	var p struct{ OS, Architecture, Variant string }
	if err := json.Unmarshal([]byte(want), &p); err != nil {
		return invalid("platform=%.128q: must be a JSON object", want)
	}
	c := &img.Config
	if !(registry.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}).Matches(c.OS, c.Architecture,
		c.Variant) {
		return invalid("image %.128s is for %.64s/%.64s, not %.64s/%.64s", name, c.OS, c.Architecture, p.OS, p.Architecture)
	}
	return nil
}

func (v *server) history(w http.ResponseWriter, r *http.Request, name string) error {
	if err := without(r, "platform"); err != nil {
		return err
	}
	img, err := v.store.Lookup(name)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, img.History())
	return nil
}

func (v *server) distribution(w http.ResponseWriter, r *http.Request, name string) error {
	n, err := image.ParseName(name)
	if err != nil {
		return err
	}
	auth, err := registry.DecodeAuth(r.Header.Get(registryapi.AuthHeader))
	if err != nil {
		return err
	}
	d, platforms, err := v.store.Describe(r.Context(), n, auth)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, registryapi.DistributionInspect{Descriptor: d, Platforms: platforms})
	return nil
}

// hubAddress is how Docker's clients name Docker Hub at login.
const hubAddress = "index.docker.io"

func (v *server) login(w http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return invalid("read the body of the request: %v", err)
	}
	var c registryapi.AuthConfig
	if err := json.Unmarshal(b, &c); err != nil {
		return invalid("the body of the request: %v", err)
	}
	host := strings.TrimPrefix(strings.TrimPrefix(c.ServerAddress, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	if host == "" || host == hubAddress {
		host = "docker.io"
	}
	auth := registry.Auth{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken}
	if err := v.store.Login(r.Context(), host, auth); err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, registryapi.AuthResponse{Status: "Login Succeeded"})
	return nil
}
