package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const scopePush = "pull,push"

// HasBlob tells whether the repository has a blob already.
func (c *Client) HasBlob(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	res, err := c.do(ctx, request{method: http.MethodHead, path: "blobs/" + d.Digest.String(), scope: scopePush})
	if err != nil {
		return false, err
	}
	res.Body.Close()
	switch {
	case res.StatusCode == http.StatusOK || res.StatusCode == http.StatusTemporaryRedirect ||
		res.StatusCode == http.StatusFound:
		return true, nil
	case res.StatusCode == http.StatusNotFound:
		return false, nil
	}
	return false, c.failure(res, "blob "+d.Digest.String())
}

// PushBlob uploads one blob in one request.
func (c *Client) PushBlob(ctx context.Context, d ocispec.Descriptor, r io.ReaderAt, progress func(done int64)) error {
	res, err := c.do(ctx, request{method: http.MethodPost, path: "blobs/uploads/", scope: scopePush,
		body: func() io.Reader { return http.NoBody }})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return c.failure(res, "upload to "+c.name)
	}
	res.Body.Close()
	u, err := c.uploadURL(res)
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("digest", d.Digest.String())
	u.RawQuery = q.Encode()
	body := func() io.Reader { return &sending{r: io.NewSectionReader(r, 0, d.Size), tell: progress} }
	res, err = c.do(ctx, request{method: http.MethodPut, url: u, scope: scopePush, body: body, size: d.Size,
		header: map[string]string{"Content-Type": "application/octet-stream"}})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusCreated {
		return c.failure(res, "upload of blob "+d.Digest.String())
	}
	return res.Body.Close()
}

// uploadURL is where the registry wants the blob. What we send goes to the registry itself and nowhere else.
func (c *Client) uploadURL(res *http.Response) (*url.URL, error) {
	u, err := res.Location()
	if err != nil {
		return nil, invalid("registry %s does not say where to upload to", c.host)
	}
	if u.Host != c.host || !c.mayTalk(u) {
		return nil, fmt.Errorf("registry %s wants the upload at %s://%.100s; it goes to the registry itself, over TLS, "+
			"or nowhere: %w",
			c.host, u.Scheme, u.Host, errdefs.ErrPermissionDenied)
	}
	return u, nil
}

// PutManifest sets a tag. All that the manifest names must have been pushed before.
func (c *Client) PutManifest(ctx context.Context, tag string, m *Manifest) error {
	res, err := c.do(ctx, request{method: http.MethodPut, path: "manifests/" + tag, scope: scopePush,
		body: func() io.Reader { return bytes.NewReader(m.Body) }, size: int64(len(m.Body)),
		header: map[string]string{"Content-Type": m.MediaType}})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusCreated && res.StatusCode != http.StatusOK {
		return c.failure(res, "manifest for "+c.display(tag))
	}
	res.Body.Close()
	if said := res.Header.Get("Docker-Content-Digest"); said != "" && said != m.Digest {
		return dataLoss("the registry stored %s as %.80s", m.Digest, said)
	}
	return nil
}

// Describe tells what a tag or digest stands for, without fetching an image.
func (c *Client) Describe(ctx context.Context, ref string) (ocispec.Descriptor, []ocispec.Platform, error) {
	m, x, err := c.document(ctx, ref, "")
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if m != nil {
		return ocispec.Descriptor{MediaType: m.MediaType, Size: int64(len(m.Body)), Digest: digest.Digest(m.Digest)}, nil, nil
	}
	var platforms []ocispec.Platform
	for _, e := range x.manifests {
		if e.Platform != nil {
			platforms = append(platforms, *e.Platform)
		}
	}
	return ocispec.Descriptor{MediaType: x.mediaType, Size: x.size, Digest: digest.Digest(x.digest)}, platforms, nil
}

// Login checks that the registry takes the credentials.
func (c *Client) Login(ctx context.Context) error {
	if err := c.settle(ctx); err != nil {
		return err
	}
	u := c.endpoint("")
	u.Path = "/v2/"
	res, err := c.do(ctx, request{method: http.MethodGet, url: u})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return c.failure(res, "login")
	}
	return res.Body.Close()
}

type sending struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if s.tell != nil && n > 0 {
		s.tell(s.n)
	}
	return n, err
}
