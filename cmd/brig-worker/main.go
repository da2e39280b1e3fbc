// brig-worker reads strangers' bytes: it does one job with the descriptors it was given, and ends.
package main

import (
	"os"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker"
	"github.com/brig-engine/brig/internal/worker/dns"
	"github.com/brig-engine/brig/internal/worker/fill"
	"github.com/brig-engine/brig/internal/worker/tree"
)

func main() { os.Exit(worker.Run(table())) }

// table holds what this program can do.
func table() map[wire.JobKind]worker.Handler {
	return map[wire.JobKind]worker.Handler{
		wire.JobLayer:  worker.Layer,
		wire.JobMerge:  worker.Merge,
		wire.JobCheck:  worker.Check,
		wire.JobLoad:   worker.Load,
		wire.JobExport: worker.Export,
		wire.JobSave:   worker.Save,
		wire.JobDNS:    dns.Job,
		wire.JobFill:   fill.Job,
		jobs.JobTree:   tree.Job,
	}
}
