package network

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/wire"
)

// Network is one record, or one of the two networks that are always there. A network is a name for those who are in it:
// nothing is made for it but a number, which the router's tables and programs compare (internal/router/firewall).
type Network struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	Number     uint32            `json:"number"` // 0: nobody is let to anybody
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"` // which concerns swarms, and is shown
	NoICC      bool              `json:"noICC,omitempty"`      // its members have names for each other, and no way
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`

	Builtin bool `json:"-"`
}

// Membership is a container's place in a network: kept with the container, so that a network knows of nobody who is not
// there any more.
type Membership struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"` // of the network
	Aliases []string `json:"aliases,omitempty"`
	Links   []Link   `json:"links,omitempty"`
}

// Link is a name that this container alone has for another one, as it was asked for, and the id of that one.
type Link struct {
	Target string `json:"target"`
	Alias  string `json:"alias"`
	ID     string `json:"id"`
}

// Store holds the networks, and who is in which.
//
//	a container's record says which networks it is a member of, whether it runs or not
//	Enter, at its start, fails if one of them is gone; from then on none of them can be removed
//	Leave, at its end, lets go of them
type Store struct {
	facts   Facts
	records *record.Store
	bus     *event.Bus

	mu     sync.Mutex
	byID   map[string]Network
	inside map[string]map[string]bool // network → containers that run
	places map[string][]Membership    // container that runs → networks
}

// Open reads the records.
func Open(dir string, facts Facts, bus *event.Bus) (*Store, error) {
	rec, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{facts: facts, records: rec, bus: bus, byID: map[string]Network{}, inside: map[string]map[string]bool{},
		places: map[string][]Membership{}}
	for _, n := range facts.builtin() {
		s.byID[n.ID] = n
	}
	return s, rec.Load(func(id string, b []byte) error {
		var n Network
		if err := json.Unmarshal(b, &n); err != nil || n.ID != id || n.Number == 0 {
			return fmt.Errorf("network: %w: %v", record.ErrDamaged, err)
		}
		s.byID[id] = n
		return nil
	})
}

// CheckName allows [a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}: a network's name is part of names in DNS.
func CheckName(n string) error {
	const first, more = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "_.-"
	if n == "" || len(n) > 128 || strings.Trim(n, first+more) != "" || strings.Contains(more, n[:1]) {
		return fmt.Errorf("a network's name has 1 to 128 letters, digits, _ . - and begins with a letter or digit: %w",
			errdefs.ErrInvalidArgument)
	}
	return nil
}

// Create makes a network of what the policy has passed, and gives it an id and a number.
func (s *Store) Create(n Network) (Network, error) {
	if err := CheckName(n.Name); err != nil {
		return Network{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.byID {
		if other.Name == n.Name && other.Builtin || n.Name == "host" || n.Name == "default" {
			return Network{}, fmt.Errorf("operation is not permitted on predefined %s network: %w", n.Name, errdefs.ErrPermissionDenied)
		}
		if other.Name == n.Name {
			return Network{}, fmt.Errorf("network with name %s already exists: %w", n.Name, errdefs.ErrConflict)
		}
	}
	var b [36]byte
	rand.Read(b[:])
	n.ID, n.Number, n.Created = hex.EncodeToString(b[:32]), s.number(binary.NativeEndian.Uint32(b[32:])), time.Now().UTC()
	if err := s.records.Write(n.ID, n, true); err != nil {
		return Network{}, err
	}
	s.byID[n.ID] = n
	s.publish(events.ActionCreate, n)
	return n, nil
}

// number gives one that no network has, from somewhere on: what had one before is not likely to have it again.
func (s *Store) number(from uint32) uint32 {
	taken := map[uint32]bool{0: true}
	for _, n := range s.byID {
		taken[n.Number] = true
	}
	for taken[from] {
		from++
	}
	return from
}

func (s *Store) publish(a events.Action, n Network, extra ...string) {
	at := map[string]string{"name": n.Name, "type": Driver(n.Name)}
	for i := 0; i+1 < len(extra); i += 2 {
		at[extra[i]] = extra[i+1]
	}
	s.bus.Publish(events.NetworkEventType, a, n.ID, at)
}

// Find gives a network by its name, its id, or the only one whose id begins so.
func (s *Store) Find(ref string) (Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(ref)
}

func (s *Store) find(ref string) (Network, error) {
	if n, ok := s.byID[ref]; ok { // before one that is called like it
		return n, nil
	}
	var hits []Network
	for id, n := range s.byID {
		if n.Name == ref {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			hits = append(hits, n)
		}
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) > 1:
		return Network{}, fmt.Errorf("network %.64s is ambiguous (%d matches found on ID prefix): %w", ref, len(hits),
			errdefs.ErrInvalidArgument)
	}
	return Network{}, fmt.Errorf("network %.128s not found: %w", ref, errdefs.ErrNotFound)
}

// List gives all networks, those that are always there first, the others by age.
func (s *Store) List() []Network {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.byID), func(a, b Network) int {
		switch {
		case a.Builtin && b.Builtin:
			return strings.Compare(a.Name, b.Name)
		case a.Builtin:
			return -1
		case b.Builtin:
			return 1
		}
		return a.Created.Compare(b.Created)
	})
}

