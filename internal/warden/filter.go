package warden

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/seccomp"
	"github.com/brig-engine/brig/internal/wire"
)

const arch = wire.FilterArch(runtime.GOARCH)

// maxFilters bounds the compiled filters that are kept for brigd, which hands a forgotten one over again.
const maxFilters = 256

// filters are compiled system-call filters by the digest of what brigd sent, the built-in default under "", and the
// floor under the relaxations that a capability brings along.
type filters struct {
	mu       sync.Mutex
	compiled map[string]plan.Filter
	floors   map[seccomp.Relax][]unix.SockFilter
}

func newFilters() (*filters, error) {
	f := &filters{compiled: map[string]plan.Filter{}, floors: map[seccomp.Relax][]unix.SockFilter{}}
	d := seccomp.Default(arch)
	code, err := seccomp.Compile(&d)
	f.compiled[""] = plan.Filter{Name: "the default", Code: code}
	return f, err
}

func (w *Warden) filterPut(q wire.Filter) (any, error) {
	if err := q.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if q.Arch != arch {
		return nil, fmt.Errorf("this machine is %s, the filter is for %s: %w", arch, q.Arch, errdefs.ErrInvalidArgument)
	}
	code, err := seccomp.Compile(&q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	f, digest := w.filters, q.Digest()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.compiled) >= maxFilters {
		for d := range f.compiled {
			if d != "" {
				delete(f.compiled, d)
				break
			}
		}
	}
	f.compiled[digest] = plan.Filter{Name: "the profile's", Code: code, Flags: seccomp.Flags(&q)}
	return wire.FilterReply{Digest: digest}, nil
}

// programs gives the filters of a process: the floor, and above it the one that was asked for.
func (f *filters) programs(p *wire.Process) ([]plan.Filter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	relax := seccomp.RelaxFor(p.Capabilities.Permitted)
	floor, ok := f.floors[relax]
	if !ok {
		rules := seccomp.Floor(arch, relax)
		var err error
		if floor, err = seccomp.Compile(&rules); err != nil {
			return nil, err
		}
		f.floors[relax] = floor
	}
	list := []plan.Filter{{Name: "the floor's", Code: floor}}
	if p.Filter == unconfined {
		return list, nil
	}
	filter, ok := f.compiled[p.Filter]
	if !ok {
		return nil, fmt.Errorf("filter %s is not known: %w", p.Filter, errdefs.ErrNotFound)
	}
	return append(list, filter), nil
}
