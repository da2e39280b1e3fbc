package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Resolved is what a reference means in a registry now.
type Resolved struct {
	// Digest is what the reference itself stands for: the index, or where there is none the manifest.
	Digest   string
	Manifest *Manifest
	// Config is the image config as it was received; its digest and size are those of Manifest.Config.
	Config []byte
}

// Resolve fetches manifest and config of what ref (a tag or a digest) means for a platform. No layer is touched.
func (c *Client) Resolve(ctx context.Context, ref string, p Platform) (*Resolved, error) {
	m, x, err := c.document(ctx, ref, "")
	if err != nil {
		return nil, err
	}
	r := &Resolved{}
	if x != nil {
		r.Digest = x.digest
		d, err := x.choose(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if m, x, err = c.document(ctx, d.Digest.String(), d.MediaType); err != nil {
			return nil, err
		}
		if x != nil {
			return nil, invalid("%s: an index in an index is not supported", c.name)
		}
		if int64(len(m.Body)) != d.Size {
			return nil, invalid("%s: the manifest %s has %d bytes, the index says %d", c.name, d.Digest, len(m.Body), d.Size)
		}
	}
	if r.Manifest = m; r.Digest == "" {
		r.Digest = m.Digest
	}
	var b buffer
	if err := c.Fetch(ctx, m.Config, &b, nil); err != nil {
		return nil, fmt.Errorf("config of %s: %w", c.name, err)
	}
	r.Config = b.Bytes()
	return r, nil
}

// document fetches one manifest or index and verifies its digest. want is the media type that an index has promised.
func (c *Client) document(ctx context.Context, ref, want string) (*Manifest, *index, error) {
	types := []string{ocispec.MediaTypeImageIndex, typeDockerList, ocispec.MediaTypeImageManifest, typeDockerManifest}
	q := request{method: http.MethodGet, path: "manifests/" + ref, scope: "pull",
		header: map[string]string{"Accept": strings.Join(types, ", ")}}
	res, err := c.do(ctx, q)
	if err == nil {
		res, err = c.follow(ctx, res, q, false)
	}
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, c.failure(res, "manifest for "+c.display(ref))
	}
	defer res.Body.Close()
	body, err := readAll(c.watch(ctx, res.Body), MaxManifest)
	if err != nil {
		return nil, nil, c.explain("read the manifest of "+c.display(ref), err)
	}
	sum := digest.FromBytes(body).String()
	if strings.Contains(ref, ":") && ref != sum {
		return nil, nil, dataLoss("manifest %s of %s: the content has digest %s", ref, c.name, sum)
	}
	if said := res.Header.Get("Docker-Content-Digest"); strings.HasPrefix(said, "sha256:") && said != sum {
		return nil, nil, dataLoss("manifest of %s: the registry announces %.80s, the content has digest %s", c.display(ref),
			said, sum)
	}
	kind := res.Header.Get("Content-Type")
	if want != "" {
		kind = want // what was chosen in the index must be what the document is
	}
	m, x, err := parse(kind, body)
	if err != nil {
		return nil, nil, fmt.Errorf("manifest of %s: %w", c.display(ref), err)
	}
	return m, x, nil
}

func (c *Client) display(ref string) string {
	if strings.Contains(ref, ":") {
		return c.name + "@" + ref
	}
	return c.name + ":" + ref
}

// attempts is how often a download is begun or taken up again.
const attempts = 5

// Fetch downloads one blob into w and verifies its size and digest; w has the whole blob only if there is no error.
// An interrupted transfer is taken up where it stopped. progress, which may be nil, is told the bytes so far.
func (c *Client) Fetch(ctx context.Context, d ocispec.Descriptor, w io.WriterAt, progress func(done int64)) error {
	f := &fetch{c: c, d: d, w: w, sum: sha256.New(), progress: progress}
	pause := c.pause
	for try := 1; ; try++ {
		err := f.once(ctx)
		if err == nil {
			break
		}
		var again *interrupted
		if !errors.As(err, &again) || try == attempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause *= 2
	}
	if got := "sha256:" + hex.EncodeToString(f.sum.Sum(nil)); got != d.Digest.String() {
		return dataLoss("blob %s: the registry's content has digest %s", d.Digest, got)
	}
	return nil
}

