package event

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/moby/moby/api/types/events"
)

// all is what a listener gets without waiting.
func all(l *Listener) (list []events.Message, open bool) {
	for {
		m, there, open := l.Next()
		if !there {
			return list, open
		}
		list = append(list, m)
	}
}

func TestThePastIsBoundedAndInOrder(t *testing.T) {
	var b Bus
	for i := range past + 10 {
		b.Publish(events.ContainerEventType, events.ActionStart, strconv.Itoa(i), nil)
	}
	l, none := b.Listen(true), b.Listen(false)
	defer l.Close()
	kept, _ := all(l)
	if len(kept) != past || kept[0].Actor.ID != "10" || kept[past-1].Actor.ID != strconv.Itoa(past+9) {
		t.Fatalf("kept %d events, first %q, last %q", len(kept), kept[0].Actor.ID, kept[len(kept)-1].Actor.ID)
	}
	if late, open := all(none); len(late) != 0 || !open {
		t.Errorf("who asked for no past got %d events", len(late))
	}
	b.Publish(events.ContainerEventType, events.ActionDie, "new", nil)
	for _, l := range []*Listener{l, none} {
		if list, open := all(l); len(list) != 1 || list[0].Actor.ID != "new" || !open {
			t.Errorf("after the past came %v", list)
		}
	}
	b.Publish(events.ContainerEventType, "exec_create: a program", "x", nil)
	if c := b.Counts(); len(c) != 3 || c[Happened{"container", "start"}] != past+10 || c[Happened{"container", "exec_create"}] != 1 {
		t.Errorf("counted %v", c)
	}
}

// A client may write a megabyte into what an event repeats, a command or a label: it is no way to fill our memory.
func TestThePastIsBoundedInBytes(t *testing.T) {
	var b Bus
	for range 300 {
		b.Publish(events.ContainerEventType, events.Action("exec_create: "+strings.Repeat("x", 20<<10)), "c", nil)
	}
	if b.bytes > pastBytes || b.bytes < pastBytes/2 {
		t.Errorf("%d bytes in %d events are kept", b.bytes, len(b.kept))
	}
	labels := map[string]string{"name": "web", "image": "i", "long": strings.Repeat("é", 1<<20)}
	for i := range 1000 {
		labels[fmt.Sprintf("a.label.with.number.%d", i)] = strings.Repeat("y", 500)
	}
	l := b.Listen(false)
	defer l.Close()
	b.Publish(events.ContainerEventType, events.Action("exec_create: "+strings.Repeat("x", 1<<20)), "c", labels)
	m, there, _ := l.Next()
	if n := size(&m); !there || n > eventMax+100 || n < eventMax-1000 {
		t.Errorf("a large event is cut to %d bytes", n)
	}
	a := m.Actor.Attributes
	if a["name"] != "web" || a["image"] != "i" || !strings.HasSuffix(a["long"], "é…") || !utf8.ValidString(a["long"]) ||
		!strings.HasPrefix(string(m.Action), "exec_create: xxx") || len(labels["long"]) != 2<<20 {
		t.Errorf("of a large event stay %.30s and %.200v", m.Action, a)
	}
}

func TestASlowListenerIsDroppedAndOthersGoOn(t *testing.T) {
	var b Bus
	slow, fast := b.Listen(false), b.Listen(false)
	for range past + 1 {
		b.Publish(events.ContainerEventType, events.ActionDie, "x", nil)
		<-fast.Wake
		if list, open := all(fast); len(list) != 1 || !open {
			t.Fatalf("the fast one got %d events", len(list))
		}
	}
	if n := b.Count(); n != 1 {
		t.Fatalf("%d listeners are left, want 1", n)
	}
	<-slow.Wake
	if list, open := all(slow); len(list) != 0 || open {
		t.Fatalf("the slow one got %d events and is open: %v", len(list), open)
	}
	slow.Close()
	fast.Close()
	fast.Close()
	if _, _, open := fast.Next(); open || b.Count() != 0 {
		t.Error("a closed listener is open")
	}
}
