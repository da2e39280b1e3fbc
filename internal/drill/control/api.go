package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/brig-engine/brig/internal/drill"
)

// API is the socket of an API that knows of boxes what the drill needs.
func (e *Engine) API() string { return filepath.Join(e.dir, "api.sock") }

// serve answers one caller after the other: the next one is served when this one has written its request and read the
// answer, however long it takes for that.
func (e *Engine) serve() error {
	l, err := net.Listen("unix", e.API())
	if err != nil {
		return err
	}
	e.listeners = append(e.listeners, l)
	if err := os.Chmod(e.API(), 0o666); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.answer(c)
			c.Close()
		}
	}()
	return nil
}

func (e *Engine) answer(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	reply := []byte("[]\n")
	if id, verb, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/containers/"), "/"); ok || id == "create" || r.Method == http.MethodDelete {
		if said := e.command(r, id, verb); said != nil {
			reply = said
		}
	}
	if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", reply); err != nil {
		return
	}
	stream := strings.HasSuffix(r.URL.Path, "/attach") || strings.Contains(r.URL.RawQuery, "follow") ||
		strings.HasSuffix(r.URL.Path, "/stats") || r.URL.Path == "/events"
	for line := strings.Repeat("news ", 1000) + "\n"; stream && err == nil; {
		_, err = io.WriteString(c, line)
	}
}

// command does what whoever asks wants with a box; nil if that is nothing.
func (e *Engine) command(r *http.Request, id, verb string) []byte {
	ctx := context.Background()
	switch {
	case id == "create":
		var q struct {
			Image           string
			Entrypoint, Cmd []string
			HostConfig      struct{ Binds []string }
		}
		if json.NewDecoder(r.Body).Decode(&q) != nil || len(q.Entrypoint) == 0 {
			return nil
		}
		spec := drill.Spec{Image: q.Image, Args: append(q.Entrypoint, q.Cmd...)}
		for _, b := range q.HostConfig.Binds {
			from, to, _ := strings.Cut(b, ":")
			spec.Shared = append(spec.Shared, drill.SharedVolume{Name: from, Target: strings.Split(to, ":")[0]})
		}
		name := fmt.Sprint("made", len(e.created))
		e.created[name] = spec
		return fmt.Appendf(nil, `{"Id":%q}`, name)
	case verb == "start":
		if b, err := e.Start(ctx, e.created[id]); err == nil {
			e.started[id] = b
		}
	case e.started[id] == nil:
	case verb == "wait":
		e.started[id].Wait(ctx)
	case verb == "logs":
		out, _ := e.started[id].Output(ctx)
		return out
	case r.Method == http.MethodDelete:
		e.started[id].Remove(ctx)
		delete(e.started, id)
	}
	return nil
}
