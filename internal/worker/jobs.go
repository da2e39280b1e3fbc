package worker

import (
	"bufio"
	"fmt"
	"os"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/archive"
	"github.com/brig-engine/brig/internal/worker/index"
	"github.com/brig-engine/brig/internal/worker/index/check"
	"github.com/brig-engine/brig/internal/worker/layer"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// files takes the descriptors of a job, which must be exactly n.
func files(t *jobs.Task, n int) ([]*os.File, error) {
	if len(t.Files) != n {
		return nil, toc.Invalid("job %s needs %d descriptors, %d came", t.Kind, n, len(t.Files))
	}
	return t.Files, nil
}

// Layer carries out jobs.Layer.
func Layer(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 3)
	if err != nil {
		return nil, err
	}
	blob, err := toc.Whole(f[0])
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f[2], 256<<10)
	r, err := layer.Build(blob, f[1], w, *t.Layer, t.Limits, t.Progress)
	if err == nil {
		err = w.Flush()
	}
	return &jobs.Result{Layer: r}, err
}

// Merge carries out jobs.Merge.
func Merge(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 1)
	if err != nil {
		return nil, err
	}
	open := func(name string) (*os.File, error) { return t.File(name, 0) }
	r, err := index.Merge(f[0], *t.Job.Merge, t.Limits, open, t.Progress)
	return &jobs.Result{Merge: r}, err
}

// Check carries out jobs.Check.
func Check(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 1)
	if err != nil {
		return nil, err
	}
	r, err := check.Verify(f[0], *t.Job.Check, t.Limits)
	return &jobs.Result{Check: r}, err
}

// Load carries out jobs.Load.
func Load(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 1)
	if err != nil {
		return nil, err
	}
	in, err := toc.Whole(f[0])
	if err != nil {
		return nil, err
	}
	blob := func(n int, size int64) (*os.File, error) { return t.File(fmt.Sprintf("blob/%d", n), size) }
	r, err := archive.Load(in, *t.Job.Load, t.Limits, blob, t.Progress)
	return &jobs.Result{Load: r}, err
}

// Export carries out jobs.Export.
func Export(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 3)
	if err != nil {
		return nil, err
	}
	table, err := toc.Whole(f[1])
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f[0], 256<<10)
	r, err := archive.Export(w, table, f[2], *t.Job.Export, t.Limits, t.Progress)
	if err == nil {
		err = w.Flush()
	}
	return &jobs.Result{Export: r}, err
}

// Save carries out jobs.Save.
func Save(t *jobs.Task) (*jobs.Result, error) {
	f, err := files(t, 1)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f[0], 256<<10)
	open := func(name string) (*os.File, error) { return t.File(name, 0) }
	r, err := archive.Save(w, *t.Job.Save, t.Limits, open, t.Progress)
	if err == nil {
		err = w.Flush()
	}
	return &jobs.Result{Save: r}, err
}
