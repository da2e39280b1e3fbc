// brig-worker reads strangers' bytes: it does one job with the descriptors it was given, and ends.
package main

import (
	"os"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker"
	"github.com/brig-engine/brig/internal/worker/dns"
	"github.com/brig-engine/brig/internal/worker/fill"
)

func main() { os.Exit(worker.Run(table())) }

// table holds what this program can do.
func table() map[wire.JobKind]worker.Handler {
	return map[wire.JobKind]worker.Handler{
		jobs.Layer:    worker.Layer,
		jobs.Merge:    worker.Merge,
		wire.JobCheck: worker.Check,
		jobs.Load:     worker.Load,
		jobs.Export:   worker.Export,
		jobs.Save:     worker.Save,
		jobs.DNS:      dns.Job,
		wire.JobFill:  fill.Job,
	}
}
