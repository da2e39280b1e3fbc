package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// imageRow is what a template of `brig images --format` can name.
type imageRow struct {
	ID, Repository, Tag, Digest, CreatedSince, CreatedAt, Size, Containers string
	SharedSize, UniqueSize, VirtualSize                                    string
}

func imageColumns(digests bool) []show.Column {
	columns := []show.Column{{Head: "REPOSITORY", Field: "Repository"}, {Head: "TAG", Field: "Tag"}}
	if digests {
		columns = append(columns, show.Column{Head: "DIGEST", Field: "Digest"})
	}
	return append(columns, show.Column{Head: "IMAGE ID", Field: "ID"}, show.Column{Head: "CREATED", Field: "CreatedSince"},
		show.Column{Head: "SIZE", Field: "Size"})
}

func newImages(a *App) *cobra.Command {
	var l listing
	var all, digests bool
	cmd := &cobra.Command{
		Use: "images [OPTIONS] [REPOSITORY[:TAG]]", Short: "List images", Args: words(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				l.filter = append(l.filter, "reference="+args[0])
			}
			q := url.Values{}
			setFlag(q, "all", all)
			if err := filters(q, l.filter); err != nil {
				return err
			}
			return a.images(cmd.Context(), &l, q, digests)
		},
	}
	l.bind(cmd)
	l.bindTrunc(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "List intermediate images too")
	cmd.Flags().BoolVar(&digests, "digests", false, "Show digests")
	return cmd
}

func (a *App) images(ctx context.Context, l *listing, q url.Values, digests bool) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	var list []engineapi.ImageSummary
	if err := engine.Call(ctx, "GET", "/images/json", q, &list); err != nil {
		return err
	}
	var rows []imageRow
	digests = digests || strings.Contains(l.format, ".Digest")
	for i := range list {
		rows = append(rows, makeImageRows(&list[i], a.Now(), l.noTrunc, digests)...)
	}
	if l.onlyIDs() {
		seen := make(map[string]bool)
		for _, row := range rows {
			if !seen[row.ID] {
				fmt.Fprintln(a.Out, row.ID)
			}
			seen[row.ID] = true
		}
		return nil
	}
	known := append(imageColumns(true), show.Column{Head: "CREATED AT", Field: "CreatedAt"},
		show.Column{Head: "CONTAINERS", Field: "Containers"}, show.Column{Head: "SHARED SIZE", Field: "SharedSize"},
		show.Column{Head: "UNIQUE SIZE", Field: "UniqueSize"}, show.Column{Head: "SIZE", Field: "VirtualSize"})
	return show.List(a.Out, l.format, imageColumns(digests), known, rows)
}

// makeImageRows makes one row per name of an image, and one for an image without a name. With digests set a name has a
// row for each digest of its repository.
func makeImageRows(s *engineapi.ImageSummary, now time.Time, full, digests bool) []imageRow {
	created := time.Unix(s.Created, 0)
	base := imageRow{
		ID: s.ID, Digest: "<none>", CreatedSince: show.Ago(now, created), Size: show.Size(s.Size),
		CreatedAt: created.Format("2006-01-02 15:04:05 -0700 MST"), Containers: "N/A",
		SharedSize: "N/A", UniqueSize: "N/A", VirtualSize: units.HumanSize(float64(s.Size)),
	}
	if !full {
		base.ID = show.ShortID(s.ID)
	}
	if s.Containers >= 0 {
		base.Containers = fmt.Sprint(s.Containers)
	}
	if s.SharedSize >= 0 {
		base.SharedSize, base.UniqueSize = units.HumanSize(float64(s.SharedSize)), units.HumanSize(float64(s.Size-s.SharedSize))
	}
	byRepo := make(map[string][]string)
	for _, d := range s.RepoDigests {
		if repo, digest, ok := strings.Cut(d, "@"); ok && repo != "<none>" {
			byRepo[repo] = append(byRepo[repo], digest)
		}
	}
	var rows []imageRow
	add := func(repo, tag string) {
		row := base
		row.Repository, row.Tag = repo, tag
		if !digests || len(byRepo[repo]) == 0 {
			rows = append(rows, row)
			return
		}
		for _, row.Digest = range byRepo[repo] {
			rows = append(rows, row)
		}
	}
	named := make(map[string]bool)
	for _, name := range s.RepoTags {
		repo, tag := cutTag(name)
		named[repo] = true
		add(repo, tag)
	}
	for _, repo := range slices.Sorted(maps.Keys(byRepo)) {
		if !named[repo] {
			add(repo, "<none>")
		}
	}
	if len(rows) == 0 {
		add("<none>", "<none>")
	}
	return rows
}

