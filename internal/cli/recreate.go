package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/show"
	"github.com/brig-engine/brig/internal/cli/tighten"
)

// What brig tighten --apply leaves when it is cut off, brig system check names by these words (internal/daemon/container).
const (
	beforeTighten = ".before-tighten" // the container that was, under another name
	afterTighten  = ".after-tighten"  // the one that is to be, which has not its name yet
)

// probation is how long a container that was made again has to stay.
const probation = 3 * time.Second

// recreation is a container that is being made again.
type recreation struct {
	engine   *api.Client
	advice   *tighten.Advice
	id, name string // of the container that was
	made     string // id of the new one
	fresh    []string
	undo     []func(context.Context) error
}

// applyAdvice makes a container again with the options of the advice. Whatever is not right is undone, in the opposite order.
func (a *App) applyAdvice(ctx context.Context, engine *api.Client, name string, advice *tighten.Advice, profile []byte) error {
	if len(advice.Obstacles) > 0 {
		return fmt.Errorf("%s cannot run at level strict, and is as it was: %s", name, show.Clean(strings.Join(advice.Obstacles, "; "), false))
	}
	if len(advice.Lost) > 0 {
		return fmt.Errorf("%s is as it was: what it has in %s would be in memory, and lost. Next: make it with a volume there, by -v",
			name, show.Clean(strings.Join(advice.Lost, ", "), false))
	}
	r := &recreation{engine: engine, advice: advice}
	body, err := r.request(ctx, name, advice, profile)
	if err != nil {
		return err
	}
	for _, n := range advice.Notes {
		fmt.Fprintln(a.Err, "brig: note:", show.Clean(n, false))
	}
	if err := r.replace(ctx, body); err != nil {
		background := context.WithoutCancel(ctx) // somebody who gives up wants the old one back, too
		undone := []error{err}
		for _, undo := range slices.Backward(r.undo) {
			undone = append(undone, undo(background))
		}
		if err := errors.Join(undone[1:]...); err != nil {
			return fmt.Errorf("%s was not made again: %w; and it is not as it was: %w. Next: brig system check", r.name, undone[0], err)
		}
		return fmt.Errorf("%s was not made again, and is as it was: %w", r.name, err)
	}
	if err := r.discard(ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.Out, r.name)
	return nil
}

