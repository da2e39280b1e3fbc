package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// logging sets how this process logs, as brig engine start left it in the run directory: "FORMAT LEVEL". It logs ids, names of
// routes, numbers and errors, and never what a request or an environment says.
func logging(run string, to io.Writer) error {
	text, err := os.ReadFile(filepath.Join(run, "logging"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("how to log: %w", err)
	}
	format, level, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("how to log: %w", err)
	}
	switch format {
	case "text": // as it is without this file
		slog.SetLogLoggerLevel(least)
	case "json":
		slog.SetDefault(slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: least})))
	default:
		return fmt.Errorf("how to log: format %.20q is neither text nor json", format)
	}
	return nil
}
