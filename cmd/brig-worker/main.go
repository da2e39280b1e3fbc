// brig-worker reads strangers' bytes: it does one job with the descriptors it was given, and ends.
package main

import (
	"os"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker"
	"github.com/brig-engine/brig/internal/worker/dns"
	"github.com/brig-engine/brig/internal/worker/fill"
	"github.com/brig-engine/brig/internal/worker/label"
	"github.com/brig-engine/brig/internal/worker/tree"
)

func main() { os.Exit(worker.Run(table())) }

// table holds what this program can do.
func table() map[wire.JobKind]worker.Handler {
	return map[wire.JobKind]worker.Handler{
		jobs.Layer:    worker.Layer,
		jobs.Merge:    worker.Merge,
		jobs.Check:    worker.Check,
		jobs.Load:     worker.Load,
		jobs.Export:   worker.Export,
		jobs.Save:     worker.Save,
		jobs.DNS:      dns.Job,
		jobs.Tree:     tree.Job,
		wire.JobFill:  fill.Job,
		wire.JobLabel: label.Job,
	}
}
