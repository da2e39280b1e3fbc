// Package systemd asks the machine's systemd for the scopes that containers are in, and tells it of their bounds.
//
// Zone: brig-oci (root). Input: names that package cgroup has checked; answers of process 1, on a socket that is root's.
// Output: units. Every wait has an end.
// Spec: org.freedesktop.systemd1(5). Answers: A2 (systemd takes back what it was not told of).
package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// Socket is systemd's own, for root: no bus has to run, and there is nothing to subscribe to.
const Socket = "/run/systemd/private"

const manager = "org.freedesktop.systemd1.Manager."

// Patience is how long systemd may take for all that is asked on one connection.
const Patience = 30 * time.Second

// Manager is a connection to systemd.
type Manager struct {
	context context.Context
	cancel  context.CancelFunc
	object  dbus.BusObject
	signals chan *dbus.Signal
}

// Connect connects to systemd until Close, or until its patience ends.
func Connect(socket string, patience time.Duration) (*Manager, error) {
	m := &Manager{signals: make(chan *dbus.Signal, 64)}
	m.context, m.cancel = context.WithTimeout(context.Background(), patience)
	conn, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(m.context))
	if err == nil {
		conn.Signal(m.signals)
		m.object = conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
		err = conn.Auth(nil)
	}
	if err != nil {
		err = fmt.Errorf("--systemd-cgroup: no systemd answers at %s: %w. Next: set the engine to cgroupfs (Docker: "+
			"native.cgroupdriver=cgroupfs, Podman: cgroup_manager=cgroupfs)", socket, cmp.Or(m.context.Err(), err))
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close ends the connection.
func (m *Manager) Close() { m.cancel() }

// property is a(sv) of D-Bus.
type property struct {
	Name  string
	Value dbus.Variant
}

func properties(of map[string]any) (list []property) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, property{name, dbus.MakeVariant(of[name])})
	}
	return list
}

// Start makes a scope of a process in a slice, with more properties. After an error there is none.
func (m *Manager) Start(unit, slice string, pid int, more map[string]any) error {
	of := map[string]any{
		"Description": "container of brig-oci", "Slice": slice, "PIDs": []uint32{uint32(pid)}, "DefaultDependencies": false,
		// The groups below are the container's and the values in them ours; what has failed is not kept.
		"Delegate": true, "CollectMode": "inactive-or-failed",
		"CPUAccounting": true, "MemoryAccounting": true, "TasksAccounting": true, "IOAccounting": true,
	}
	maps.Copy(of, more)
	err := m.job("StartTransientUnit", unit, "fail", properties(of), []struct {
		Name       string
		Properties []property
	}{})
	if err != nil && !refused(err, "") {
		_ = m.Stop(unit) // it may have been made all the same
	}
	return err
}

// Set changes properties of a unit until the machine ends.
func (m *Manager) Set(unit string, of map[string]any) error {
	err := m.call("SetUnitProperties", unit, true, properties(of)).Err
	if err == nil { // it acts upon what it was told before it answers the next question
		err = m.object.CallWithContext(m.context, "org.freedesktop.DBus.Peer.Ping", 0).Err
	}
	return m.explain("SetUnitProperties", unit, err)
}

// Stop ends a unit, which may be gone already.
func (m *Manager) Stop(unit string) error {
	err := m.job("StopUnit", unit, "replace")
	if refused(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

func (m *Manager) call(method string, args ...any) *dbus.Call {
	return m.object.CallWithContext(m.context, manager+method, 0, args...)
}

// job calls what makes a job, and waits until that is done.
func (m *Manager) job(method, unit string, args ...any) error {
	var job dbus.ObjectPath
	err := m.call(method, append([]any{unit}, args...)...).Store(&job)
	for err == nil {
		s, open := <-m.signals
		switch {
		case !open:
			err = io.ErrUnexpectedEOF
		case s.Name == manager+"JobRemoved" && len(s.Body) == 4 && s.Body[1] == job && s.Body[3] == "done":
			return nil
		case s.Name == manager+"JobRemoved" && len(s.Body) == 4 && s.Body[1] == job:
			err = fmt.Errorf("the job's result is %q", s.Body[3])
		}
	}
	return m.explain(method, unit, err)
}

func (m *Manager) explain(method, unit string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("systemd: %s %s: %w", method, unit, cmp.Or(m.context.Err(), err))
}

// refused tells whether systemd has answered with an error, of a name if one is given.
func refused(err error, name string) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && (name == "" || answer.Name == name)
}
