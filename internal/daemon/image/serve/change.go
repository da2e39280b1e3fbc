package serve

import (
	"net/http"
	"time"

	"github.com/distribution/reference"
	registryapi "github.com/moby/moby/api/types/registry"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/registry"
)

// create pulls an image or imports a root file system.
func (v *server) create(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from, src := q.Get("fromImage"), q.Get("fromSrc")
	switch {
	case from != "" && src == "":
		return v.pull(w, r, from, q.Get("tag"))
	case src == "-" && from == "":
		return v.importRoot(w, r)
	case src != "" && from == "":
		return invalid("fromSrc=%.128q: the engine fetches nothing from a URL for an import. "+
			"Next: download it, and give it to import as a file", src)
	}
	return invalid("one of fromImage and fromSrc must be given")
}

func (v *server) pull(w http.ResponseWriter, r *http.Request, from, tag string) error {
	name, err := pullName(from, tag)
	if err != nil {
		return err
	}
	auth, err := registry.DecodeAuth(r.Header.Get(registryapi.AuthHeader))
	if err != nil {
		return err
	}
	opt := image.PullOptions{Name: name, Platform: r.URL.Query().Get("platform"), Auth: auth}
	s := newStream(w)
	return s.finish(v.store.Pull(r.Context(), opt, s.tell))
}

// pullName puts name and tag together; the tag may be a digest.
func pullName(from, tag string) (reference.Named, error) {
	n, err := reference.ParseNormalizedNamed(from)
	if err != nil {
		return nil, invalid("invalid reference format: %.128q", from)
	}
	switch {
	case tag == "" && reference.IsNameOnly(n):
		return nil, invalid("pulling all tags of %.128s is not supported. Next: name a tag", from)
	case tag == "":
		return image.ParseName(from)
	}
	sep := ":"
	if registry.CheckDigest(tag) == nil {
		sep = "@"
	}
	return image.ParseName(reference.TrimNamed(n).String() + sep + tag)
}

func (v *server) importRoot(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	opt := image.ImportOptions{Platform: q.Get("platform"), Message: q.Get("message"), Changes: q["changes"]}
	if repo := q.Get("repo"); repo != "" {
		name, err := tagged(repo, q.Get("tag"))
		if err != nil {
			return err
		}
		opt.Name = name
	}
	s := newStream(w)
	defer s.duplex()()
	id, err := v.store.Import(r.Context(), r.Body, opt, s.tell)
	if err == nil {
		s.tell(image.Event{Status: id})
	} else {
		s.spill(r.Body)
	}
	return s.finish(err)
}

func tagged(repo, tag string) (reference.Named, error) {
	if tag != "" {
		repo += ":" + tag
	}
	n, err := image.ParseName(repo)
	if err != nil {
		return nil, err
	}
	if _, ok := n.(reference.Tagged); !ok {
		return nil, invalid("refusing to create a tag with a digest reference")
	}
	return n, nil
}

func (v *server) load(w http.ResponseWriter, r *http.Request) error {
	if err := without(r, "platform"); err != nil {
		return err
	}
	s := newStream(w)
	defer s.duplex()()
	tell := s.tell
	if on(r, "quiet") {
		tell = func(image.Event) {}
	}
	lines, err := v.store.Load(r.Context(), r.Body, max(r.ContentLength, 0), tell)
	for _, line := range lines {
		s.say(message{Stream: line + "\n"})
	}
	if err != nil {
		s.spill(r.Body)
	}
	return s.finish(err)
}

func (v *server) push(w http.ResponseWriter, r *http.Request, name string) error {
	if err := without(r, "platform"); err != nil {
		return err
	}
	n, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return invalid("invalid reference format: %.128q", name)
	}
	tag := r.URL.Query().Get("tag")
	if t, ok := n.(reference.Tagged); ok && tag == "" {
		tag = t.Tag()
	}
	if _, ok := n.(reference.Digested); ok {
		return invalid("cannot push a digest reference")
	}
	auth, err := registry.DecodeAuth(r.Header.Get(registryapi.AuthHeader))
	if err != nil {
		return err
	}
	s := newStream(w)
	done := func(p image.Pushed) { s.say(message{Aux: p}) }
	return s.finish(v.store.Push(r.Context(), reference.TrimNamed(n), tag, auth, s.tell, done))
}

func (v *server) tag(w http.ResponseWriter, r *http.Request, ref string) error {
	q := r.URL.Query()
	name, err := tagged(q.Get("repo"), q.Get("tag"))
	if err != nil {
		return err
	}
	if err := v.store.Tag(ref, name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// remove: noprune has nothing to spare, since images here have no parents.
func (v *server) remove(w http.ResponseWriter, r *http.Request, ref string) error {
	if err := without(r, "platforms"); err != nil {
		return err
	}
	gone, err := v.store.Remove(r.Context(), ref, on(r, "force"))
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, gone)
	return nil
}

func (v *server) prune(w http.ResponseWriter, r *http.Request) error {
	raw, err := filters(r, "dangling", "until", "label", "label!")
	if err != nil {
		return err
	}
	if len(raw["until"]) > 1 {
		return invalid("more than one until filter specified")
	}
	f, err := filter(raw, time.Now())
	if err != nil {
		return err
	}
	all := f.Dangling != nil && !*f.Dangling
	report, err := v.store.Prune(r.Context(), all, func(img *image.Image) bool {
		return !f.MatchLabels(img) || !f.Until.IsZero() && !img.Created.Before(f.Until)
	})
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, report)
	return nil
}

func (v *server) save(w http.ResponseWriter, r *http.Request) error {
	return v.archive(w, r, r.URL.Query()["names"])
}

func (v *server) saveOne(w http.ResponseWriter, r *http.Request, name string) error {
	return v.archive(w, r, []string{name})
}

// archive writes images. Once the first byte is on its way an error can only be told by breaking off.
func (v *server) archive(w http.ResponseWriter, r *http.Request, names []string) error {
	if err := without(r, "platform"); err != nil {
		return err
	}
	a, err := v.store.PrepareSave(r.Context(), names)
	if err != nil {
		return err
	}
	defer a.Close()
	out := &begun{w: w}
	err = a.Write(r.Context(), out)
	if err != nil && out.yes {
		panic(http.ErrAbortHandler)
	}
	return err
}

// begun notes whether anything was written.
type begun struct {
	w   http.ResponseWriter
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.yes {
		b.yes = true
		b.w.Header().Set("Content-Type", "application/x-tar")
	}
	return b.w.Write(p)
}
