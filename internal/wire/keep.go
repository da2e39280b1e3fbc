package wire

import (
	"encoding/json"
	"fmt"
)

// Keep is a message between the warden and the keeper.
//
//	warden → keeper   hold KEY + fd    keep this descriptor for your successor
//	                  drop KEY         close it
//	keeper → warden   have KEY + fd    once for each held descriptor, when a warden starts
//	                  end              that was all
type Keep struct {
	Op  KeepOp `json:"op"`
	Key string `json:"key,omitempty"`
}

// KeepOp names a message.
type KeepOp string

// The messages.
const (
	KeepHold KeepOp = "hold"
	KeepDrop KeepOp = "drop"
	KeepHave KeepOp = "have"
	KeepEnd  KeepOp = "end"
)

// SendKeep sends k with the descriptors, which stay open here.
func (c *Conn) SendKeep(k Keep, fds ...int) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return c.Send(&Frame{Body: b}, fds)
}

// ReceiveKeep reads one message and the descriptors that came with it.
func (c *Conn) ReceiveKeep() (Keep, []int, error) {
	f, fds, err := c.Receive()
	if err != nil {
		return Keep{}, nil, err
	}
	var k Keep
	if err := DecodeStrict(f.Body, &k); err != nil {
		CloseAll(fds)
		return Keep{}, nil, err
	}
	return k, fds, nil
}
