package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// message builds a message with one question of type A; flags as in the header.
func message(number, flags uint16, name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, number)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// resolver answers with what reply makes of a query: any number of messages.
func resolver(t *testing.T, reply func(query []byte) [][]byte) (udp, tcp string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		buf := make([]byte, maxMessage)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, m := range reply(append([]byte(nil), buf[:n]...)) {
				pc.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					q, err := readFrame(c)
					if err != nil {
						return
					}
					writeFrame(c, append(answerTo(q), bytes.Repeat([]byte{7}, 3000)...))
				}
			}()
		}
	}()
	return pc.LocalAddr().String(), l.Addr().String()
}

func answerTo(query []byte) []byte {
	a := append([]byte(nil), query...)
	binary.BigEndian.PutUint16(a[2:], 0x8180)
	return append(a, "answer"...)
}

func honest(query []byte) [][]byte { return [][]byte{answerTo(query)} }

// forward starts a forwarder before the resolvers and returns its addresses.
func forward(t *testing.T, tcp string, resolvers ...string) (udpAddr, tcpAddr string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := Sockets{Listen: []net.PacketConn{pc}, Streams: []net.Listener{l}}
	for _, r := range resolvers {
		for range 2 {
			c, err := net.Dial("udp", r)
			must(t, err)
			s.Upstream = append(s.Upstream, c)
		}
	}
	if tcp != "" {
		s.Stream = func(int) (net.Conn, error) { return net.Dial("tcp", tcp) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, s) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return pc.LocalAddr().String(), l.Addr().String()
}

func ask1(t *testing.T, addr string, query []byte) ([]byte, error) {
	t.Helper()
	c, err := net.Dial("udp", addr)
	must(t, err)
	defer c.Close()
	_, err = c.Write(query)
	must(t, err)
	c.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, maxMessage)
	n, err := c.Read(buf)
	return buf[:n], err
}

func TestAnswerComesBackUnderTheContainersNumber(t *testing.T) {
	seen := make(chan uint16, 8)
	up, _ := resolver(t, func(q []byte) [][]byte { seen <- numberOf(q); return honest(q) })
	addr, _ := forward(t, "", up)
	got, err := ask1(t, addr, message(7, 0x0100, "example.org"))
	must(t, err)
	if want := answerTo(message(7, 0x0100, "example.org")); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	first := <-seen
	_, err = ask1(t, addr, message(7, 0x0100, "example.org"))
	must(t, err)
	if second := <-seen; first == 7 && second == 7 || first == second {
		t.Errorf("numbers towards the resolver: %d, %d; they must be random", first, second)
	}
}