// interrupted marks an error after which it makes sense to try again.
type interrupted struct{ error }

func (e *interrupted) Unwrap() error { return e.error }

type fetch struct {
	c        *Client
	d        ocispec.Descriptor
	w        io.WriterAt
	sum      hash.Hash
	done     int64
	progress func(int64)
}

// once makes one request for what is missing.
func (f *fetch) once(ctx context.Context) error {
	q := request{method: http.MethodGet, path: "blobs/" + f.d.Digest.String(), scope: "pull"}
	if f.done > 0 {
		q.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", f.done)}
	}
	res, err := f.c.do(ctx, q)
	if err == nil {
		res, err = f.c.follow(ctx, res, q, true)
	}
	if err != nil {
		if errors.Is(err, errdefs.ErrUnavailable) {
			return &interrupted{err}
		}
		return err
	}
	from := f.done
	switch {
	case res.StatusCode == http.StatusOK:
		f.sum.Reset()
		f.done, from = 0, 0
	case res.StatusCode == http.StatusPartialContent && f.done > 0:
		if !strings.HasPrefix(res.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(from, 10)+"-") {
			res.Body.Close()
			return invalid("blob %s: the registry sends another part than was asked for", f.d.Digest)
		}
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return &interrupted{f.c.failure(res, "blob "+f.d.Digest.String())}
	default:
		return f.c.failure(res, "blob "+f.d.Digest.String())
	}
	defer res.Body.Close()
	if n := res.ContentLength; n >= 0 && n != f.d.Size-from {
		return dataLoss("blob %s: the registry sends %d bytes, the manifest says %d", f.d.Digest, n+from, f.d.Size)
	}
	return f.copy(f.c.watch(ctx, res.Body))
}

// copy takes the rest of the blob out of body, and not one byte more than was announced.
func (f *fetch) copy(body io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, rerr := body.Read(buf)
		if int64(n) > f.d.Size-f.done {
			return dataLoss("blob %s: the registry sends more than the %d bytes of the manifest", f.d.Digest, f.d.Size)
		}
		if n > 0 {
			f.sum.Write(buf[:n])
			if _, err := f.w.WriteAt(buf[:n], f.done); err != nil {
				return fmt.Errorf("blob %s: %w", f.d.Digest, err)
			}
			f.done += int64(n)
			if f.progress != nil {
				f.progress(f.done)
			}
		}
		switch {
		case rerr != nil && f.done == f.d.Size: // the digest tells whether it is right
			return nil
		case rerr == io.EOF || rerr == io.ErrUnexpectedEOF:
			return &interrupted{dataLoss("blob %s: truncated, only %d of %d bytes came", f.d.Digest, f.done, f.d.Size)}
		case rerr != nil:
			return &interrupted{f.c.explain("download blob "+f.d.Digest.String(), rerr)}
		}
	}
}

// watch ends a body that stalls: each read has to bring something in time.
func (c *Client) watch(ctx context.Context, body io.ReadCloser) io.Reader {
	return &watched{ctx, body, c.stall}
}

type watched struct {
	ctx   context.Context
	body  io.ReadCloser
	stall time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	t := time.AfterFunc(w.stall, func() { w.body.Close() })
	n, err := w.body.Read(p)
	if !t.Stop() && err != nil {
		err = fmt.Errorf("nothing came for %s", w.stall)
	}
	if w.ctx.Err() != nil {
		return n, w.ctx.Err()
	}
	return n, err
}

// buffer is a blob in memory; Fetch bounds it by the descriptor's size.
type buffer struct{ bytes.Buffer }

// WriteAt is called with growing offsets, or from 0 again.
func (b *buffer) WriteAt(p []byte, off int64) (int, error) {
	b.Truncate(int(off))
	return b.Write(p)
}

func dataLoss(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errdefs.ErrDataLoss)
}
