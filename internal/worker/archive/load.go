package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/layer"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// The limits of an archive of images, beside those of the job.
const (
	maxMembers  = 50_000
	maxJSON     = 4 << 20  // bytes of one document
	maxHeld     = 64 << 20 // bytes of all small members, which wait in memory until it is known what they are
	maxBlobs    = 4096
	maxLinkHops = 16
)

// member is one file of the archive.
type member struct {
	digest string
	size   int64
	body   []byte // if it is held in memory
	stored bool   // it is in a file
	link   string // clean name of another member; then nothing else is set
}

// loader goes through an archive once and keeps what it may need.
type loader struct {
	limits  jobs.Limits
	file    func(n int, size int64) (*os.File, error)
	members map[string]*member
	digests map[string]*member
	blobs   []jobs.LoadedBlob
	held    int64
	walked  int // descriptors of indexes
	tick    func()
}

// Load reads an archive and hands its blobs out into files: file(n, size) gives the file for blob n, and Load closes
// it.
func Load(r io.Reader, p jobs.LoadParams, limits jobs.Limits, file func(n int, size int64) (*os.File, error),
	progress func(done, total int64)) (*jobs.LoadResult, error) {
	in := &counter{r: r}
	plain, _, end, err := layer.Sniff(in)
	if err != nil {
		return nil, err
	}
	defer end()
	l := &loader{limits: limits, file: file, members: map[string]*member{}, digests: map[string]*member{},
		tick: func() {}}
	if progress != nil {
		l.tick = func() { progress(in.n, p.Size) }
	}
	all := &bounded{r: plain, in: in, limits: limits}
	if err := l.read(tar.NewReader(all)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, all); err != nil { // to the checksum of the compressed stream
		return nil, fmt.Errorf("archive, after its last entry: %w", layer.Classify(err))
	}
	images, err := l.images()
	if err != nil {
		return nil, err
	}
	return &jobs.LoadResult{Blobs: l.blobs, Images: images}, nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// bounded ends a stream that becomes larger than the limits allow.
type bounded struct {
	r      io.Reader
	in     *counter
	n      int64
	limits jobs.Limits
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > b.limits.MaxBytes {
		return 0, toc.Exceeded("bytes in the uncompressed archive", b.limits.MaxBytes)
	}
	if b.n > 1<<30 && b.n/b.limits.MaxRatio > b.in.n {
		return 0, toc.Exceeded("times the size of the compressed archive", b.limits.MaxRatio)
	}
	return n, err
}

func (l *loader) read(tr *tar.Reader) error {
	for n := 1; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = toc.Invalid("not a tar, damaged, or cut off: %w", err)
		}
		if err != nil {
			return fmt.Errorf("archive, after entry %d: %w", n-1, layer.Classify(err))
		}
		if n > maxMembers {
			return toc.Exceeded("entries in an archive of images", maxMembers)
		}
		if err := l.entry(tr, h); err != nil {
			return fmt.Errorf("archive, entry %d (%.200q): %w", n, h.Name, err)
		}
		l.tick()
	}
}

// entry keeps one entry of the archive.
func (l *loader) entry(tr *tar.Reader, h *tar.Header) error {
	name, err := toc.Clean(h.Name)
	if err != nil {
		return err
	}
	var m *member
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return toc.Invalid("a sparse file has no place in an archive of images")
			}
		}
		m, err = l.member(tr, name, h.Size)
	case tar.TypeSymlink, tar.TypeLink:
		m = &member{}
		m.link, err = linkTarget(name, h)
	default:
		return toc.Invalid("type %q has no place in an archive of images", h.Typeflag)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = toc.Invalid("the archive is cut off")
	}
	if err != nil {
		return err
	}
	if old := l.members[name]; old != nil && (old.link != m.link || old.digest != m.digest) {
		return toc.Invalid("the name is there twice with different content")
	}
	l.members[name] = m
	return nil
}

// linkTarget gives the member that a link means. A symbolic link is relative to where it stands, a hard link to the
// root.
func linkTarget(name string, h *tar.Header) (string, error) {
	target := h.Linkname
	if h.Typeflag == tar.TypeSymlink && !strings.HasPrefix(target, "/") {
		target = name + "/../" + target
	}
	link, err := toc.Clean(target)
	if err == nil && link == "" {
		err = toc.Invalid("a link to the root of the archive")
	}
	return link, err
}

// member reads one file. Small ones wait in memory; large ones, which can only be layers, go straight to a file.
func (l *loader) member(r io.Reader, name string, size int64) (*member, error) {
	m := &member{size: size}
	h := sha256.New()
	if size <= maxJSON && l.held+size <= maxHeld {
		m.body = make([]byte, size)
		if _, err := io.ReadFull(r, m.body); err != nil {
			return nil, eof(err)
		}
		l.held += size
		h.Write(m.body)
		m.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	} else if err := l.store(m, r, h); err != nil {
		return nil, err
	}
	if want, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && "sha256:"+want != m.digest {
		return nil, toc.Invalid("its digest is %s: it was changed or damaged", m.digest)
	}
	if old := l.digests[m.digest]; old == nil || m.stored && !old.stored {
		l.digests[m.digest] = m
	}
	return m, nil
}

// eof makes an early end of a member one kind of error.
func eof(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// store writes a member into a file of brigd's.
func (l *loader) store(m *member, r io.Reader, h hash.Hash) error {
	if len(l.blobs) >= maxBlobs {
		return toc.Exceeded("blobs in an archive of images", maxBlobs)
	}
	f, err := l.file(len(l.blobs), m.size)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for left := m.size; left > 0; {
		b := buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(r, b); err != nil {
			return eof(err)
		}
		h.Write(b)
		if _, err := f.Write(b); err != nil {
			return fmt.Errorf("write blob: %w", err)
		}
		left -= int64(len(b))
		l.tick()
	}
	m.digest, m.stored = "sha256:"+hex.EncodeToString(h.Sum(nil)), true
	l.blobs = append(l.blobs, jobs.LoadedBlob{Digest: m.digest, Size: m.size})
	return nil
}

// find follows links; nil if the archive has no such file.
func (l *loader) find(name string) *member {
	m := l.members[name]
	for range maxLinkHops {
		if m == nil || m.link == "" {
			return m
		}
		m = l.members[m.link]
	}
	return nil
}

// use makes sure that a member that an image needs is in a file.
func (l *loader) use(m *member) error {
	if same := l.digests[m.digest]; same != nil && same.stored {
		return nil
	}
	err := l.store(m, bytes.NewReader(m.body), sha256.New())
	l.digests[m.digest] = m
	return err
}
