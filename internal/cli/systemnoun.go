package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
)

func newSystemNoun(a *App) *cobra.Command {
	return noun(a, "system", "The engine as a whole", "dial-stdio",
		newSystemCheck(a), newDiskUsage(a), newEvents(a), newInfo(a), newSystemPrune(a))
}

func newSystemPrune(a *App) *cobra.Command {
	var p pruning
	var volumes bool
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove containers, networks and images that are not used", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if volumes && slices.ContainsFunc(p.filter, func(s string) bool { return strings.HasPrefix(s, "until=") }) {
				return errors.New("--volumes: volumes have no filter until. Next: leave one of them out")
			}
			if !p.force && !a.confirm(systemWarning(&p, volumes)) {
				return nil
			}
			return a.pruneSystem(cmd.Context(), &p, volumes)
		},
	}
	p.bind(cmd, "Remove all images that no container uses, and not only those without a name")
	cmd.Flags().BoolVar(&volumes, "volumes", false, "Remove unnamed volumes that no container uses, too")
	return cmd
}

// pruneSystem goes from what uses to what is used: a container that is removed uses no image any more.
func (a *App) pruneSystem(ctx context.Context, p *pruning, volumes bool) error {
	steps := []func(context.Context, *pruning) (uint64, error){a.pruneContainers, a.pruneNetworks}
	if volumes {
		steps = append(steps, func(ctx context.Context, p *pruning) (uint64, error) {
			return a.pruneVolumes(ctx, &pruning{filter: p.filter}) // --all means images
		})
	}
	var total uint64
	for _, step := range append(steps, a.pruneImages, a.pruneBuilds) {
		freed, err := step(ctx, p)
		if err != nil {
			return err
		}
		total += freed
	}
	fmt.Fprintln(a.Out, "Total reclaimed space:", units.HumanSize(float64(total)))
	return nil
}

func systemWarning(p *pruning, volumes bool) string {
	lines := []string{"all stopped containers", "all networks not used by at least one container"}
	if volumes {
		lines = append(lines, "all anonymous volumes not used by at least one container")
	}
	if p.all {
		lines = append(lines, "all images without at least one container associated to them", "all build cache")
	} else {
		lines = append(lines, "all dangling images", "unused build cache")
	}
	var b strings.Builder
	b.WriteString("WARNING! This will remove:\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "  - %s\n", line)
	}
	if len(p.filter) > 0 {
		b.WriteString("\n  Items to be pruned will be filtered with:\n")
		sorted := slices.Clone(p.filter)
		sort.Strings(sorted)
		for _, f := range sorted {
			fmt.Fprintf(&b, "  - %s\n", f)
		}
	}
	b.WriteString("\nAre you sure you want to continue?")
	return b.String()
}
