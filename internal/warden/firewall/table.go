package firewall

import (
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
	netns int // descriptor of the namespace, owned by the caller; 0 is the warden's own
	t     *nftables.Table

	mu     sync.Mutex
	conn   *nftables.Conn
	closed bool // netns may be another file's number by now
}

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
	if t.closed {
		return fmt.Errorf("nftables table %s: the network was closed", t.t.Name)
	}
	if t.conn == nil {
		c, err := dial(t.netns)
		if err != nil {
			return err
		}
		t.conn = c
	}
	if err := do(t.conn); err != nil {
		t.conn.CloseLasting()
		t.conn = nil
		return fmt.Errorf("nftables table %s: %w", t.t.Name, err)
	}
	return nil
}

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
