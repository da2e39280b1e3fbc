package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/show"
	"github.com/brig-engine/brig/internal/cli/tighten"
)

func newTighten(a *App) *cobra.Command {
	var format, file string
	var apply bool
	cmd := &cobra.Command{
		Use: "tighten [OPTIONS] CONTAINER", Short: "Say what a container needs to run at level strict", Args: words(1, 1),
		Long: "Look at what a running container has done so far (its users, what it wrote, whether it used its network, and its\n" +
			"system calls, if it was made with --record), and print the options with which it should run at level strict. Nothing\n" +
			"is changed. What it has not done yet, nobody knows: let it work for a while first, and try the options.\n\n" +
			"With --apply the container is made again with these options, under its name and with its volumes, networks and\n" +
			"environment, and started. If that fails, or it does not stay, the old one is back as it was.",
		ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			advice, profile, err := advise(cmd.Context(), engine, args[0], file)
			if err != nil {
				return err
			}
			if apply {
				return a.applyAdvice(cmd.Context(), engine, args[0], &advice, profile)
			}
			if format != "" {
				return show.One(a.document(), format, advice)
			}
			fmt.Fprintln(a.Out, show.Clean(strings.Join(quoted(advice.Options), " "), false))
			for _, n := range advice.Notes {
				fmt.Fprintln(a.Out, "note:", show.Clean(n, false))
			}
			for _, o := range advice.Obstacles {
				fmt.Fprintln(a.Out, "obstacle:", show.Clean(o, false))
			}
			if len(advice.Obstacles) > 0 {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	cmd.Flags().StringVar(&file, "profile", "", "Write the recorded system calls to a file, as a seccomp profile")
	cmd.Flags().BoolVar(&apply, "apply", false, "Make the container again with these options")
	return cmd
}

// quoted are words as a shell reads them back.
func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+") != "" {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return out
}

// advise asks the engine for all that is known of a container. Of one that was recorded it gives the profile too, and writes it
// to file, if there is one.
func advise(ctx context.Context, engine *api.Client, name, file string) (advice tighten.Advice, profile []byte, err error) {
	at := "/containers/" + url.PathEscape(name)
	var c struct {
		State      struct{ Running bool }
		HostConfig struct {
			CapAdd, SecurityOpt []string
			ReadonlyRootfs      bool
			Annotations         map[string]string
			Devices             []struct{ PathOnHost string }
			PortBindings        map[string]any
			Tmpfs               map[string]string
		}
		Mounts          []struct{ Destination string }
		NetworkSettings struct{ Networks map[string]struct{} }
	}
	if err := engine.Call(ctx, "GET", at+"/json", nil, &c); err != nil {
		return advice, nil, err
	}
	if !c.State.Running {
		return advice, nil, fmt.Errorf("%s does not run, and only what runs can be looked at. Next: brig start %s", name, name)
	}
	h := &c.HostConfig
	f := &tighten.Facts{CapAdd: h.CapAdd, SecurityOpt: h.SecurityOpt, ReadOnly: h.ReadonlyRootfs,
		Networks: slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), Used: len(h.PortBindings) > 0,
		Look: func(dir string) (tighten.Dir, error) { return lookAt(ctx, engine, name, dir) }}
	for _, d := range h.Devices {
		f.Devices = append(f.Devices, d.PathOnHost)
	}
	var stats struct {
		Networks map[string]struct {
			Rx uint64 `json:"rx_bytes"`
			Tx uint64 `json:"tx_bytes"`
		} `json:"networks"`
	}
	err = engine.Call(ctx, "GET", at+"/stats", url.Values{"stream": {"0"}, "one-shot": {"1"}}, &stats)
	if err == nil {
		f.Changes, err = changesOf(ctx, engine, at)
	}
	if err == nil {
		f.Processes, err = processesOf(ctx, engine, at)
	}
	for _, n := range stats.Networks {
		f.Used = f.Used || n.Rx+n.Tx > 0
	}
	mounts := slices.Collect(maps.Keys(h.Tmpfs)) // which are no mounts to who asks, as with Docker
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Destination)
	}
	for i := 0; err == nil && i < len(mounts); i++ {
		mounts[i], err = mountPoint(ctx, engine, name, path.Clean(mounts[i]), f.Changes)
	}
	tighten.LeaveOut(f.Changes, mounts)
	f.Recorded, f.Profile = h.Annotations["brig.record"] == "true", file
	if err == nil && file != "" && !f.Recorded {
		err = fmt.Errorf("--profile %s: the system calls of %s were not recorded. Next: brig run --record …", file, name)
	}
	if err == nil && f.Recorded {
		f.Calls, profile, err = recordedCalls(ctx, engine, name)
	}
	if err == nil && file != "" {
		err = os.WriteFile(file, profile, 0o644)
	}
	if err != nil {
		return advice, nil, err
	}
	advice = tighten.Make(f)
	advice.Changes, advice.Mounts = f.Changes, mounts
	return advice, profile, nil
}

