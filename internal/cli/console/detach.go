package console

import (
	"errors"
	"io"
)

// ErrDetached says that the person pressed the detach keys. The program goes on.
var ErrDetached = errors.New("detached")

// detacher passes keys on until it has seen the whole sequence. Keys that begin the sequence are held back until it is
// known whether they are part of it; ctrl-p alone therefore reaches the program with the key that follows it.
type detacher struct {
	r       io.Reader
	keys    []byte
	matched int    // how many bytes of keys were seen last and are held back
	out     []byte // what can be passed on
	err     error
}

func (d *detacher) Read(p []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil {
		buf := make([]byte, max(len(p), 1))
		n, err := d.r.Read(buf)
		d.err = err
		d.feed(buf[:n])
	}
	if len(d.out) == 0 {
		return 0, d.err
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

func (d *detacher) feed(in []byte) {
	for _, b := range in {
		d.step(b)
		if d.matched == len(d.keys) {
			d.matched, d.err = 0, ErrDetached
			return
		}
	}
	if d.err != nil { // the input ended inside a sequence: these were ordinary keys
		d.out = append(d.out, d.keys[:d.matched]...)
		d.matched = 0
	}
}

// step takes one byte. After a mismatch the longest tail of what is held back that still begins the sequence stays held
// back, so that ctrl-p ctrl-p ctrl-q detaches too.
func (d *detacher) step(b byte) {
	held := append(append([]byte{}, d.keys[:d.matched]...), b)
	for len(held) > 0 && string(held) != string(d.keys[:min(len(held), len(d.keys))]) {
		d.out = append(d.out, held[0])
		held = held[1:]
	}
	d.matched = len(held)
}
