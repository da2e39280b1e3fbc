package image_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// told gives what has happened since the store was opened, in lines, with words for what differs from run to run.
func (w *world) told(replace ...string) string {
	l := w.bus.Listen(true)
	defer l.Close()
	var b strings.Builder
	for m, there, _ := l.Next(); there; m, there, _ = l.Next() {
		fmt.Fprintf(&b, "%s %s %s", m.Type, m.Action, m.Actor.ID)
		for _, k := range slices.Sorted(maps.Keys(m.Actor.Attributes)) {
			fmt.Fprintf(&b, " %s=%s", k, m.Actor.Attributes[k])
		}
		b.WriteByte('\n')
	}
	return strings.NewReplacer(replace...).Replace(b.String())
}

// The ids and names are those that Docker gives: a pull and a push are told by names, everything else by ids; labels are
// there as long as the image is.
func TestEventsHaveDockersShape(t *testing.T) {
	w := newWorld(t)
	w.publish("team/app", "1", base, top)
	ref := w.reg.Host + "/team/app"
	w.pull(ref + ":1")
	id := must(w.store.Lookup(ref + ":1")).ID
	w.ok("POST", "/images/"+ref+":1/tag?repo=mine&tag=2", nil)
	w.ok("POST", "/images/"+ref+"/push?tag=1", nil)
	saved := w.ok("GET", "/images/mine:2/get", nil)
	w.ok("DELETE", "/images/mine:2", nil)
	w.ok("DELETE", "/images/"+ref+":1", nil)
	w.ok("POST", "/images/load", strings.NewReader(saved))
	if err := w.store.Hold(id, "a container"); err != nil {
		t.Fatal(err)
	}
	w.ok("POST", "/images/prune?filters={%22dangling%22:[%22false%22]}", nil)
	w.store.Release(id, "a container")
	w.ok("POST", "/images/prune", nil)
	w.ok("POST", "/images/create?fromSrc=-&repo=root&tag=3&changes=LABEL+x=y", strings.NewReader(string(base)))
	root := must(w.store.Lookup("root:3")).ID
	want := `image pull REF:1 a=b name=REF
image tag ID a=b name=mine:2
image push REF:1 a=b name=REF
image save ID a=b name=ID
image untag ID a=b name=ID
image untag ID a=b name=ID
image untag ID a=b name=ID
image delete ID name=ID
image load ID a=b name=ID
image prune  reclaimed=0
image prune  reclaimed=0
image tag ROOT name=root:3 x=y
image import ROOT name=ROOT x=y
`
	if got := w.told(ref, "REF", id, "ID", root, "ROOT"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func TestUsageCountsALayerOnceAndItsUsers(t *testing.T) {
	w := twoImages(t)
	img := must(w.store.Lookup("app:1"))
	for _, c := range []string{"one", "two"} {
		if err := w.store.Hold(img.ID, c); err != nil {
			t.Fatal(err)
		}
	}
	layers, list, err := w.store.Usage()
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	var unique int64
	for _, i := range list {
		unique += i.Size - i.SharedSize
		if want := map[bool]int64{true: 2, false: 0}[i.ID == img.ID]; i.Containers != want {
			t.Errorf("%s has %d containers, want %d", i.ID, i.Containers, want)
		}
	}
	if shared := list[0].SharedSize; shared == 0 || layers != unique+shared {
		t.Errorf("layers %d, unique %d, shared %d", layers, unique, shared)
	}
}
