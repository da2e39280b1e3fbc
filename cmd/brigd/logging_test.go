package main

import (
	"bytes"
	"encoding/json"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogging(t *testing.T) {
	before, out := slog.Default(), log.Writer()
	defer func() { slog.SetDefault(before); log.SetOutput(out); log.SetFlags(log.LstdFlags) }()
	dir := t.TempDir()
	var to bytes.Buffer
	if err := logging(dir, &to); err != nil {
		t.Errorf("without a word: %v", err)
	}
	for _, wrong := range []string{"xml info", "json loud", "json", "", "text"} {
		if err := os.WriteFile(filepath.Join(dir, "logging"), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := logging(dir, &to); err == nil || !strings.HasPrefix(err.Error(), "how to log: ") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "logging"), []byte("json warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := logging(dir, &to); err != nil {
		t.Fatal(err)
	}
	slog.Info("nobody reads this")
	slog.Warn("container", "id", "abc", "error", os.ErrNotExist)
	var got struct{ Level, Msg, ID, Error string }
	if err := json.Unmarshal(to.Bytes(), &got); err != nil || got.Level != "WARN" || got.Msg != "container" || got.ID != "abc" || got.Error == "" {
		t.Errorf("%v: %s", err, to.String())
	}
}