// Remove forgets a network in which nobody runs.
func (s *Store) Remove(ref string) (Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(ref)
}

func (s *Store) remove(ref string) (Network, error) {
	n, err := s.find(ref)
	switch {
	case err != nil:
		return n, err
	case n.Builtin:
		return n, fmt.Errorf("%s is a pre-defined network and cannot be removed: %w", n.Name, errdefs.ErrPermissionDenied)
	case len(s.inside[n.ID]) > 0:
		ids := slices.Sorted(maps.Keys(s.inside[n.ID]))
		for i := range ids {
			ids[i] = ids[i][:12]
		}
		return n, fmt.Errorf("network %s has active endpoints, of the containers %s: %w", n.Name, strings.Join(ids, ", "),
			errdefs.ErrPermissionDenied)
	}
	if err := s.records.Remove(n.ID, true); err != nil {
		return n, err
	}
	delete(s.byID, n.ID)
	delete(s.inside, n.ID)
	s.publish(events.ActionDestroy, n)
	return n, nil
}

// Enter notes that a container runs in its networks, and says what that means for the router. A network that is gone is
// an error, and then the container is in none.
func (s *Store) Enter(container string, list []Membership) (m wire.Membership, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.missing(list); err != nil {
		return m, err
	}
	m.Confined = true
	for _, in := range list {
		n := s.byID[in.ID]
		if n.Number != 0 && !n.NoICC {
			m.Networks = append(m.Networks, n.Number)
		}
		m.Confined = m.Confined && n.Internal
	}
	s.leave(container)
	s.places[container] = list
	for _, in := range list {
		if s.inside[in.ID] == nil {
			s.inside[in.ID] = map[string]bool{}
		}
		s.inside[in.ID][container] = true
	}
	return m, nil
}

// Confined tells whether nothing outside is reached from these networks. One that is gone is no way.
func (s *Store) Confined(list []Membership) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(list, func(in Membership) bool { n, ok := s.byID[in.ID]; return ok && !n.Internal })
}

// Default is the membership of a container whose record says none: of the network that its mode names.
func (s *Store) Default(mode string) []Membership {
	n, err := s.Find(mode)
	if err != nil {
		return nil
	}
	return []Membership{{ID: n.ID, Name: n.Name}}
}

// Leave is the opposite of Enter.
func (s *Store) Leave(container string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(container)
}

func (s *Store) leave(container string) {
	for _, in := range s.places[container] {
		if delete(s.inside[in.ID], container); len(s.inside[in.ID]) == 0 {
			delete(s.inside, in.ID)
		}
	}
	delete(s.places, container)
}

// Tell publishes that a container has come into networks, or gone.
func (s *Store) Tell(a events.Action, container string, list ...Membership) {
	for _, in := range list {
		s.publish(a, Network{ID: in.ID, Name: in.Name}, "container", container)
	}
}

// Prune removes the networks that are unused. It goes on after an error of one. Whoever takes a network for a container's
// looks for it once more afterwards: unused is asked at the moment of the removal.
func (s *Store) Prune(unused func(Network) bool) (names []string, err error) {
	for _, n := range s.List() {
		s.mu.Lock()
		if _, there := s.byID[n.ID]; there && !n.Builtin && unused(n) {
			if _, rerr := s.remove(n.ID); rerr == nil {
				names = append(names, n.Name)
			} else if !errdefs.IsPermissionDenied(rerr) { // somebody was faster
				err = rerr
			}
		}
		s.mu.Unlock()
	}
	return names, err
}

// Missing is an error if one of these networks is gone.
func (s *Store) Missing(list []Membership) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing(list)
}

func (s *Store) missing(list []Membership) error {
	for _, in := range list {
		if _, ok := s.byID[in.ID]; !ok {
			return fmt.Errorf("network %s (%.12s) not found: %w", in.Name, in.ID, errdefs.ErrNotFound)
		}
	}
	return nil
}

// Present leaves out the networks that are gone.
func (s *Store) Present(list []Membership) []Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(list), func(in Membership) bool { return s.missing([]Membership{in}) != nil })
}
