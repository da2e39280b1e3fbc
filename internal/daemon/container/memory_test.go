package container

import (
	"testing"

	"github.com/brig-engine/brig/internal/wire"
)

func TestAnEndForWantOfMemoryNamesItsLimit(t *testing.T) {
	r := Record{Name: "web"}
	r.Spec.Resources.Memory = 512 << 20
	if why := r.OutOfMemory(); why != "" {
		t.Errorf("nothing has happened: %q", why)
	}
	r.Exit = wire.Exit{OOMKilled: true}
	for asked, want := range map[int64]string{
		0: "its programs met the limit of 512MiB of memory (the default; --memory is another one). Next: brig update --memory SIZE web",
		1: "its programs met the limit of 512MiB of memory (--memory). Next: brig update --memory SIZE web",
	} {
		if r.Host.Memory = asked; r.OutOfMemory() != want {
			t.Errorf("%q, want %q", r.OutOfMemory(), want)
		}
	}
}
