package container

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// The warden asks the kernel who asks for a host path, a privileged port or a relaxation, and brigd has to show it the
// connection of the caller. A restart has no caller. For containers that may be restarted and need one, brigd keeps a
// connection of the user who started them last, one for each user; the kernel remembers who was at its other end. A new
// brigd has none until that user asks for anything: running containers do not mind, restarts wait for it.

// errNoConsent is the error of a start by itself of a container whose user was not heard of yet.
var errNoConsent = errors.New("restarting it waits for a command of the user who started it: it has a path or a port of " +
	"the host, or less confinement than others, and the engine cannot ask for these by itself. Next: brig ps")

type consents struct {
	wanted atomic.Bool // somebody's would be kept

	mu      sync.Mutex
	of      map[uint32]int // user → connection
	waiting map[*Container]bool
}

// WantsCaller tells whether Admit has a use for a caller's connection.
func (e *Engine) WantsCaller() bool { return e.consents.wanted.Load() }

// Admit keeps a copy of a caller's connection, and goes on with the restarts that waited for it.
func (e *Engine) Admit(caller int) {
	uid, err := peer(caller)
	if err != nil {
		return // no unix socket: nobody's consent
	}
	s := &e.consents
	s.mu.Lock()
	if _, there := s.of[uid]; !there {
		fd, err := unix.FcntlInt(uintptr(caller), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			s.mu.Unlock()
			return
		}
		if s.of == nil {
			s.of = map[uint32]int{}
		}
		s.of[uid] = fd
	}
	var ready []*Container
	for c := range s.waiting {
		if c.owner() == uid {
			delete(s.waiting, c)
			ready = append(ready, c)
		}
	}
	s.mu.Unlock()
	e.wantCallers()
	for _, c := range ready {
		c.arm()
	}
}

func peer(caller int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(caller, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, fmt.Errorf("who asks: %w", err)
	}
	return cred.Uid, nil
}

// CallerOf asks the kernel who is at the other end of a connection; nil: it is not a unix socket. brigd's word for the warden,
// which asks again.
func CallerOf(conn int) (*rules.Caller, error) {
	p, err := cred.PeerOf(conn)
	if errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	return (*rules.Caller)(&p), err
}

func (c *Container) owner() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Owner
}

// consent notes who starts a container, where the engine has to remember it.
func (e *Engine) consent(c *Container, caller int) error {
	if !c.rec.Caller || caller < 0 {
		return nil
	}
	uid, err := peer(caller)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rec.Owner = uid
	keep := c.rec.mayRestart()
	c.mu.Unlock()
	if keep {
		e.Admit(caller)
	}
	return nil
}

// consentFor gives the connection to show for a start by itself; it stays the engine's.
func (e *Engine) consentFor(c *Container) (int, error) {
	owner := c.owner()
	e.consents.mu.Lock()
	defer e.consents.mu.Unlock()
	if fd, there := e.consents.of[owner]; there {
		return fd, nil
	}
	return -1, errNoConsent
}

// awaitConsent leaves a restart to Admit.
func (c *Container) awaitConsent() {
	c.mu.Lock()
	c.rec.Error = errNoConsent.Error()
	c.rec.Due = time.Now().UTC()
	c.mu.Unlock()
	s, owner := &c.e.consents, c.owner()
	s.mu.Lock()
	_, came := s.of[owner] // just now
	if s.waiting == nil {
		s.waiting = map[*Container]bool{}
	}
	if !came {
		s.waiting[c] = true
	}
	s.mu.Unlock()
	if came {
		c.arm()
		return
	}
	c.e.wantCallers()
}

// wantCallers looks for a container that may be restarted and whose user was not heard of yet.
func (e *Engine) wantCallers() {
	e.mu.RLock()
	defer e.mu.RUnlock()
	e.consents.mu.Lock()
	defer e.consents.mu.Unlock()
	wanted := false
	for _, c := range e.byID {
		c.mu.Lock()
		_, there := e.consents.of[c.rec.Owner]
		wanted = wanted || c.rec.Caller && c.rec.mayRestart() && !there
		c.mu.Unlock()
	}
	e.consents.wanted.Store(wanted)
}

// closeConsents is for the end.
func (e *Engine) closeConsents() {
	e.consents.mu.Lock()
	defer e.consents.mu.Unlock()
	for _, fd := range e.consents.of {
		unix.Close(fd)
	}
	e.consents.of = nil
}
