package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// operation is one taking in of images. It pins what it has sealed or will use; when it ends, whatever of that no image
// needs is removed, so that a failure leaves nothing behind.
type operation struct {
	s       *Store
	pinned  map[key]struct{} // guarded by s.mu
	fetches chan struct{}    // admits the downloads of this operation
}

// parallelFetches is how many blobs one pull downloads at once.
const parallelFetches = 3

func (s *Store) begin() *operation {
	return &operation{s: s, pinned: map[key]struct{}{}, fetches: make(chan struct{}, parallelFetches)}
}

// end unpins everything.
func (o *operation) end() {
	s := o.s
	s.mu.Lock()
	var keys []key
	for k := range o.pinned {
		if s.pins[k]--; s.pins[k] == 0 {
			delete(s.pins, k)
			if s.refs[k] == 0 {
				keys = append(keys, k)
			}
		}
	}
	o.pinned = nil
	s.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	// The person who asked may be gone; the objects have to go all the same.
	if _, err := s.collect(context.Background(), keys); err != nil {
		slog.Warn("objects of an operation that ended stay until the next sweep", "error", err)
	}
}

// pin is called with s.mu held, by an operation that has not ended.
func (o *operation) pin(keys ...key) {
	for _, k := range keys {
		if _, there := o.pinned[k]; !there {
			o.pinned[k] = struct{}{}
			o.s.pins[k]++
		}
	}
}

// keep pins objects if all of them are there.
func (o *operation) keep(keys ...key) bool {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return o.keepLocked(keys...)
}

func (o *operation) keepLocked(keys ...key) bool {
	for _, k := range keys {
		if _, there := o.s.objects[k]; !there {
			return false
		}
	}
	o.pin(keys...)
	return true
}

// blank is an unnamed file of the store's that waits to be filled and sealed. Its descriptor is a plain number because
// it is given away.
type blank struct{ fd int }

func (s *Store) create(ctx context.Context) (*blank, error) {
	fds, err := s.cfg.Objects.Call(ctx, objects.Create, struct{}{}, nil)
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		wire.CloseAll(fds)
		return nil, errors.New("brig-store handed out no file")
	}
	return &blank{fds[0]}, nil
}

// WriteAt writes all of p.
func (b *blank) WriteAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		m, err := unix.Pwrite(b.fd, p[n:], off+int64(n))
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
			return n, fmt.Errorf("no space left in the engine's directory. Next: brig images, brig rmi: %w",
				errdefs.ErrResourceExhausted)
		case err != nil:
			return n, fmt.Errorf("write: %w", err)
		default:
			n += m
		}
	}
	return len(p), nil
}

// Close is harmless after the file was given away.
func (b *blank) Close() {
	if b.fd >= 0 {
		unix.Close(b.fd)
		b.fd = -1
	}
}

func (b *blank) give() int {
	fd := b.fd
	b.fd = -1
	return fd
}

// seal has brig-store hash, name and lock the file; want may be "" where nobody has announced a digest.
func (o *operation) seal(ctx context.Context, b *blank, want string) (objects.Object, error) {
	return o.give(ctx, key{}, objects.Seal, wire.ObjectRef{Digest: want}, b)
}

// sealIndex has brig-store check an index by a worker of its own, and seal it. data are its devices, in order.
func (o *operation) sealIndex(ctx context.Context, b *blank, data []string) (objects.Object, error) {
	return o.give(ctx, key{index: true}, objects.SealIndex, objects.Index{Data: data}, b)
}

// give seals and pins in one step, as far as removals are concerned. A seal that was asked for is waited for: otherwise
// nobody would know of the object.
func (o *operation) give(ctx context.Context, k key, op wire.Op, request any, b *blank) (objects.Object, error) {
	var obj objects.Object
	if err := ctx.Err(); err != nil {
		return obj, err
	}
	o.s.gate.RLock()
	defer o.s.gate.RUnlock()
	fds, err := o.s.cfg.Objects.Give(context.WithoutCancel(ctx), op, request, &obj, b.give())
	wire.CloseAll(fds)
	if err != nil {
		return obj, err
	}
	k.digest = obj.Digest
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.objects[k] = obj.Size
	o.pin(k)
	return obj, nil
}

// remove removes an object, or has the warden let go of an index, which it may have mounted, and brig-store remove that.
func (s *Store) remove(ctx context.Context, k key) error {
	op, from := objects.Remove, s.cfg.Objects
	if k.index {
		op, from = wire.OpIndexRemove, s.cfg.Warden
	}
	_, err := from.Call(ctx, op, wire.ObjectRef{Digest: k.digest}, nil)
	return err
}

// sealBytes seals a small document.
func (o *operation) sealBytes(ctx context.Context, body []byte, want string) error {
	if o.keep(key{want, false}) {
		return nil
	}
	b, err := o.s.create(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if _, err := b.WriteAt(body, 0); err != nil {
		return err
	}
	_, err = o.seal(ctx, b, want)
	return err
}

// open opens a sealed object to read.
func (s *Store) open(ctx context.Context, digest string) (*os.File, error) {
	fds, err := s.cfg.Objects.Call(ctx, objects.Open, wire.ObjectRef{Digest: digest}, nil)
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		wire.CloseAll(fds)
		return nil, fmt.Errorf("brig-store did not open %s", digest)
	}
	return os.NewFile(uintptr(fds[0]), digest), nil
}

// read reads a sealed document of at most limit bytes.
func (s *Store) read(ctx context.Context, digest string, limit int64) ([]byte, error) {
	f, err := s.open(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: %w", digest, limit, errdefs.ErrInvalidArgument)
	}
	return b, err
}
