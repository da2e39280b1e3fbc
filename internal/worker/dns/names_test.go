package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

func at(s string) netip.Addr { return netip.MustParseAddr(s) }

// town has two networks with three members, one of which is in both; an internal one; and one who is in none.
func town() *names {
	n := newNames()
	front := func(names ...string) jobs.NamesIn { return jobs.NamesIn{ID: "1", Name: "front", Names: names} }
	back := func(names ...string) jobs.NamesIn { return jobs.NamesIn{ID: "2", Name: "back", Names: names} }
	for _, of := range []jobs.Names{
		{Addr: at("10.0.0.1"), Networks: []jobs.NamesIn{front("web", "www", "0123456789ab")}},
		{Addr: at("10.0.0.2"), Networks: []jobs.NamesIn{back("db", "Store.Local"), front("db-front", "www")}},
		{Addr: at("10.0.0.3"), Confined: true, Networks: []jobs.NamesIn{back("job", "db")}},
		{Addr: at("10.0.0.4")},
		{Addr: at("10.0.0.5"), Networks: []jobs.NamesIn{{ID: "1", Name: "front", Names: []string{"old"},
			Links: []jobs.Link{{Alias: "Backend", To: "0123456789ab"}, {Alias: "gone", To: "ffffffffffff"},
				{Alias: "www", To: "0123456789ab"}, {Alias: "db-front", To: "ffffffffffff"}}}}},
	} {
		n.put(of)
	}
	return n
}

// asks gives the answer as another reader of messages sees it, and its data; nil is a query for the resolvers.
func asks(t *testing.T, n *names, from, name string, kind dnsmessage.Type) (*dnsmessage.Message, []string) {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 77, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET}}}
	query, err := m.Pack()
	must(t, err)
	q, err := checkQuery(query)
	must(t, err)
	answer := n.answer(context.Background(), at(from), query, q)
	if answer == nil {
		return nil, nil
	}
	if !isAnswer(answer, m.ID, q) || len(answer) > maxLocal {
		t.Fatalf("%s: %x is no answer", name, answer)
	}
	var got dnsmessage.Message
	must(t, got.Unpack(answer))
	var out []string
	for _, rr := range got.Answers {
		switch body := rr.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(body.A).String())
		case *dnsmessage.PTRResource:
			out = append(out, body.PTR.String())
		}
	}
	slices.Sort(out)
	return &got, out
}

// TestALinkIsItsTargetsAlone: who takes the name of a link, or of its target, gets no part of what the asker means.
func TestALinkIsItsTargetsAlone(t *testing.T) {
	n := newNames()
	front := func(names ...string) []jobs.NamesIn { return []jobs.NamesIn{{ID: "1", Name: "front", Names: names}} }
	n.put(jobs.Names{Addr: at("10.0.0.1"), Networks: front("db1", "/aa")})
	n.put(jobs.Names{Addr: at("10.0.0.2"), Networks: front("thief", "store", "aa", "/bb")})
	asker := jobs.Names{Addr: at("10.0.0.3"), Networks: front("web", "/cc")}
	asker.Networks[0].Links = []jobs.Link{{Alias: "store", To: "/aa"}}
	n.put(asker)
	for from, want := range map[string]string{"10.0.0.3": "10.0.0.1", "10.0.0.1": "10.0.0.2"} {
		if _, got := asks(t, n, from, "store", dnsmessage.TypeA); len(got) != 1 || got[0] != want {
			t.Errorf("%s hears %v, want %s", from, got, want)
		}
	}
}

