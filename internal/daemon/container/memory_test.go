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
	for asked, want := range []string{
		"its programs met the limit of 512MiB of memory (the default; --memory is another one). Next: brig update --memory SIZE web",
		"its programs met the limit of 512MiB of memory (--memory). Next: brig update --memory SIZE web",
	} {
		if r.Host.Memory = int64(asked); r.OutOfMemory() != want {
			t.Errorf("%q, want %q", r.OutOfMemory(), want)
		}
	}
	r.Host.AutoRemove = true
	if want := "its programs met the limit of 512MiB of memory (--memory). Next: a larger --memory"; r.OutOfMemory() != want {
		t.Errorf("%q, want %q", r.OutOfMemory(), want)
	}
}