func TestForgedAnswersAreDropped(t *testing.T) {
	up, _ := resolver(t, func(q []byte) [][]byte {
		wrong := answerTo(q)
		renumber(wrong, numberOf(q)+1)
		other := answerTo(message(numberOf(q), 0, "evil.org"))
		question := append(append([]byte(nil), q...), "not an answer"...)
		return [][]byte{wrong, other, question, {1}, nil, answerTo(q)}
	})
	addr, _ := forward(t, "", up)
	got, err := ask1(t, addr, message(9, 0x0100, "example.org"))
	must(t, err)
	if want := answerTo(message(9, 0x0100, "example.org")); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestNextResolverIsAskedWhenTheFirstIsAway(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	away := gone.LocalAddr().String()
	gone.Close()
	up, _ := resolver(t, honest)
	addr, _ := forward(t, "", away, up)
	_, err = ask1(t, addr, message(9, 0x0100, "example.org"))
	must(t, err)
}

func TestNoResolverIsServerFailure(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	away := gone.LocalAddr().String()
	gone.Close()
	addr, _ := forward(t, "", away)
	got, err := ask1(t, addr, message(9, 0x0100, "example.org"))
	must(t, err)
	if want := message(9, 0x8182, "example.org"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestLongAnswersComeOverTCP(t *testing.T) {
	up, stream := resolver(t, honest)
	_, addr := forward(t, stream, up)
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	for number := range uint16(3) {
		must(t, writeFrame(c, message(number, 0x0100, "long.example.org")))
		got, err := readFrame(c)
		must(t, err)
		if numberOf(got) != number || len(got) < 3000 {
			t.Errorf("query %d: answer %d with %d bytes", number, numberOf(got), len(got))
		}
	}
}

func TestStreamFallsBackToDatagrams(t *testing.T) {
	up, _ := resolver(t, honest)
	_, addr := forward(t, "", up)
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	must(t, writeFrame(c, message(5, 0x0100, "example.org")))
	got, err := readFrame(c)
	must(t, err)
	if !bytes.Equal(got, answerTo(message(5, 0x0100, "example.org"))) {
		t.Errorf("got %x", got)
	}
}

func TestMessagesThatAreNoQueriesGetNoAnswer(t *testing.T) {
	asked := make(chan bool, 100)
	up, _ := resolver(t, func(q []byte) [][]byte { asked <- true; return honest(q) })
	addr, _ := forward(t, "", up)
	c, err := net.Dial("udp", addr)
	must(t, err)
	defer c.Close()
	for name, m := range notQueries() {
		_, err := c.Write(m)
		must(t, err)
		c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		if n, err := c.Read(make([]byte, 100)); err == nil {
			t.Errorf("%s: an answer of %d bytes", name, n)
		}
	}
	if len(asked) > 0 {
		t.Errorf("%d of them reached the resolver", len(asked))
	}
}

func notQueries() map[string][]byte {
	set := func(at int, v byte) []byte {
		m := message(1, 0x0100, "example.org")
		m[at] = v
		return m
	}
	return map[string][]byte{
		"short": {1, 2, 3}, "header only": message(1, 0, "x")[:12], "answer": message(1, 0x8000, "x"),
		"update": message(1, 0x2800, "x"), "two questions": set(5, 2), "no question": set(5, 0), "with answers": set(7, 1),
		"with authority": set(9, 1), "many additional": set(11, 9), "pointer": set(12, 0xc0), "long label": set(12, 0x7f),
		"cut":       message(1, 0, "example.org")[:20],
		"long name": message(1, 0, strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 60)+".", 5), ".")),
	}
}

func TestOneContainerCannotTakeAllPlaces(t *testing.T) {
	up, _ := resolver(t, func([]byte) [][]byte { return nil })
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	c, err := net.Dial("udp", up)
	must(t, err)
	f := &forwarder{servers: group([]net.Conn{c}), packets: newBounds(3, 2)}
	defer func() { pc.Close(); c.Close(); f.wg.Wait() }()
	a, b := addrOf(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1)}), addrOf(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 2)})
	for i, want := range []bool{true, true, false} {
		if f.packets.enter(a) != want {
			t.Errorf("query %d of the first container: want %v", i, want)
		}
	}
	if !f.packets.enter(b) {
		t.Error("the second container has no place")
	}
	if f.packets.enter(b) {
		t.Error("more queries than places in all")
	}
	f.packets.leave(a)
	if !f.packets.enter(b) || f.packets.client[a] != 1 {
		t.Error("a place did not become free")
	}
}

func TestConnectionsToResolversAreRationed(t *testing.T) {
	now := time.Now()
	b := bucket{tokens: streamBurst, last: now}
	n := 0
	for b.take(now) {
		n++
	}
	if n != streamBurst {
		t.Errorf("%d at once, want %d", n, streamBurst)
	}
	if b.take(now.Add(time.Second)) || !b.take(now.Add(time.Minute)) {
		t.Errorf("the rate is not %d in a minute", streamRate)
	}
}

func TestServeNeedsSockets(t *testing.T) {
	if err := Serve(context.Background(), Sockets{}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("served nothing: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(message(1, 0x0100, "example.org"))
	for _, m := range notQueries() {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		q, err := checkQuery(msg)
		if err != nil {
			return
		}
		if len(q) < 5 || len(q) > maxName+questionFields || !bytes.Contains(msg, q) {
			t.Fatalf("question %x of %x", q, msg)
		}
		if isAnswer(msg, numberOf(msg), q) {
			t.Fatal("a query is its own answer")
		}
		a := append([]byte(nil), msg...)
		a[2] |= 0x80
		if !isAnswer(a, numberOf(msg), q) {
			t.Fatal("an answer with the same question is none")
		}
		if fail := failure(msg, q); !isAnswer(fail, numberOf(msg), q) {
			t.Fatalf("the failure %x does not answer %x", fail, msg)
		}
	})
}
