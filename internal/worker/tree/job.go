package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// Job carries out jobs.Tree.
func Job(t *jobs.Task) (*jobs.Result, error) {
	// Nobody in the container can name this process; if somebody could, he would still not read its memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become unreadable: %w", err)
	}
	unix.Umask(0) // modes are those of the archive
	root, err := kernel.Open(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if err != nil {
		return nil, err
	}
	w := &work{task: t, params: t.Tree, limits: t.Limits, root: root, changed: jobs.TreeChanged, image: jobs.TreeImage, bare: jobs.TreeBare}
	r, err := w.do()
	return &jobs.Result{Tree: r}, err
}

// work is one job with the directories that it works on.
type work struct {
	task                       *jobs.Task
	params                     *jobs.TreeParams
	limits                     jobs.Limits
	root, changed, image, bare int
}

func (w *work) do() (*jobs.TreeResult, error) {
	switch w.params.Do {
	case jobs.TreeStat:
		return w.found(func(*spot, string, *unix.Stat_t, *jobs.TreeResult) error { return nil })
	case jobs.TreeRead:
		return w.found(w.read)
	case jobs.TreeWrite:
		return w.write()
	case jobs.TreeExport:
		return w.pack(w.bare, false)
	case jobs.TreeLayer:
		return w.pack(w.changed, true)
	case jobs.TreeChanges:
		return w.changes()
	case jobs.TreeSize:
		return w.size()
	}
	return nil, toc.Invalid("nothing called %.32q can be done with a tree", w.params.Do)
}

// file is the one descriptor of a job.
func (w *work) file() (*os.File, error) {
	if len(w.task.Files) != 1 {
		return nil, errors.New("this job needs one descriptor")
	}
	return w.task.Files[0], nil
}

func (w *work) found(then func(at *spot, base string, st *unix.Stat_t, r *jobs.TreeResult) error) (*jobs.TreeResult, error) {
	at, base, err := find(w.root, w.params.Path)
	if err != nil {
		return nil, err
	}
	defer at.close()
	st, err := at.stat()
	if err != nil {
		return nil, err
	}
	r := &jobs.TreeResult{Stat: describe(w.root, &at, w.params.Path, base, &st)}
	return r, then(&at, base, &st, r)
}

// read packs a path under its last name; the root has none.
func (w *work) read(at *spot, base string, st *unix.Stat_t, r *jobs.TreeResult) error {
	f, err := w.task.Ask(jobs.File{Name: "archive", Stat: r.Stat})
	if err != nil {
		return err
	}
	if base == "/" {
		base = ""
	}
	return packTo(f, w.limits, r, func(p *packer) error { return p.spot(at, base, st) })
}

// packTo writes an archive to its end.
func packTo(out io.Writer, limits jobs.Limits, r *jobs.TreeResult, fill func(*packer) error) error {
	b := bufio.NewWriterSize(out, 256<<10)
	p := newPacker(b, limits)
	err := fill(p)
	if err == nil {
		err = p.w.Close()
	}
	if err == nil {
		err = b.Flush()
	}
	r.Entries, r.Bytes = p.entries, p.bytes
	return err
}

// pack packs all that is in a directory, without the directory itself.
func (w *work) pack(dir int, layer bool) (*jobs.TreeResult, error) {
	f, err := w.file()
	if err != nil {
		return nil, err
	}
	r := &jobs.TreeResult{}
	return r, packTo(f, w.limits, r, func(p *packer) error {
		p.layer = layer
		return p.directory(dir, "", 0)
	})
}

func (w *work) changes() (*jobs.TreeResult, error) {
	f, err := w.file()
	if err != nil {
		return nil, err
	}
	d := &differ{limit: w.limits.MaxEntries}
	if err := d.directory(w.changed, w.image, "/", 0); err != nil {
		return nil, err
	}
	return &jobs.TreeResult{Entries: int64(len(d.out))}, d.write(f)
}

func (w *work) write() (*jobs.TreeResult, error) {
	f, err := w.file()
	if err != nil {
		return nil, err
	}
	dest, err := w.destination()
	if err != nil {
		return nil, err
	}
	defer unix.Close(dest)
	u := newUnpacker(dest, w.params, w.limits)
	err = u.unpack(f)
	if err == nil { // who sends it is not to see a broken pipe for what pads it
		_, err = io.Copy(io.Discard, io.LimitReader(f, 1<<20))
	}
	return &jobs.TreeResult{Entries: u.entries, Bytes: u.bytes}, err
}

// destination opens the directory that something is unpacked in. Every link is followed, inside the root.
func (w *work) destination() (int, error) {
	dest, err := kernel.Open(w.root, w.params.Path, unix.O_PATH, 0, kernel.InRoot)
	if err != nil {
		return -1, classify(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(dest, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		unix.Close(dest)
		return -1, errors.Join(err, toc.Invalid("extraction point is not a directory"))
	}
	return dest, nil
}
