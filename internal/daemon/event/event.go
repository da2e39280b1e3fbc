// Package event keeps the last events of the engine and hands new ones to those who listen.
//
// Zone: brigd.
// Input: events of the packages of internal/daemon.
// Output: messages of the Docker Engine API; a bounded past, bounded queues.
// Spec: GET /events of the Docker Engine API.
// Answers: A2 (a client that does not read its events loses its connection, not the engine's memory).
package event

import (
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
)

const (
	past  = 1024 // events that are kept
	queue = 1024 // events that one listener may be behind
)

// Bus carries events. The zero value is ready.
type Bus struct {
	mu        sync.Mutex
	ring      []events.Message
	head      int // index of the oldest in a full ring
	listeners map[*Listener]struct{}
}

// Listener receives events on C, which is closed when the listener was too slow or was closed.
type Listener struct {
	C   chan events.Message
	bus *Bus
}

// Publish sends one event; its time is set here.
func (b *Bus) Publish(kind events.Type, action events.Action, id string, attributes map[string]string) {
	now := time.Now()
	m := events.Message{
		Type: kind, Action: action, Scope: "local",
		Actor: events.Actor{ID: id, Attributes: attributes},
		Time:  now.Unix(), TimeNano: now.UnixNano(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ring) < past {
		b.ring = append(b.ring, m)
	} else {
		b.ring[b.head] = m
		b.head = (b.head + 1) % past
	}
	for l := range b.listeners {
		select {
		case l.C <- m:
		default:
			b.remove(l)
		}
	}
}

// Listen gives the events that are kept, oldest first, and a listener for all that follow, without a gap between.
func (b *Bus) Listen() ([]events.Message, *Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := make([]events.Message, 0, len(b.ring))
	kept = append(append(kept, b.ring[b.head:]...), b.ring[:b.head]...)
	l := &Listener{C: make(chan events.Message, queue), bus: b}
	if b.listeners == nil {
		b.listeners = map[*Listener]struct{}{}
	}
	b.listeners[l] = struct{}{}
	return kept, l
}

// Count tells how many listen.
func (b *Bus) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners)
}

// Close ends the listener.
func (l *Listener) Close() {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.bus.remove(l)
}

// remove is called with the lock held.
func (b *Bus) remove(l *Listener) {
	if _, there := b.listeners[l]; there {
		delete(b.listeners, l)
		close(l.C)
	}
}