// discard removes the old container. Nothing is undone any more: an answer that does not come may be that of a removal that has
// happened. Its volumes are the new one's, too, and stay.
func (r *recreation) discard(ctx context.Context) error {
	err := r.engine.Call(ctx, "DELETE", at(r.id), nil, nil)
	if err == nil {
		return nil
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	is := "is"
	switch look := r.engine.Call(ctx, "GET", at(r.id)+"/json", nil, nil); {
	case api.IsStatus(look, 404):
		return nil
	case look != nil:
		is = "may be"
	}
	old := r.name + beforeTighten
	return fmt.Errorf("%s was made again and runs, but the container that it was %s there still, as %s: %w. Next: brig rm %s", r.name, is, old, err, old)
}

func at(id string) string { return "/containers/" + url.PathEscape(id) }

func (r *recreation) post(ctx context.Context, path string, query url.Values) error {
	return r.engine.Call(ctx, "POST", path, query, nil)
}

// replace puts the new container in the place of the old one, which is there still; each step notes how it is undone before the
// next one.
func (r *recreation) replace(ctx context.Context, body map[string]any) error {
	var made struct{ ID string }
	create := api.Request{Method: "POST", Path: "/containers/create", Query: url.Values{"name": {r.name + afterTighten}}, JSON: body}
	if err := r.engine.CallRequest(ctx, create, &made); err != nil {
		return err
	}
	r.made = made.ID
	// The old one is started last, when the new one has no port of it any more; if it was not stopped, that does nothing.
	r.undo = append(r.undo, func(ctx context.Context) error {
		return r.post(ctx, at(r.id)+"/start", nil)
	}, func(ctx context.Context) error {
		return r.engine.Call(ctx, "DELETE", at(r.made), url.Values{"force": {"1"}, "v": {"1"}}, nil)
	})
	if err := r.post(ctx, at(r.id)+"/stop", nil); err != nil {
		return err
	}
	// Many a program writes once more when it is told to end.
	after, err := changesOf(ctx, r.engine, at(r.id))
	if err != nil {
		return err
	}
	tighten.LeaveOut(after, r.advice.Mounts)
	if more := r.advice.Unforeseen(after); len(more) > 0 {
		return fmt.Errorf("when it ended it wrote %s, which the advice has no place for. Next: make it with a volume there, by -v",
			show.Clean(strings.Join(more, ", "), false))
	}
	for _, dir := range r.advice.Empty { // a file may have taken the name of a directory
		if d, err := lookAt(ctx, r.engine, r.id, dir); err != nil {
			return fmt.Errorf("look at what is in %s: %w", show.Clean(dir, false), err)
		} else if d.Files {
			return fmt.Errorf("when it ended it wrote to %s, which would be in memory. Next: make it with a volume there, by -v", show.Clean(dir, false))
		}
	}
	for _, dir := range r.fresh {
		if err := r.carry(ctx, dir); err != nil {
			return fmt.Errorf("copy what is in %s: %w", dir, err)
		}
	}
	for _, step := range []struct{ id, from, to string }{{r.id, r.name, r.name + beforeTighten}, {r.made, r.name + afterTighten, r.name}} {
		if err := r.post(ctx, at(step.id)+"/rename", url.Values{"name": {step.to}}); err != nil {
			return err
		}
		r.undo = append(r.undo, func(ctx context.Context) error {
			return r.post(ctx, at(step.id)+"/rename", url.Values{"name": {step.from}})
		})
	}
	if err := r.post(ctx, at(r.made)+"/start", nil); err != nil {
		return err
	}
	return r.stays(ctx)
}

// carry copies what the old container has in a directory to the volume that the new one has there.
func (r *recreation) carry(ctx context.Context, dir string) error {
	res, err := r.engine.Do(ctx, api.Request{Method: "GET", Path: archivePath(r.id), Query: url.Values{"path": {dir + "/."}}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return r.engine.CallRequest(ctx, api.Request{Method: "PUT", Path: archivePath(r.made), Query: url.Values{"path": {dir}, "copyUIDGID": {"1"}},
		Header: map[string]string{"Content-Type": "application/x-tar"}, Body: res.Body}, nil)
}

// stays waits whether the new container runs for a while.
func (r *recreation) stays(ctx context.Context) error {
	for end := time.Now().Add(probation); ; time.Sleep(100 * time.Millisecond) {
		var c struct {
			State struct {
				Running, Restarting bool
				ExitCode            int
			}
			RestartCount int
		}
		if err := r.engine.Call(ctx, "GET", at(r.made)+"/json", nil, &c); err != nil {
			return err
		}
		if !c.State.Running || c.State.Restarting || c.RestartCount > 0 {
			return fmt.Errorf("with these options it ended after a moment, with status %d%s", c.State.ExitCode, r.lastWords(ctx))
		}
		if time.Now().After(end) {
			return nil
		}
	}
}

// lastWords is the last line that the new container has written, if it has.
func (r *recreation) lastWords(ctx context.Context) string {
	res, err := r.engine.Do(ctx, api.Request{Method: "GET", Path: at(r.made) + "/logs", Query: url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {"1"}}})
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var out strings.Builder
	if res.Header["content-type"] == "application/vnd.docker.raw-stream" {
		_, err = io.Copy(&out, res.Body)
	} else {
		err = api.Demux(&out, &out, res.Body)
	}
	if line := strings.TrimSpace(out.String()); err == nil && line != "" {
		return ": " + show.Clean(line, false)
	}
	return ""
}
