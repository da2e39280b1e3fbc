package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// speak answers each connection with the raw text that reply makes of the request.
func speak(t *testing.T, reply func(n int, conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "brig-api-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reply(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return "unix://" + filepath.Join(dir, "s")
}

// skipRequest reads a request without a body.
func skipRequest(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return err
		}
	}
}

func TestFraming(t *testing.T) {
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct{ name, raw, body, err string }{
		{name: "length", raw: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcTOO MUCH", body: "abc"},
		{name: "chunks", raw: chunks + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n", body: "abcde"},
		{name: "until close", raw: "HTTP/1.0 200 OK\r\n\r\nabc", body: "abc"},
		{name: "no content", raw: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "interim", raw: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", body: "x"},
		{name: "refusal", raw: "HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n{\"message\":\"taken!\"}", err: "taken!"},
		{name: "refusal in plain text", raw: "HTTP/1.1 500 X\r\n\r\noops\n", err: "oops"},
		{name: "refusal without words", raw: "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
			err: "the engine answered 503 Busy"},
		{name: "short", raw: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", body: "abc", err: "unexpected EOF"},
		{name: "short chunk", raw: chunks + "9\r\nabc", body: "abc", err: "unexpected EOF"},
		{name: "chunk that lies", raw: chunks + "1\r\nabc", body: "a", err: "malformed chunk end"},
		{name: "huge chunk", raw: chunks + "ffffffffffffffff\r\n", err: "malformed chunk size"},
		{name: "negative length", raw: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: "malformed Content-Length"},
		{name: "not HTTP", raw: "SSH-2.0-OpenSSH\r\n", err: "not an HTTP reply"},
		{name: "nothing", raw: "", err: "closed the connection without an answer"},
		{name: "endless head", raw: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", maxHead), err: "reply head of more than"},
		{name: "malformed field", raw: "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", err: "malformed header line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := speak(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				skipRequest(r)
				io.WriteString(conn, c.raw)
			})
			client, err := New(host, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(t.Context(), Request{Method: "GET", Path: "/x"})
			var got []byte
			if err == nil {
				got, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if string(got) != c.body || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("body %q, error %v", got, err)
			}
		})
	}
}

func TestAConnectionIsReusedOnlyWhenTheReplyWasRead(t *testing.T) {
	connections := make(chan int, 10)
	host := speak(t, func(n int, conn net.Conn, r *bufio.Reader) {
		connections <- n
		for skipRequest(r) == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	client, _ := New(host, nil)
	var out map[string]any
	for range 3 {
		if err := client.Call(t.Context(), "GET", "/x", nil, &out); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(connections); n != 1 {
		t.Errorf("%d connections for three requests in a row", n)
	}
	res, err := client.Do(t.Context(), Request{Method: "GET", Path: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close() // unread
	if err := client.Call(t.Context(), "GET", "/x", nil, &out); err != nil {
		t.Fatal(err)
	}
	if n := len(connections); n != 2 {
		t.Errorf("%d connections after an unread reply, want a new one", n)
	}
}

// TestWhatOnlyAsksIsAskedOnceMore when the engine was killed before it answered: by an end of the connection, or by its
// reset, which is what a request that was not read yet leads to.
func TestWhatOnlyAsksIsAskedOnceMore(t *testing.T) {
	for _, c := range []struct {
		name, method string
		deaths       int
		first        string // what the engine says before it dies
		requests     int
		err          string
	}{
		{name: "killed once", method: "GET", deaths: 1, requests: 2},
		{name: "killed twice", method: "GET", deaths: 2, requests: 2, err: "closed the connection without an answer"},
		{name: "killed amid the answer", method: "GET", deaths: 1, first: "HTTP/1.1 2", requests: 1, err: "unexpected EOF"},
		{name: "something to do", method: "POST", deaths: 1, requests: 1, err: "closed the connection without an answer"},
	} {
		for _, read := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, request read %v", c.name, read), func(t *testing.T) {
				seen := make(chan int, 10)
				host := speak(t, func(n int, conn net.Conn, r *bufio.Reader) {
					seen <- n
					if read || n >= c.deaths || c.first != "" {
						skipRequest(r)
					} else {
						r.ReadByte() // what is left unread makes the end a reset
					}
					if n < c.deaths {
						io.WriteString(conn, c.first)
						return
					}
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				})
				client, _ := New(host, nil)
				// Longer than what the reader takes at once, so that something is left.
				req := Request{Method: c.method, Path: "/" + strings.Repeat("x", 8<<10)}
				err := client.CallRequest(t.Context(), req, nil)
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				if n := len(seen); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		}
	}
}

func TestAnEngineIsStartedOnceAndOnlyWhenNothingListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	starts := 0
	client, _ := New("unix://"+path, func() error { starts++; return errors.New("cannot start") })
	for range 2 {
		err := client.Call(t.Context(), "GET", "/x", nil, nil)
		var un *Unreachable
		if starts == 1 && err.Error() == "cannot start" {
			continue
		}
		if !errors.As(err, &un) || !errors.Is(err, syscall.ENOENT) {
			t.Errorf("got %v", err)
		}
	}
	if starts != 1 {
		t.Errorf("started %d times", starts)
	}
}

func TestTheContextEndsAWait(t *testing.T) {
	host := speak(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		skipRequest(r)
		io.ReadAll(r) // never answers
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	client, _ := New(host, nil)
	if err := client.Call(ctx, "GET", "/x", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAFieldCannotBecomeTwo(t *testing.T) {
	host := speak(t, func(_ int, conn net.Conn, r *bufio.Reader) { skipRequest(r) })
	client, _ := New(host, nil)
	_, err := client.Do(t.Context(), Request{Method: "GET", Path: "/", Header: map[string]string{"A": "b\r\nC: d"}})
	if err == nil || !strings.Contains(err.Error(), "line break") {
		t.Errorf("got %v", err)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///a": "", "tcp://1.2.3.4:2375": "not built yet", "ssh://me@host": "not built yet",
		"/run/brig.sock": "an address like", "unix://": "an address like", "foo://x": "unknown scheme",
	} {
		_, err := New(host, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestDemux(t *testing.T) {
	f := func(stream byte, length uint32, text string) string {
		return string([]byte{stream, 0, 0, 0, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}) + text
	}
	for _, c := range []struct{ name, in, out, errs, err string }{
		{name: "both", in: f(1, 2, "ab") + f(2, 1, "c") + f(1, 0, "") + f(0, 1, "d"), out: "abd", errs: "c"},
		{name: "a frame cut off keeps what came", in: f(1, 4<<30-1, "abc"), out: "abc", err: "unexpected EOF"},
		{name: "a header cut off", in: f(1, 1, "a") + "\x01\x00", out: "a", err: "unexpected EOF"},
		{name: "an error of the engine", in: f(3, 4, "boom"), err: "boom"},
		{name: "not frames", in: "hello world", err: "unknown stream 104"},
	} {
		var out, errs bytes.Buffer
		err := Demux(&out, &errs, strings.NewReader(c.in))
		if out.String() != c.out || errs.String() != c.errs || (err == nil) != (c.err == "") ||
			err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: out %q, err %q, %v", c.name, out.String(), errs.String(), err)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("HTTP/1.0 404\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		r := bufio.NewReaderSize(strings.NewReader(raw), 32<<10)
		h, err := readHead(r)
		if err != nil {
			return
		}
		body := h.framing("GET", r)
		n, err := io.Copy(io.Discard, body)
		if n > int64(len(raw)) {
			t.Fatalf("%d bytes of body out of %d", n, len(raw))
		}
		if err == nil && !body.done() && h.fields["content-length"] != "" && h.fields["transfer-encoding"] == "" {
			t.Fatal("ended without an error before the announced end")
		}
	})
}

func FuzzDemux(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x01a\x02\x00\x00\x00\xff\xff\xff\xffb"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		_ = Demux(&out, &out, bytes.NewReader(in))
		if out.Len() > len(in) {
			t.Fatal("more came out than went in")
		}
	})
}

func ExampleUnreachable() {
	client, _ := New("unix:///nonexistent/brig.sock", nil)
	fmt.Println(client.Call(context.Background(), "GET", "/version", nil, nil))
	// Output: cannot reach the engine at unix:///nonexistent/brig.sock: no such file or directory
}
