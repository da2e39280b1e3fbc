package firewall

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	mdnl "github.com/mdlayher/netlink"
)

// Socket buffers in bytes: every message of a batch is acknowledged, and a batch that rebuilds the table of 5,000
// endpoints is about 100 messages and half a megabyte.
const socketBuffer = 4 << 20

// table is one nftables table with its netlink socket. All changes are transactions: they happen whole or not at all.
type table struct {
	t *nftables.Table
	// dial opens another socket of the table's namespace; nil where that namespace cannot be entered again.
	dial func() (*nftables.Conn, error)

	mu     sync.Mutex
	conn   *nftables.Conn
	closed bool
}

// ErrLost says that a table cannot be reached any more: its socket is of no use after an error, and its namespace cannot
// be entered for another one. A new process can.
var ErrLost = errors.New("the table's socket is lost")

// commit runs fill and sends what it queued as one transaction.
func (t *table) commit(fill func(*nftables.Conn) error) error {
	return t.use(func(c *nftables.Conn) error {
		if err := fill(c); err != nil {
			return err
		}
		return c.Flush()
	})
}

// use runs do with the table's socket. After an error the socket is replaced, since unread acknowledgements could
// otherwise be taken for those of the next transaction.
func (t *table) use(do func(*nftables.Conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return fmt.Errorf("nftables table %s: the network was closed", t.t.Name)
	case t.conn == nil && t.dial == nil:
		return fmt.Errorf("nftables table %s: %w", t.t.Name, ErrLost)
	case t.conn == nil:
		c, err := t.dial()
		if err != nil {
			return err
		}
		t.conn = c
	}
	err := do(t.conn)
	if err == nil {
		return nil
	}
	t.conn.CloseLasting()
	t.conn = nil
	if t.dial == nil {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return fmt.Errorf("nftables table %s: %w", t.t.Name, err)
}

// dial opens a socket of the namespace netns, 0 for the calling thread's own.
func dial(netns int) (*nftables.Conn, error) {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(netns),
		nftables.WithSockOptions(func(c *mdnl.Conn) error {
			if err := c.SetReadBuffer(socketBuffer); err != nil {
				return err
			}
			return c.SetWriteBuffer(socketBuffer)
		}))
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return c, nil
}

// Present tells whether the table is still there: other programs may flush it.
func (t *table) Present() (is bool, err error) {
	err = t.use(func(c *nftables.Conn) error {
		tables, err := c.ListTablesOfFamily(t.t.Family)
		is = slices.ContainsFunc(tables, func(x *nftables.Table) bool { return x.Name == t.t.Name })
		return err
	})
	return is, err
}

// Delete removes the table if it is there.
func (t *table) Delete() error {
	return t.commit(func(c *nftables.Conn) error {
		c.AddTable(t.t) // deleting what is not there would fail
		c.DelTable(t.t)
		return nil
	})
}

// filled is a set with elements.
type filled struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

// write replaces the whole table in one transaction: there is no moment without rules.
func (t *table) write(sets []filled, chains []base) error {
	return t.commit(func(c *nftables.Conn) error {
		c.AddTable(t.t)
		c.DelTable(t.t)
		c.AddTable(t.t)
		for _, s := range sets {
			if err := c.AddSet(s.set, nil); err != nil {
				return err
			}
		}
		for _, b := range chains {
			t.chain(c, b)
		}
		return send(c.SetAddElements, sets)
	})
}

// add and remove change elements in one small transaction.
func (t *table) add(sets []filled) error {
	return t.commit(func(c *nftables.Conn) error { return send(c.SetAddElements, sets) })
}

func (t *table) remove(sets []filled) error {
	return t.commit(func(c *nftables.Conn) error { return send(c.SetDeleteElements, sets) })
}

// chunk bounds the elements of one netlink message: a nested attribute has a 16-bit length, an element at most 76
// bytes.
const chunk = 256

func send(do func(*nftables.Set, []nftables.SetElement) error, sets []filled) error {
	for _, s := range sets {
		for part := range slices.Chunk(s.elements, chunk) {
			if err := do(s.set, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes the netlink socket and leaves the table.
func (t *table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.conn != nil {
		t.conn.CloseLasting()
		t.conn = nil
	}
}

// base describes a base chain; kind "" is a chain that others jump to.
type base struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority int32
	policy   nftables.ChainPolicy
	rules    [][]expr.Any
}

func (t *table) chain(c *nftables.Conn, b base) {
	ch := &nftables.Chain{Name: b.name, Table: t.t}
	if b.kind != "" {
		ch.Type, ch.Hooknum, ch.Policy = b.kind, b.hook, &b.policy
		ch.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(b.priority))
	}
	c.AddChain(ch)
	for _, r := range b.rules {
		c.AddRule(&nftables.Rule{Table: t.t, Chain: ch, Exprs: r})
	}
}
