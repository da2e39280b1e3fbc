// Package event keeps the last events of the engine and hands new ones to those who listen.
//
// Zone: brigd.
// Input: events of the packages of internal/daemon.
// Output: messages of the Docker Engine API; a past that is bounded in number and in bytes, and is everybody's queue.
// Spec: GET /events of the Docker Engine API.
// Answers: A2 (a client that does not read its events loses its connection, not the engine's memory).
package event

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
)

const (
	past      = 1024     // events that are kept
	pastBytes = 4 << 20  // of their texts together
	eventMax  = 32 << 10 // bytes of one: each client that does not read holds one, however many they are
	cutTo     = 1 << 10  // of each text in an event that is larger
)

// Bus carries events. The zero value is ready.
type Bus struct {
	mu        sync.Mutex
	kept      []events.Message // oldest first
	first     uint64           // number of the oldest
	bytes     int              // of what is kept
	counts    map[Happened]uint64
	listeners map[*Listener]struct{}
}

// Listener is a place in the stream of events. It has no queue of its own: who is so far behind that the next event is not
// kept any more was too slow.
type Listener struct {
	// Wake receives when there may be something for Next, also the end.
	Wake <-chan struct{}

	wake chan struct{}
	bus  *Bus
	next uint64
}

// Publish sends one event; its time is set here.
func (b *Bus) Publish(kind events.Type, action events.Action, id string, attributes map[string]string) {
	now := time.Now()
	m := events.Message{
		Type: kind, Action: action, Scope: "local",
		Actor: events.Actor{ID: id, Attributes: attributes},
		Time:  now.Unix(), TimeNano: now.UnixNano(),
	}
	shorten(&m)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, m)
	b.bytes += size(&m)
	if b.counts == nil {
		b.counts = map[Happened]uint64{}
	}
	what, _, _ := strings.Cut(string(action), ":") // what a client wrote comes behind
	b.counts[Happened{string(kind), what}]++
	for len(b.kept) > past || b.bytes > pastBytes && len(b.kept) > 1 {
		b.bytes -= size(&b.kept[0])
		b.kept[0] = events.Message{} // what is appended to may stay for long
		b.kept = b.kept[1:]
		b.first++
	}
	for l := range b.listeners {
		if l.next < b.first {
			b.remove(l)
		}
		select {
		case l.wake <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// size is how many bytes an event holds that somebody else wrote.
func size(m *events.Message) int {
	n := len(m.Action) + len(m.Actor.ID)
	for k, v := range m.Actor.Attributes {
		n += len(k) + len(v)
	}
	return n
}

// shorten bounds an event. What a client wrote into a request and an event repeats (a command, labels) may be megabytes.
func shorten(m *events.Message) {
	if size(m) <= eventMax {
		return
	}
	m.Action = events.Action(cut(string(m.Action)))
	short := make(map[string]string, len(m.Actor.Attributes))
	all := m.Actor.Attributes
	m.Actor.Attributes = short
	keys := slices.Collect(maps.Keys(all))
	// Short names first: those of the engine's own attributes are.
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	for left := eventMax - size(m); len(keys) > 0; keys = keys[1:] {
		v := cut(all[keys[0]])
		if left -= len(keys[0]) + len(v); left < 0 {
			return
		}
		short[keys[0]] = v
	}
}

// cut keeps the beginning of a text that is too long, in whole characters.
func cut(s string) string {
	if len(s) <= cutTo {
		return s
	}
	return strings.ToValidUTF8(s[:cutTo], "") + "…"
}

// Listen gives a listener for all events that follow, after those that are kept if past is set.
func (b *Bus) Listen(past bool) *Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &Listener{wake: make(chan struct{}, 1), bus: b, next: b.first}
	l.Wake = l.wake
	if !past {
		l.next += uint64(len(b.kept))
	} else if len(b.kept) > 0 {
		l.wake <- struct{}{}
	}
	if b.listeners == nil {
		b.listeners = map[*Listener]struct{}{}
	}
	b.listeners[l] = struct{}{}
	return l
}

// Count tells how many listen.
func (b *Bus) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners)
}

// Happened is what an event is about, without whom.
type Happened struct{ Type, Action string }

// Counts tells how many events there were.
func (b *Bus) Counts() map[Happened]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}

// Next gives the next event, if there is one. open is false when there will be none: the listener was too slow, or was
// closed.
func (l *Listener) Next() (m events.Message, there, open bool) {
	b := l.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open = b.listeners[l]; !open || l.next >= b.first+uint64(len(b.kept)) {
		return m, false, open
	}
	m = b.kept[l.next-b.first]
	l.next++
	return m, true, true
}

// Close ends the listener.
func (l *Listener) Close() {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.bus.remove(l)
}

// remove is called with the lock held.
func (b *Bus) remove(l *Listener) { delete(b.listeners, l) }
