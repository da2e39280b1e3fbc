package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

const (
	statsRefresh = time.Second     // how often the table is written again: the engine reads as often
	statsSilence = 3 * time.Second // after which what an engine has said last is not shown any more
)

func newStats(a *App) *cobra.Command {
	var s statsView
	cmd := &cobra.Command{
		Use: "stats [OPTIONS] [CONTAINER...]", Short: "Show what containers use, again and again",
		Args: words(0, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			s.app, s.engine, s.names = a, engine, args
			if s.once {
				return s.printOnce(cmd.Context())
			}
			return s.watch(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&s.all, "all", "a", false, "Show containers that do not run too")
	cmd.Flags().StringVar(&s.format, "format", "", `Format: json, "table TEMPLATE" or TEMPLATE`)
	cmd.Flags().BoolVar(&s.once, "no-stream", false, "Show one reading and end")
	cmd.Flags().BoolVar(&s.full, "no-trunc", false, "Do not shorten")
	return cmd
}

// statsView is one invocation.
type statsView struct {
	app             *App
	engine          *api.Client
	names           []string
	format          string
	all, once, full bool
	sources         []*statsSource // in the order of the rows
}

// statsSource is one container whose readings come in.
type statsSource struct {
	ref    string
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	live bool // a request is under way
	last *engineapi.StatsResponse
	at   time.Time
	err  error
}

// wanted are the containers to show: those that were named, or those that there are.
func (s *statsView) wanted(ctx context.Context) ([]string, error) {
	if len(s.names) > 0 {
		return s.names, nil
	}
	q := url.Values{}
	setFlag(q, "all", s.all)
	var list []engineapi.ContainerSummary
	if err := s.engine.Call(ctx, "GET", "/containers/json", q, &list); err != nil {
		return nil, err
	}
	refs := make([]string, len(list))
	for i := range list {
		refs[i] = show.ShortID(list[i].ID)
	}
	return refs, nil
}

// follow makes the sources those of refs, and asks again for each whose request has ended.
func (s *statsView) follow(ctx context.Context, refs []string) {
	known := map[string]*statsSource{}
	for _, x := range s.sources {
		known[x.ref] = x
	}
	s.sources = nil
	for _, ref := range refs {
		x := known[ref]
		delete(known, ref)
		if x == nil {
			x = &statsSource{ref: ref}
			x.ctx, x.cancel = context.WithCancel(ctx)
		}
		x.start(s.engine, !s.once)
		s.sources = append(s.sources, x)
	}
	for _, x := range known {
		x.cancel()
	}
}

func (x *statsSource) start(engine *api.Client, stream bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.live && !x.removed() {
		x.live = true
		go func() {
			err := x.collect(engine, stream)
			x.mu.Lock()
			x.live, x.err = false, err
			x.mu.Unlock()
		}()
	}
}

// removed is called with mu held.
func (x *statsSource) removed() bool { return !x.live && api.IsStatus(x.err, 404) }

func (x *statsSource) collect(engine *api.Client, stream bool) error {
	q := url.Values{"stream": {map[bool]string{true: "1", false: "0"}[stream]}}
	res, err := engine.Do(x.ctx, api.Request{Method: "GET", Path: "/containers/" + url.PathEscape(x.ref) + "/stats", Query: q})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for d := json.NewDecoder(res.Body); ; {
		v := new(engineapi.StatsResponse)
		if err := d.Decode(v); err != nil {
			return err
		}
		x.mu.Lock()
		x.last, x.at, x.err = v, time.Now(), nil
		x.mu.Unlock()
		if !stream {
			return nil
		}
	}
}

// settled tells whether the first answer has come, and the error if it is a refusal.
func (x *statsSource) settled() (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var refusal *api.Error
	if x.last != nil || !x.live && !errors.As(x.err, &refusal) {
		return true, nil
	}
	return !x.live, x.err
}

// first waits for the first answer of every source. Containers that were named have to be there.
func (s *statsView) first(ctx context.Context) error {
	patience := statsSilence
	if s.once {
		patience = 30 * time.Second // all of them are asked at once, and an engine may be busy
	}
	var errs []error
	for _, x := range s.sources {
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			done, err := x.settled()
			if err != nil && len(s.names) > 0 {
				errs = append(errs, err)
			}
			if done || time.Now().After(end) || ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

func (s *statsView) printOnce(ctx context.Context) error {
	refs, err := s.wanted(ctx)
	if err != nil {
		return err
	}
	s.follow(ctx, unique(refs))
	if err := s.first(ctx); err != nil {
		return err
	}
	return s.print(false)
}

// watch writes the table again and again; it ends when none of the named containers is there any more.
func (s *statsView) watch(ctx context.Context) error {
	onTerminal := console.Of(s.app.Out).Is()
	for began := false; ; began = true {
		refs, err := s.wanted(ctx)
		if err != nil {
			return err
		}
		s.follow(ctx, unique(refs))
		if !began {
			if err := s.first(ctx); err != nil {
				return err
			}
		}
		if err := s.print(onTerminal); err != nil {
			return err
		}
		if len(s.names) > 0 && s.gone() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(statsRefresh):
		}
	}
}

// gone tells that every container was removed.
func (s *statsView) gone() bool {
	for _, x := range s.sources {
		x.mu.Lock()
		gone := x.removed()
		x.mu.Unlock()
		if !gone {
			return false
		}
	}
	return true
}

func unique(refs []string) (out []string) {
	seen := map[string]bool{}
	for _, ref := range refs {
		if !seen[ref] {
			seen[ref], out = true, append(out, ref)
		}
	}
	return out
}

// print writes the table; in place, over what was there before, from the first line of the screen on.
func (s *statsView) print(inPlace bool) error {
	rows := []statsRow{}
	for _, x := range s.sources {
		x.mu.Lock()
		v := x.last
		if time.Since(x.at) > statsSilence && !s.once {
			v = nil
		}
		x.mu.Unlock()
		if v == nil && len(s.names) == 0 && s.once {
			continue // it was removed meanwhile
		}
		rows = append(rows, makeStatsRow(x.ref, v, s.full))
	}
	var text bytes.Buffer
	if err := show.List(&text, s.format, statsColumns(), append(statsColumns(), show.Column{Head: "CONTAINER", Field: "Container"}), rows); err != nil {
		return err
	}
	if !inPlace {
		_, err := s.app.Out.Write(text.Bytes())
		return err
	}
	lines := strings.ReplaceAll(text.String(), "\n", "\x1b[K\n")
	_, err := fmt.Fprint(s.app.Out, "\x1b[H"+lines+"\x1b[J") // in one piece, so that nothing flickers
	return err
}
