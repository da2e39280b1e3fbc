package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// pruning holds the options of the commands that remove what is not used.
type pruning struct {
	force, all bool
	filter     []string
}

func (p *pruning) bind(cmd *cobra.Command, all string) {
	cmd.Flags().BoolVarP(&p.force, "force", "f", false, "Do not ask")
	cmd.Flags().StringArrayVar(&p.filter, "filter", nil, `Remove only what matches ("label=KEY=VALUE", "until=24h")`)
	if all != "" {
		cmd.Flags().BoolVarP(&p.all, "all", "a", false, all)
	}
}

// newPrune makes a command that asks, and then removes what is not used of one kind.
func newPrune(a *App, short, all string, warning func(*pruning) string, remove func(context.Context, *pruning) (uint64, error),
	counts bool) *cobra.Command {
	var p pruning
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: short, Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !p.force && !a.confirm("WARNING! This will remove "+warning(&p)+".\nAre you sure you want to continue?") {
				return nil
			}
			freed, err := remove(cmd.Context(), &p)
			if err == nil && counts {
				fmt.Fprintln(a.Out, "Total reclaimed space:", units.HumanSize(float64(freed)))
			}
			return err
		},
	}
	p.bind(cmd, all)
	return cmd
}

func newContainerPrune(a *App) *cobra.Command {
	return newPrune(a, "Remove containers that do not run", "", func(*pruning) string { return "all stopped containers" },
		a.pruneContainers, true)
}

func newImagePrune(a *App) *cobra.Command {
	warning := func(p *pruning) string {
		if p.all {
			return "all images without at least one container associated to them"
		}
		return "all dangling images"
	}
	return newPrune(a, "Remove images without a name that no container uses", "Remove all images that no container uses", warning,
		a.pruneImages, true)
}

func newVolumePrune(a *App) *cobra.Command {
	warning := func(p *pruning) string {
		if p.all {
			return "all local volumes not used by at least one container"
		}
		return "anonymous local volumes not used by at least one container"
	}
	return newPrune(a, "Remove unnamed volumes that no container uses", "Remove all volumes that no container uses", warning,
		a.pruneVolumes, true)
}

func newNetworkPrune(a *App) *cobra.Command {
	return newPrune(a, "Remove networks that no container uses", "", func(*pruning) string {
		return "all custom networks not used by at least one container"
	}, a.pruneNetworks, false)
}

func (a *App) pruneContainers(ctx context.Context, p *pruning) (uint64, error) {
	r, err := a.prune(ctx, "/containers/prune", p.filter, nil)
	a.printPruned("Deleted Containers:", r.ContainersDeleted)
	return r.SpaceReclaimed, err
}

func (a *App) pruneNetworks(ctx context.Context, p *pruning) (uint64, error) {
	r, err := a.prune(ctx, "/networks/prune", p.filter, nil)
	a.printPruned("Deleted Networks:", r.NetworksDeleted)
	return 0, err
}

func (a *App) pruneVolumes(ctx context.Context, p *pruning) (uint64, error) {
	values := p.filter
	if p.all {
		if slices.ContainsFunc(values, func(s string) bool { return strings.HasPrefix(s, "all=") }) {
			return 0, errors.New("--all and --filter all=… say the same thing. Next: leave one of them out")
		}
		values = append(slices.Clone(values), "all=true")
	}
	r, err := a.prune(ctx, "/volumes/prune", values, nil)
	a.printPruned("Deleted Volumes:", r.VolumesDeleted)
	return r.SpaceReclaimed, err
}

func (a *App) pruneImages(ctx context.Context, p *pruning) (uint64, error) {
	values := append(slices.Clone(p.filter), "dangling="+strconv.FormatBool(!p.all))
	r, err := a.prune(ctx, "/images/prune", values, nil)
	var lines []string
	for _, d := range r.ImagesDeleted {
		if d.Untagged != "" {
			lines = append(lines, "untagged: "+d.Untagged)
		} else {
			lines = append(lines, "deleted: "+d.Deleted)
		}
	}
	a.printPruned("Deleted Images:", lines)
	return r.SpaceReclaimed, err
}

func (a *App) pruneBuilds(ctx context.Context, p *pruning) (uint64, error) {
	q := url.Values{"filters": {""}} // as Docker's client says that there is none
	setFlag(q, "all", p.all)
	r, err := a.prune(ctx, "/build/prune", p.filter, q)
	a.printPruned("Deleted build cache objects:", r.CachesDeleted)
	return r.SpaceReclaimed, err
}

func (a *App) prune(ctx context.Context, path string, filter []string, q url.Values) (engineapi.PruneReport, error) {
	var report engineapi.PruneReport
	if q == nil {
		q = url.Values{}
	}
	if err := filters(q, filter); err != nil {
		return report, err
	}
	engine, err := a.engine()
	if err != nil {
		return report, err
	}
	return report, engine.Call(ctx, "POST", path, q, &report)
}

// printPruned prints what was removed, and an empty line after it; nothing, if nothing was.
func (a *App) printPruned(head string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(a.Out, "%s\n%s\n\n", head, show.Clean(strings.Join(lines, "\n"), true))
	}
}

// confirm asks. The question goes to the person, not into what a script reads; everything but y is no.
func (a *App) confirm(question string) bool {
	fmt.Fprintf(a.Err, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(a.Err)
	}
	return strings.EqualFold(strings.TrimSpace(line), "y")
}
