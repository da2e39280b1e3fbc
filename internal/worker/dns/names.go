package dns

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

const (
	typeA, typePTR = 1, 12
	classIN        = 1
	// nameTTL in seconds: the address of a name is another one as soon as its container was started again.
	nameTTL = 5
	// maxLocal bounds an answer of ours; every client takes so much without asking for it.
	maxLocal = 512
	// nameHold is how long a query waits for brigd to say who asks: a program may be quicker than the news of its start.
	nameHold = time.Second
	reverse  = ".in-addr.arpa"
)

// names is what brigd has told about the containers that run. Who asks is known by address, which the router lets nobody
// forge, and gets the names of the networks that he is a member of and no others:
//
//	asker not known    wait for brigd, then SERVFAIL: whether he may ask outside is not known either
//	name of a network of his, or a link of his    answered here: A, PTR; no other type has data
//	any other name     the resolvers; NXDOMAIN for a confined asker, who must not reach outside this way either
type names struct {
	mu      sync.Mutex
	members map[netip.Addr]jobs.Names
	byName  map[nameKey][]netip.Addr
	news    chan struct{} // closed, and another one made, with every change
}

// nameKey is a name, in lower case, within a network.
type nameKey struct{ network, name string }

func newNames() *names {
	return &names{members: map[netip.Addr]jobs.Names{}, byName: map[nameKey][]netip.Addr{}, news: make(chan struct{})}
}

// put replaces what is known about one address.
func (n *names) put(of jobs.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key := range keysOf(n.members[of.Addr]) {
		left := slices.DeleteFunc(n.byName[key], func(a netip.Addr) bool { return a == of.Addr })
		if n.byName[key] = left; len(left) == 0 {
			delete(n.byName, key)
		}
	}
	delete(n.members, of.Addr)
	for _, in := range of.Networks { // once, and not with each question
		for i, l := range in.Links {
			in.Links[i].Alias = strings.ToLower(l.Alias)
		}
	}
	if !of.Gone {
		n.members[of.Addr] = of
		for key := range keysOf(of) {
			n.byName[key] = append(n.byName[key], of.Addr)
		}
	}
	close(n.news)
	n.news = make(chan struct{})
}

// keysOf gives each name of a member once, with and without the network's own name behind it.
func keysOf(of jobs.Names) map[nameKey]struct{} {
	keys := map[nameKey]struct{}{}
	for _, in := range of.Networks {
		for _, name := range in.Names {
			keys[nameKey{in.ID, strings.ToLower(name)}] = struct{}{}
			keys[nameKey{in.ID, strings.ToLower(name + "." + in.Name)}] = struct{}{}
		}
	}
	return keys
}

// asker gives what is known about who asks, and waits for it for a moment.
func (n *names) asker(ctx context.Context, a netip.Addr) (of jobs.Names, known bool) {
	ctx, cancel := context.WithTimeout(ctx, nameHold)
	defer cancel()
	for {
		n.mu.Lock()
		of, known = n.members[a]
		news := n.news
		n.mu.Unlock()
		if known {
			return of, true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return of, false
		}
	}
}

// answer answers a query for a name that is the asker's to know, or that he must not ask for; nil is for the resolvers.
func (n *names) answer(ctx context.Context, client netip.Addr, query, q []byte) []byte {
	of, known := n.asker(ctx, client)
	if !known {
		return failure(query, q)
	}
	name := q[:len(q)-questionFields]
	kind := binary.BigEndian.Uint16(q[len(name):])
	if binary.BigEndian.Uint16(q[len(name)+2:]) == classIN {
		asked := dotted(name)
		if addrs := n.find(of, asked); addrs != nil {
			return records(query, q, typeA, addressData(kind, addrs))
		}
		if found := n.nameOf(of, asked); found != nil && kind == typePTR {
			return records(query, q, typePTR, [][]byte{found})
		}
	}
	if of.Confined {
		return reply(query, q, rcodeNameError)
	}
	return nil
}

// dotted is the name of a question, in lower case. A dot within a label is none between two, so such a label is nobody's.
func dotted(name []byte) string {
	var b strings.Builder
	for len(name) > 1 {
		n := int(name[0])
		label := strings.ToLower(string(name[1 : 1+n]))
		if strings.Contains(label, ".") {
			return ""
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(label)
		name = name[1+n:]
	}
	return b.String()
}

// find gives the addresses of a name in the asker's networks, in an order that is another one each time. A link of the
// asker's goes before what others are called.
func (n *names) find(of jobs.Names, name string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.called(of, func(in jobs.NamesIn) []string { return linked(in, name) })
	if out == nil {
		out = n.called(of, func(jobs.NamesIn) []string { return []string{name} })
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// called gives the addresses of those names in each of the asker's networks, once each.
func (n *names) called(of jobs.Names, names func(jobs.NamesIn) []string) (out []netip.Addr) {
	for _, in := range of.Networks {
		for _, name := range names(in) {
			for _, a := range n.byName[nameKey{in.ID, name}] {
				if !slices.Contains(out, a) {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// linked gives what the asker's own name for another container stands for.
func linked(in jobs.NamesIn, name string) (to []string) {
	short, _ := strings.CutSuffix(name, "."+strings.ToLower(in.Name))
	for _, l := range in.Links {
		if l.Alias == name || l.Alias == short {
			to = append(to, l.To)
		}
	}
	return to
}

// nameOf gives the name, as a message has it, of a neighbour whose address was asked for backwards.
func (n *names) nameOf(of jobs.Names, name string) []byte {
	backwards, ok := strings.CutSuffix(name, reverse)
	if !ok {
		return nil
	}
	parts := strings.Split(backwards, ".")
	slices.Reverse(parts)
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	if err != nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, in := range n.members[a].Networks {
		if len(in.Names) > 0 && slices.ContainsFunc(of.Networks, func(x jobs.NamesIn) bool { return x.ID == in.ID }) {
			return packed(in.Names[0] + "." + in.Name)
		}
	}
	return nil
}

// packed writes a name as labels; one that cannot be written is none.
func packed(name string) []byte {
	var out []byte
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return nil
		}
		out = append(append(out, byte(len(label))), label...)
	}
	if len(out) >= maxName {
		return nil
	}
	return append(out, 0)
}

// addressData: who asks for another type than A learns that the name is there and has none of it.
func addressData(kind uint16, addrs []netip.Addr) (data [][]byte) {
	if kind != typeA {
		return nil
	}
	for _, a := range addrs {
		data = append(data, a.AsSlice())
	}
	return data
}

// records answers with as many records as fit, all of the question's name.
func records(query, q []byte, kind uint16, data [][]byte) []byte {
	out := reply(query, q, 0)
	count := uint16(0)
	for _, d := range data {
		const fixed = 12 // a pointer to the question's name, type, class, lifetime, length
		if len(out)+fixed+len(d) > maxLocal {
			break
		}
		out = binary.BigEndian.AppendUint16(out, 0xc000|headerLen)
		out = binary.BigEndian.AppendUint16(out, kind)
		out = binary.BigEndian.AppendUint16(out, classIN)
		out = binary.BigEndian.AppendUint32(out, nameTTL)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(d))), d...)
		count++
	}
	binary.BigEndian.PutUint16(out[6:], count)
	return out
}
