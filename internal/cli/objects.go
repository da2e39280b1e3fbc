package cli

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newContainerNoun(a *App) *cobra.Command {
	ls := newPs(a)
	ls.Use, ls.Aliases = "ls [OPTIONS]", []string{"ps", "list"}
	return noun(a, "container", "Everything that concerns containers",
		"",
		ls, newRun(a), newCreate(a), newStart(a), newStop(a), newRestart(a), newKill(a), newWait(a), newRemove(a),
		newPause(a), newUnpause(a), newUpdate(a), newStats(a),
		newExec(a), newAttach(a), newLogs(a), newTop(a), newPort(a), newRename(a), newContainerPrune(a),
		inspectOne(a, "container"), newCopy(a), newDiff(a), newExport(a), newCommit(a))
}

func newImageNoun(a *App) *cobra.Command {
	ls, rm := newImages(a), newRmi(a)
	ls.Use, ls.Aliases = "ls [OPTIONS] [REPOSITORY[:TAG]]", []string{"list"}
	rm.Use, rm.Aliases = "rm [OPTIONS] IMAGE [IMAGE...]", []string{"remove"}
	return noun(a, "image", "Everything that concerns images", "build",
		ls, rm, newPull(a), newPush(a), newLoad(a), newSave(a), newImport(a), newTag(a), newHistory(a), newImagePrune(a),
		inspectOne(a, "image"))
}

func newVolumeNoun(a *App) *cobra.Command {
	return noun(a, "volume", "Storage that outlives containers", "update",
		newVolumeCreate(a), newVolumeList(a), newVolumeRemove(a), newVolumePrune(a), inspectOne(a, "volume"))
}

func newVolumeCreate(a *App) *cobra.Command {
	var labels, options []string
	var driver, name string
	cmd := &cobra.Command{
		Use: "create [OPTIONS] [VOLUME]", Short: "Make a volume", Args: words(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				name = args[0]
			}
			req := engineapi.VolumeCreateRequest{Name: name, Driver: driver}
			req.Labels, req.DriverOpts = pairs(labels), pairs(options)
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var made engineapi.Volume
			err = engine.CallRequest(cmd.Context(), api.Request{Method: "POST", Path: "/volumes/create", JSON: req}, &made)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.Out, made.Name)
			return nil
		},
	}
	cmd.Flags().StringVarP(&driver, "driver", "d", "local", "Driver of the volume")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "Set a label (key=value)")
	cmd.Flags().StringArrayVarP(&options, "opt", "o", nil, "Option of the driver (key=value)")
	return cmd
}

func pairs(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		k, v, _ := strings.Cut(s, "=")
		m[k] = v
	}
	return m
}

// volumeRow is what a template of `brig volume ls --format` can name.
type volumeRow struct {
	show.Labelled
	Driver, Name, Mountpoint, Scope, Labels  string
	Links, Size, Availability, Group, Status string
}

func makeVolumeRow(v *engineapi.Volume) volumeRow {
	row := volumeRow{
		Labelled: show.WithLabels(v.Labels), Driver: v.Driver, Name: v.Name, Mountpoint: v.Mountpoint, Scope: v.Scope,
		Labels: labelList(v.Labels), Links: "N/A", Size: "N/A", Availability: "N/A", Group: "N/A", Status: "N/A",
	}
	if use := volumeUse(v); use.RefCount >= 0 {
		row.Links = strconv.FormatInt(use.RefCount, 10)
	}
	if use := volumeUse(v); use.Size >= 0 {
		row.Size = units.HumanSize(float64(use.Size))
	}
	return row
}

// volumeUse is what is known of the use of a volume.
func volumeUse(v *engineapi.Volume) engineapi.UsageData {
	if v.UsageData == nil {
		return engineapi.UsageData{RefCount: -1, Size: -1}
	}
	return *v.UsageData
}

func newVolumeList(a *App) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Short: "List volumes", Aliases: []string{"list"}, Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if err := filters(q, l.filter); err != nil {
				return err
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var list engineapi.VolumeListResponse
			if err := engine.Call(cmd.Context(), "GET", "/volumes", q, &list); err != nil {
				return err
			}
			for _, w := range list.Warnings {
				a.say("warning: %s", w)
			}
			rows := make([]volumeRow, len(list.Volumes))
			for i, v := range list.Volumes {
				rows[i] = makeVolumeRow(&v)
				if l.onlyIDs() {
					fmt.Fprintln(a.Out, v.Name)
				}
			}
			if l.onlyIDs() {
				return nil
			}
			columns := []show.Column{{Head: "DRIVER", Field: "Driver"}, {Head: "VOLUME NAME", Field: "Name"}}
			return show.List(a.Out, l.format, columns, append(columns, show.Column{Head: "MOUNTPOINT", Field: "Mountpoint"},
				show.Column{Head: "SCOPE", Field: "Scope"}, show.Column{Head: "LABELS", Field: "Labels"},
				show.Column{Head: "LINKS", Field: "Links"}, show.Column{Head: "SIZE", Field: "Size"},
				show.Column{Head: "AVAILABILITY", Field: "Availability"}, show.Column{Head: "GROUP", Field: "Group"},
				show.Column{Head: "STATUS", Field: "Status"}), rows)
		},
	}
	l.bind(cmd)
	return cmd
}

func newVolumeRemove(a *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] VOLUME [VOLUME...]", Short: "Remove volumes", Aliases: []string{"remove"}, Args: words(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			q := url.Values{}
			setFlag(q, "force", force)
			return a.each(args, func(name string) error {
				return engine.Call(cmd.Context(), "DELETE", "/volumes/"+url.PathEscape(name), q, nil)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not mind volumes that are not there")
	return cmd
}
