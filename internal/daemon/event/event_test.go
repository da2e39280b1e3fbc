package event

import (
	"strconv"
	"testing"

	"github.com/moby/moby/api/types/events"
)

func TestThePastIsBoundedAndInOrder(t *testing.T) {
	var b Bus
	for i := range past + 10 {
		b.Publish(events.ContainerEventType, events.ActionStart, strconv.Itoa(i), nil)
	}
	kept, l := b.Listen()
	defer l.Close()
	if len(kept) != past || kept[0].Actor.ID != "10" || kept[past-1].Actor.ID != strconv.Itoa(past+9) {
		t.Fatalf("kept %d events, first %q, last %q", len(kept), kept[0].Actor.ID, kept[len(kept)-1].Actor.ID)
	}
}

func TestASlowListenerIsDroppedAndOthersGoOn(t *testing.T) {
	var b Bus
	_, slow := b.Listen()
	_, fast := b.Listen()
	for range queue + 1 {
		b.Publish(events.ContainerEventType, events.ActionDie, "x", nil)
		<-fast.C
	}
	if n := b.Count(); n != 1 {
		t.Fatalf("%d listeners are left, want 1", n)
	}
	n := 0
	for range slow.C {
		n++
	}
	if n != queue {
		t.Fatalf("the slow one got %d events, want %d", n, queue)
	}
	slow.Close()
	fast.Close()
	fast.Close()
}