// changesOf gives the kind of each change of a container's file system, by path.
func changesOf(ctx context.Context, engine *api.Client, at string) (map[string]int, error) {
	var changes []struct {
		Path string
		Kind int
	}
	err := engine.Call(ctx, "GET", at+"/changes", nil, &changes)
	paths := map[string]int{}
	for _, x := range changes {
		paths[x.Path] = x.Kind
	}
	return paths, err
}

// mountPoint is where a mount is if links of the image lead there: /lib/modules is /usr/lib/modules in many. They are followed
// only for one that may have been made, somewhere else than its name says.
func mountPoint(ctx context.Context, engine *api.Client, name, target string, changes map[string]int) (string, error) {
	made := false
	for p, kind := range changes {
		made = made || kind == tighten.Added && path.Base(p) == path.Base(target)
	}
	if _, here := changes[target]; here || !made {
		return target, nil
	}
	dir := "/"
	for step := range strings.SplitSeq(strings.Trim(path.Dir(target), "/"), "/") {
		dir = path.Join(dir, step)
		st, err := statOf(ctx, engine, name, dir)
		if api.IsStatus(err, 404) { // in another mount, where nothing is a change
			return target, nil
		}
		if err != nil {
			return "", fmt.Errorf("find the place of the mount on %s: %w", target, err)
		}
		if st.LinkTarget != "" {
			dir = path.Join("/", st.LinkTarget)
		}
	}
	return path.Join(dir, path.Base(target)), nil
}

// recordedCalls gives the names of the system calls that were recorded, and a profile of them.
func recordedCalls(ctx context.Context, engine *api.Client, name string) (calls []string, profile []byte, err error) {
	var got struct {
		Arch  string
		Calls []string
	}
	if err = engine.Call(ctx, "GET", "/brig/calls/"+url.PathEscape(name), nil, &got); err == nil {
		profile, err = tighten.Profile(got.Arch, got.Calls)
	}
	return got.Calls, profile, err
}

func processesOf(ctx context.Context, engine *api.Client, at string) (list []tighten.Process, err error) {
	var table struct{ Processes [][]string }
	if err := engine.Call(ctx, "GET", at+"/top", url.Values{"ps_args": {"-o uid,gid,comm"}}, &table); err != nil {
		return nil, err
	}
	for _, row := range table.Processes {
		if len(row) < 3 {
			return nil, errors.New("the engine's list of processes has too few columns")
		}
		uid, errUID := strconv.ParseUint(row[0], 10, 32)
		gid, errGID := strconv.ParseUint(row[1], 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("the engine's list of processes: %w", err)
		}
		list = append(list, tighten.Process{UID: uint32(uid), GID: uint32(gid), Name: row[2]})
	}
	return list, nil
}

// lookAt reads the head of a directory's archive. The rest of it stays where it is.
func lookAt(ctx context.Context, engine *api.Client, name, dir string) (d tighten.Dir, err error) {
	res, err := engine.Do(ctx, api.Request{Method: "GET", Path: archivePath(name), Query: url.Values{"path": {dir}}})
	if err != nil {
		return d, err
	}
	defer res.Body.Close()
	r := tar.NewReader(res.Body)
	const most = 4096 // entries; what is below them is passed over
	for n := 0; n < most; n++ {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return d, nil
		case err != nil:
			return d, err
		case n == 0:
			d.UID, d.GID, d.Mode = uint32(h.Uid), uint32(h.Gid), uint32(h.Mode)
		default:
			d.Files = d.Files || h.Typeflag != tar.TypeDir
			if parts := strings.Split(path.Clean(h.Name), "/"); len(parts) == 2 {
				d.Names = append(d.Names, parts[1])
			}
		}
	}
	d.Files = true // or too much to be sure of the opposite
	return d, nil
}
