package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

const maxReference = 1024 // bytes of what people write for an image

// ParseName reads what people write for an image in a registry: domain and tag are filled in where they are missing,
// and a tag beside a digest means nothing.
func ParseName(s string) (reference.Named, error) {
	if len(s) > maxReference {
		return nil, refuse("the name of an image has more than %d bytes", maxReference)
	}
	n, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		if errors.Is(err, reference.ErrReferenceInvalidFormat) {
			return nil, refuse("invalid reference format: %.128q", s)
		}
		return nil, refuse("%.300s", err) // which begins in the same way
	}
	switch reference.FamiliarName(n) {
	case "sha256", "sha384", "sha512": // sha256:… is an id, and nobody gets to say what it means
		return nil, refuse("invalid reference format: %.128q: the name of a digest algorithm cannot be an image's", s)
	}
	if d, ok := n.(reference.Digested); ok {
		c, err := reference.WithDigest(reference.TrimNamed(n), d.Digest())
		if err != nil {
			return nil, refuse("invalid reference format: %.128q: %v", s, err)
		}
		return c, nil
	}
	return reference.TagNameOnly(n), nil
}

// isDigest tells whether a full reference names its image by digest.
func isDigest(name string) bool { return strings.Contains(name, "@") }

// refOf is the tag or the digest of a full reference, as a registry wants it.
func refOf(n reference.Named) string {
	switch r := n.(type) {
	case reference.Digested:
		return r.Digest().String()
	case reference.Tagged:
		return r.Tag()
	}
	return "latest"
}

// familiar is the short form of a full reference.
func familiar(name string) string {
	n, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(n)
}

// Lookup finds an image by name, name:tag, name@digest, id, or unique beginning of an id.
func (s *Store) Lookup(ref string) (*Image, error) {
	img, _, err := s.find(ref)
	return img, err
}

// find is Lookup; name is the full reference if it was one that found the image, and "" if it was an id.
func (s *Store) find(ref string) (img *Image, name string, err error) {
	if len(ref) > maxReference {
		return nil, "", refuse("the name of an image has more than %d bytes", maxReference)
	}
	s.mu.Lock()
	img = s.byID[ref] // which no name looks like, and what the engine itself asks for
	s.mu.Unlock()
	if img != nil {
		return img, "", nil
	}
	if n, err := ParseName(ref); err == nil {
		s.waiting.await(n.String())
		s.mu.Lock()
		img = s.byID[s.byName[n.String()].Image]
		s.mu.Unlock()
		if img != nil {
			return img, n.String(), nil
		}
	}
	img, err = s.byPrefix(strings.TrimPrefix(ref, "sha256:"))
	if err == nil && img == nil {
		n, perr := ParseName(ref)
		switch {
		case perr == nil:
			ref = reference.FamiliarString(n)
		case !strings.HasPrefix(ref, "sha256:"): // that is an id, and could have been there
			return nil, "", perr
		}
		err = fmt.Errorf("No such image: %.256s: %w", ref, errdefs.ErrNotFound) //nolint:staticcheck // clients read it
	}
	return img, "", err
}

// byPrefix finds by the beginning of an id; nil if there is none.
func (s *Store) byPrefix(prefix string) (*Image, error) {
	if prefix == "" || len(prefix) > 64 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if img := s.byID["sha256:"+prefix]; img != nil {
		return img, nil
	}
	var found *Image
	for id, img := range s.byID {
		if !strings.HasPrefix(hexOf(id), prefix) {
			continue
		}
		if found != nil {
			return nil, refuse("%.64s is the beginning of more than one image's id", prefix)
		}
		found = img
	}
	return found, nil
}