// cutTag splits "host:5000/name:tag"; the colon of a port is not that of a tag.
func cutTag(name string) (repository, tag string) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.ContainsRune(name[i:], '/') {
		return name, ""
	}
	return name[:i], name[i+1:]
}

func newRmi(a *App) *cobra.Command {
	var force, noPrune bool
	cmd := &cobra.Command{
		Use: "rmi [OPTIONS] IMAGE [IMAGE...]", Short: "Remove images", Args: words(1, -1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			q := url.Values{}
			setFlag(q, "force", force)
			setFlag(q, "noprune", noPrune)
			failed := false
			for _, name := range args {
				var done []engineapi.ImageDeleteResponse
				if err := engine.Call(cmd.Context(), "DELETE", "/images/"+escape(name), q, &done); err != nil {
					a.complain(err)
					failed = true
					continue
				}
				for _, d := range done {
					if d.Deleted != "" {
						fmt.Fprintln(a.Out, "Deleted:", show.Clean(d.Deleted, false))
					} else {
						fmt.Fprintln(a.Out, "Untagged:", show.Clean(d.Untagged, false))
					}
				}
			}
			if failed {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Remove an image that ended containers or other names still use")
	cmd.Flags().BoolVar(&noPrune, "no-prune", false, "Keep parents without a name")
	return cmd
}

func newTag(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "tag IMAGE[:TAG] NAME[:TAG]", Short: "Give an image another name", Args: words(2, 2),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.Contains(args[1], "@") {
				return errors.New("a new name has no digest: the image's own is its digest")
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			repo, tag := cutTag(args[1])
			q := url.Values{"repo": {repo}}
			setQuery(q, "tag", tag)
			return engine.Call(cmd.Context(), "POST", "/images/"+escape(args[0])+"/tag", q, nil)
		},
	}
}

// historyRow is what a template of `brig history --format` can name.
type historyRow struct{ ID, CreatedSince, CreatedAt, CreatedBy, Size, Comment string }

func newHistory(a *App) *cobra.Command {
	var format string
	var quiet, full, human bool
	cmd := &cobra.Command{
		Use: "history [OPTIONS] IMAGE", Short: "Print the steps that an image was built in", Args: words(1, 1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var items []engineapi.ImageHistoryItem
			if err := engine.Call(cmd.Context(), "GET", "/images/"+escape(args[0])+"/history", nil, &items); err != nil {
				return err
			}
			columns := []show.Column{{Head: "IMAGE", Field: "ID"}, {Head: "CREATED", Field: "CreatedSince"},
				{Head: "CREATED BY", Field: "CreatedBy"}, {Head: "SIZE", Field: "Size"}, {Head: "COMMENT", Field: "Comment"}}
			rows := make([]historyRow, len(items))
			for i := range items {
				rows[i] = makeHistoryRow(&items[i], a.Now(), full, human)
				if quiet && format == "" {
					fmt.Fprintln(a.Out, rows[i].ID)
				}
			}
			if quiet && format == "" {
				return nil
			}
			return show.List(a.Out, format, columns, append(columns, show.Column{Head: "CREATED AT", Field: "CreatedAt"}), rows)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", `Format: json, "table TEMPLATE" or TEMPLATE`)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Print identifiers only")
	cmd.Flags().BoolVar(&full, "no-trunc", false, "Do not shorten")
	cmd.Flags().BoolVarP(&human, "human", "H", true, "Print sizes and times for people (--human=false for machines)")
	return cmd
}

func makeHistoryRow(h *engineapi.ImageHistoryItem, now time.Time, full, human bool) historyRow {
	created := time.Unix(h.Created, 0)
	row := historyRow{
		ID: h.ID, CreatedSince: show.Ago(now, created), CreatedAt: created.Format(time.RFC3339),
		CreatedBy: strings.ReplaceAll(h.CreatedBy, "\t", " "), Size: show.Size(h.Size), Comment: h.Comment,
	}
	if !human {
		row.CreatedSince, row.Size = row.CreatedAt, fmt.Sprint(h.Size)
	}
	if !full {
		row.ID, row.CreatedBy = show.ShortID(h.ID), show.Truncate(row.CreatedBy, 45)
	}
	return row
}
