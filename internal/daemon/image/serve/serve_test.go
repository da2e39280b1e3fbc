package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/image"
)

// slow is a client that does not read.
type slow struct {
	*httptest.ResponseRecorder
	block chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.block
	return s.ResponseRecorder.Write(p)
}

func TestSlowClientHoldsUpNobodyAndLittleMemory(t *testing.T) {
	w := &slow{httptest.NewRecorder(), make(chan struct{})}
	s := newStream(w)
	s.tell(image.Event{Status: "first"})
	time.Sleep(2 * flushEvery)
	start := time.Now()
	for n := range int64(100_000) {
		s.tell(image.Event{ID: "a", Status: "Downloading", Current: n + 1, Total: 100_000})
	}
	if d := time.Since(start); d > 5*time.Second || len(s.queue) != 1 {
		t.Errorf("%s, %d messages are kept", d, len(s.queue))
	}
	close(w.block)
	if err := s.finish(fmt.Errorf("broken: %w: %w", errors.New("x"), errdefs.ErrNotFound)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	want := []string{`{"status":"first"}`,
		`{"status":"Downloading","progressDetail":{"current":100000,"total":100000},"id":"a"}`,
		`{"errorDetail":{"message":"broken: x"},"error":"broken: x"}`}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %s", w.Body)
	}
}

func TestErrorBeforeTheFirstMessageIsAnHTTPError(t *testing.T) {
	w := httptest.NewRecorder()
	s := newStream(w)
	want := errors.New("x")
	if err := s.finish(want); err != want || w.Body.Len() > 0 {
		t.Errorf("%v %s", err, w.Body)
	}
}

func FuzzFilters(f *testing.F) {
	for _, s := range []string{`{"reference":{"a*":true}}`, `{"until":["24h"]}`, `{"until":["1700000000.5"]}`,
		`{"label":[]}`, `{"dangling":{"true":false}}`, `[`} {
		f.Add(s)
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest(http.MethodGet, "/images/json?"+url.Values{"filters": {s}}.Encode(), nil)
		raw, err := filters(r, "reference", "dangling", "label", "label!", "before", "since", "until")
		if err != nil {
			return
		}
		if s != "" && !json.Valid([]byte(s)) {
			t.Fatalf("%q was read as filters", s)
		}
		_, _ = filter(raw, now)
	})
}

func FuzzPullName(f *testing.F) {
	f.Add("alpine", "latest")
	f.Add("host:5000/a", "sha256:"+strings.Repeat("a", 64))
	f.Fuzz(func(t *testing.T, from, tag string) {
		n, err := pullName(from, tag)
		if err != nil {
			return
		}
		if tag != "" && !strings.HasSuffix(n.String(), tag) {
			t.Fatalf("%q and %q became %s", from, tag, n)
		}
	})
}
