package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// filters turns the values of --filter into the API's parameter, {"key":{"value":true}}.
func filters(q url.Values, values []string) error {
	if len(values) == 0 {
		return nil
	}
	m := make(map[string]map[string]bool)
	for _, s := range values {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return fmt.Errorf("--filter %q: key=value is needed", s)
		}
		if m[key] == nil {
			m[key] = make(map[string]bool)
		}
		m[key][value] = true
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	q.Set("filters", string(data))
	return nil
}

// timestamp turns a time, or a duration before now, into seconds since 1970. A number is that already.
func timestamp(s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return unixTime(now.Add(-d)), nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00",
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return unixTime(t), nil
		}
	}
	return "", errors.New("a time like 2026-01-02T15:04:05Z is needed, or a duration like 42m")
}

func unixTime(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// listing holds the options that every table has.
type listing struct {
	format  string
	quiet   bool
	noTrunc bool
	filter  []string
}

func (l *listing) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.format, "format", "", `Format: json, "table TEMPLATE" or TEMPLATE`)
	cmd.Flags().BoolVarP(&l.quiet, "quiet", "q", false, "Print identifiers only")
	cmd.Flags().StringArrayVarP(&l.filter, "filter", "f", nil, "Show only what matches (key=value)")
}

// onlyIDs tells whether identifiers are printed and nothing else: a template of one's own is stronger.
func (l *listing) onlyIDs() bool { return l.quiet && (l.format == "" || l.format == "table") }

func (l *listing) bindTrunc(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.noTrunc, "no-trunc", false, "Do not shorten")
}
