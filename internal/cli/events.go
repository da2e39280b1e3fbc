package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/show"
)

// eventMessage is an event as templates and JSON show it: Docker's, with the older names of three fields.
type eventMessage struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

func newEvents(a *App) *cobra.Command {
	var format, since, until string
	var filter []string
	cmd := &cobra.Command{
		Use: "events [OPTIONS]", Short: "Print what happens to containers, images, volumes and networks", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if err := filters(q, filter); err != nil {
				return err
			}
			for name, value := range map[string]string{"since": since, "until": until} {
				at, err := timestamp(value, a.Now())
				if err != nil {
					return fmt.Errorf("--%s %q: %w", name, value, err)
				}
				setQuery(q, name, at)
			}
			if format != "" { // a mistake in it is told before anything happens
				if err := show.One(io.Discard, format, eventMessage{}); err != nil {
					return err
				}
			}
			return a.events(cmd.Context(), q, format)
		},
	}
	cmd.Flags().StringArrayVarP(&filter, "filter", "f", nil, "Show only what matches (key=value)")
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	cmd.Flags().StringVar(&since, "since", "", "Begin with what happened since (2026-01-02T15:04:05Z, or 42m for 42 minutes ago)")
	cmd.Flags().StringVar(&until, "until", "", "End with what happens until")
	return cmd
}

// events prints until the engine has no more to tell.
func (a *App) events(ctx context.Context, q url.Values, format string) error {
	res, err := a.do(ctx, api.Request{Method: "GET", Path: "/events", Query: q})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for d := json.NewDecoder(res.Body); ; {
		var m eventMessage
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the engine's events: %w", err)
		}
		if err := printEvent(a.Out, format, m); err != nil {
			return err
		}
	}
}

func printEvent(w io.Writer, format string, m eventMessage) error {
	cleanEvent(&m)
	if format != "" {
		return show.One(w, format, m)
	}
	at := time.Unix(0, m.TimeNano)
	if m.TimeNano == 0 {
		at = time.Unix(m.Time, 0)
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(m.Actor.Attributes)) {
		pairs = append(pairs, k+"="+m.Actor.Attributes[k])
	}
	attributes := ""
	if len(pairs) > 0 {
		attributes = " (" + strings.Join(pairs, ", ") + ")"
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s%s\n", at.Format("2006-01-02T15:04:05.000000000Z07:00"), m.Type, m.Action, m.Actor.ID,
		attributes)
	return err
}

// cleanEvent: names, commands and labels come from images and from whoever makes containers.
func cleanEvent(m *eventMessage) {
	clean := func(s string) string { return show.Clean(s, false) }
	m.Status, m.ID, m.From = clean(m.Status), clean(m.ID), clean(m.From)
	m.Type, m.Action = events.Type(clean(string(m.Type))), events.Action(clean(string(m.Action)))
	m.Actor.ID, m.Scope = clean(m.Actor.ID), clean(m.Scope)
	if m.Actor.Attributes == nil {
		return
	}
	attributes := make(map[string]string, len(m.Actor.Attributes))
	for k, v := range m.Actor.Attributes {
		attributes[clean(k)] = clean(v)
	}
	m.Actor.Attributes = attributes
}