func TestNamesAreThoseOfTheAskersNetworks(t *testing.T) {
	n := town()
	const outside = 0xffff
	for _, c := range []struct {
		from, name string
		kind       dnsmessage.Type
		rcode      dnsmessage.RCode
		want       []string
	}{
		{"10.0.0.1", "web", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.1", "WEB.front", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.1", "0123456789ab", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.1", "www", dnsmessage.TypeA, 0, []string{"10.0.0.1", "10.0.0.2"}},
		{"10.0.0.1", "www", dnsmessage.TypeAAAA, 0, nil},
		{"10.0.0.1", "www", dnsmessage.TypeMX, 0, nil},
		{"10.0.0.1", "db-front", dnsmessage.TypeA, 0, []string{"10.0.0.2"}},
		{"10.0.0.1", "db", dnsmessage.TypeA, outside, nil},
		{"10.0.0.1", "job.back", dnsmessage.TypeA, outside, nil},
		{"10.0.0.1", "web.back", dnsmessage.TypeA, outside, nil},
		{"10.0.0.1", "example.org", dnsmessage.TypeA, outside, nil},
		{"10.0.0.5", "backend", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.5", "backend.front", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.5", "gone", dnsmessage.TypeA, outside, nil},
		{"10.0.0.5", "www", dnsmessage.TypeA, 0, []string{"10.0.0.1"}}, // not the other one of this name
		{"10.0.0.5", "db-front.front", dnsmessage.TypeA, 0, []string{"10.0.0.2"}},
		{"10.0.0.1", "backend", dnsmessage.TypeA, outside, nil},
		{"10.0.0.2", "db", dnsmessage.TypeA, 0, []string{"10.0.0.2", "10.0.0.3"}},
		{"10.0.0.2", "web", dnsmessage.TypeA, 0, []string{"10.0.0.1"}},
		{"10.0.0.3", "store.local", dnsmessage.TypeA, 0, []string{"10.0.0.2"}},
		{"10.0.0.3", "web", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
		{"10.0.0.3", "secret.evil.example", dnsmessage.TypeTXT, dnsmessage.RCodeNameError, nil},
		{"10.0.0.4", "web", dnsmessage.TypeA, outside, nil},
		{"10.0.0.1", "2.0.0.10.in-addr.arpa", dnsmessage.TypePTR, 0, []string{"db-front.front."}},
		{"10.0.0.3", "2.0.0.10.in-addr.arpa", dnsmessage.TypePTR, 0, []string{"db.back."}},
		{"10.0.0.4", "2.0.0.10.in-addr.arpa", dnsmessage.TypePTR, outside, nil},
		{"10.0.0.3", "1.0.0.10.in-addr.arpa", dnsmessage.TypePTR, dnsmessage.RCodeNameError, nil},
	} {
		m, got := asks(t, n, c.from, c.name, c.kind)
		switch {
		case m == nil && c.rcode != outside:
			t.Errorf("%s asks for %s: left to the resolvers", c.from, c.name)
		case m != nil && (m.RCode != c.rcode || !slices.Equal(got, c.want)):
			t.Errorf("%s asks for %s: %s %v, want %s %v", c.from, c.name, m.RCode, got, c.rcode, c.want)
		}
	}
}

func TestNamesVanishWithTheirContainer(t *testing.T) {
	n := town()
	n.put(jobs.Names{Addr: at("10.0.0.2"), Gone: true})
	if m, _ := asks(t, n, "10.0.0.1", "db-front", dnsmessage.TypeA); m != nil {
		t.Error("the name of one who has gone is answered")
	}
	if _, got := asks(t, n, "10.0.0.1", "www", dnsmessage.TypeA); !slices.Equal(got, []string{"10.0.0.1"}) {
		t.Errorf("www: %v", got)
	}
	n.put(jobs.Names{Addr: at("10.0.0.1"), Networks: []jobs.NamesIn{{ID: "2", Name: "back", Names: []string{"web"}}}})
	if _, got := asks(t, n, "10.0.0.3", "web", dnsmessage.TypeA); !slices.Equal(got, []string{"10.0.0.1"}) {
		t.Errorf("web, after it changed networks: %v", got)
	}
	n.put(jobs.Names{Addr: at("10.0.0.1"), Gone: true})
	n.put(jobs.Names{Addr: at("10.0.0.3"), Gone: true})
	n.put(jobs.Names{Addr: at("10.0.0.4"), Gone: true})
	n.put(jobs.Names{Addr: at("10.0.0.5"), Gone: true})
	if len(n.members)+len(n.byName) != 0 {
		t.Errorf("what is left of nobody: %v %v", n.members, n.byName)
	}
}

// A program may ask before brigd has said that it runs: it waits, and is not sent to the resolvers.
func TestWhoIsNotKnownYetWaits(t *testing.T) {
	n := town()
	if m, _ := asks(t, n, "10.0.0.9", "web", dnsmessage.TypeA); m == nil || m.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("an asker that nobody knows: %v", m)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		n.put(jobs.Names{Addr: at("10.0.0.9"), Networks: []jobs.NamesIn{{ID: "1", Name: "front", Names: []string{"new"}}}})
	})
	if _, got := asks(t, n, "10.0.0.9", "web", dnsmessage.TypeA); !slices.Equal(got, []string{"10.0.0.1"}) {
		t.Errorf("an asker that is told of later: %v", got)
	}
}

func TestAnAnswerOfManyIsNotLarge(t *testing.T) {
	n := newNames()
	for i := range 250 {
		n.put(jobs.Names{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}),
			Networks: []jobs.NamesIn{{ID: "1", Name: "front", Names: []string{"many"}}}})
	}
	if _, got := asks(t, n, "10.0.0.9", "many", dnsmessage.TypeA); len(got) < 25 {
		t.Errorf("an answer with %d addresses", len(got))
	}
}

func TestNamesAreAnsweredWithoutAResolver(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := newNames()
	n.put(jobs.Names{Addr: at("127.0.0.1"), Networks: []jobs.NamesIn{{ID: "1", Name: "front", Names: []string{"me"}}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, Sockets{Listen: []net.PacketConn{pc}, Streams: []net.Listener{l}, Names: n})
	}()
	got, err := ask1(t, pc.LocalAddr().String(), message(7, 0x0100, "me"))
	must(t, err)
	if !bytes.HasSuffix(got, []byte{127, 0, 0, 1}) || binary.BigEndian.Uint16(got[6:]) != 1 {
		t.Errorf("%x", got)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	must(t, writeFrame(c, message(8, 0x0100, "me")))
	if got, err = readFrame(c); err != nil || !bytes.HasSuffix(got, []byte{127, 0, 0, 1}) {
		t.Errorf("over TCP: %x, %v", got, err)
	}
	if got, err = ask1(t, pc.LocalAddr().String(), message(9, 0x0100, "example.org")); err != nil || got[3]&15 != rcodeServFail {
		t.Errorf("another name: %x, %v", got, err)
	}
	cancel()
	must(t, <-done)
}

// Whatever name is asked for, the answer is one that a client can read.
func FuzzNames(f *testing.F) {
	n := town()
	f.Add(message(1, 0x0100, "www.front"))
	f.Add(message(1, 0x0100, "2.0.0.10.in-addr.arpa"))
	f.Fuzz(func(t *testing.T, query []byte) {
		q, err := checkQuery(query)
		if err != nil {
			return
		}
		answer := n.answer(context.Background(), at("10.0.0.3"), query, q)
		if answer == nil || !isAnswer(answer, numberOf(query), q) || len(answer) > maxLocal {
			t.Fatalf("%x is answered with %x", query, answer)
		}
	})
}
