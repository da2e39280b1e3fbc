package systemd

import (
	"bufio"
	"encoding/binary"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// fake is a manager on a socket of its own, which answers as answer says and notes what it was asked.
type fake struct {
	t      *testing.T
	socket string
	answer func(f *fake, m *dbus.Message)

	conn   net.Conn
	lock   sync.Mutex
	serial uint32
	asked  []string
	bodies map[string][]any
}

func newFake(t *testing.T, answer func(f *fake, m *dbus.Message)) *fake {
	t.Helper()
	f := &fake{t: t, socket: filepath.Join(t.TempDir(), "private"), answer: answer, bodies: map[string][]any{}}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

// serve speaks the server's half of the authentication, and then messages.
func (f *fake) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	if zero, err := in.ReadByte(); err != nil || zero != 0 {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch words := strings.Fields(line); {
		case len(words) == 1 && words[0] == "AUTH":
			c.Write([]byte("REJECTED EXTERNAL\r\n"))
		case words[0] == "AUTH":
			c.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
		case words[0] == "NEGOTIATE_UNIX_FD":
			c.Write([]byte("ERROR\r\n"))
		case words[0] == "BEGIN":
			f.conn = c
			for {
				m, err := dbus.DecodeMessage(in)
				if err != nil {
					return
				}
				name := m.Headers[dbus.FieldMember].Value().(string)
				f.lock.Lock()
				f.asked, f.bodies[name] = append(f.asked, name), m.Body
				f.lock.Unlock()
				f.answer(f, m)
			}
		}
	}
}

func (f *fake) send(m *dbus.Message, body ...any) {
	f.serial++
	if m.Body = body; len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	// The library sets serials of its own messages only: it is bytes 8 to 11.
	var text strings.Builder
	if err := m.EncodeTo(&text, binary.LittleEndian); err != nil {
		f.t.Error(err)
	}
	raw := []byte(text.String())
	binary.LittleEndian.PutUint32(raw[8:], f.serial)
	f.conn.Write(raw)
}

func (f *fake) reply(to *dbus.Message, body ...any) {
	f.send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(to.Serial())}}, body...)
}

func (f *fake) refuse(to *dbus.Message, name, text string) {
	f.send(&dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()),
		dbus.FieldErrorName: dbus.MakeVariant(name)}}, text)
}

func (f *fake) removed(job, unit, result string) {
	f.send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/systemd1")),
		dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.systemd1.Manager"), dbus.FieldMember: dbus.MakeVariant("JobRemoved"),
	}}, uint32(1), dbus.ObjectPath(job), unit, result)
}

// jobs answers every call with a job that ends as result says, with the news of others around that.
func jobs(result string) func(f *fake, m *dbus.Message) {
	return func(f *fake, m *dbus.Message) {
		switch m.Headers[dbus.FieldMember].Value() {
		case "StartTransientUnit", "StopUnit":
			f.removed("/job/6", "other.service", "failed")
			f.reply(m, dbus.ObjectPath("/job/7"))
			f.removed("/job/8", "x.scope", "failed")
			f.removed("/job/7", "x.scope", result)
		default:
			f.reply(m)
		}
	}
}

func connect(t *testing.T, f *fake, patience time.Duration) *Manager {
	t.Helper()
	m, err := Connect(f.socket, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func (f *fake) wants(names ...string) {
	f.t.Helper()
	f.lock.Lock()
	defer f.lock.Unlock()
	if !reflect.DeepEqual(f.asked, names) {
		f.t.Errorf("asked %v, want %v", f.asked, names)
	}
}

func TestScopeLives(t *testing.T) {
	f := newFake(t, jobs("done"))
	m := connect(t, f, 10*time.Second)
	if err := m.Start("x.scope", "a.slice", 42, map[string]any{"DevicePolicy": "strict"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Set("x.scope", map[string]any{"TasksMax": uint64(7), "AllowedCPUs": []byte{3}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop("x.scope"); err != nil {
		t.Fatal(err)
	}
	f.wants("StartTransientUnit", "SetUnitProperties", "Ping", "StopUnit")
	properties := func(list any) map[string]any {
		all := map[string]any{}
		for _, p := range list.([][]any) {
			all[p[0].(string)] = p[1].(dbus.Variant).Value()
		}
		return all
	}
	start := f.bodies["StartTransientUnit"]
	want := map[string]any{"Description": "container of brig-oci", "DevicePolicy": "strict", "Slice": "a.slice", "PIDs": []uint32{42}, "DefaultDependencies": false, "Delegate": true,
		"CollectMode": "inactive-or-failed", "CPUAccounting": true, "MemoryAccounting": true, "TasksAccounting": true, "IOAccounting": true}
	if got := properties(start[2]); start[0] != "x.scope" || start[1] != "fail" || !reflect.DeepEqual(got, want) {
		t.Errorf("started %v %v with %v, want %v", start[0], start[1], got, want)
	}
	set := f.bodies["SetUnitProperties"]
	want = map[string]any{"TasksMax": uint64(7), "AllowedCPUs": []byte{3}}
	if got := properties(set[2]); set[0] != "x.scope" || set[1] != true || !reflect.DeepEqual(got, want) {
		t.Errorf("set %v with %v, want %v", set[:2], got, want)
	}
	if stop := f.bodies["StopUnit"]; !reflect.DeepEqual(stop, []any{"x.scope", "replace"}) {
		t.Errorf("stopped %v", stop)
	}
}

// A job that fails has made nothing that stays: what it may have made is stopped.
func TestJobFails(t *testing.T) {
	f := newFake(t, jobs("failed"))
	err := connect(t, f, 10*time.Second).Start("x.scope", "a.slice", 42, nil)
	if err == nil || !strings.Contains(err.Error(), `StartTransientUnit x.scope: the job's result is "failed"`) {
		t.Error(err)
	}
	f.wants("StartTransientUnit", "StopUnit")
}

// A unit that is there is somebody else's, and is not touched.
func TestUnitExists(t *testing.T) {
	f := newFake(t, func(f *fake, m *dbus.Message) {
		f.refuse(m, "org.freedesktop.systemd1.UnitExists", "Unit x.scope already exists.")
	})
	err := connect(t, f, 10*time.Second).Start("x.scope", "a.slice", 42, nil)
	if err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Error(err)
	}
	f.wants("StartTransientUnit")
}

func TestStopOfWhatIsGone(t *testing.T) {
	f := newFake(t, func(f *fake, m *dbus.Message) {
		f.refuse(m, "org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")
	})
	m := connect(t, f, 10*time.Second)
	if err := m.Stop("x.scope"); err != nil {
		t.Error(err)
	}
	if err := m.Set("x.scope", nil); err == nil || !strings.Contains(err.Error(), "not loaded") {
		t.Error(err)
	}
}

// Who says nothing is waited for as long as patience lasts, at every step.
func TestSilence(t *testing.T) {
	const patience = 200 * time.Millisecond
	ends := func(name string, do func() error) {
		t.Helper()
		begin := time.Now()
		err := do()
		if err == nil || !strings.Contains(err.Error(), "deadline exceeded") || time.Since(begin) > 20*patience {
			t.Errorf("%s: %v after %s", name, err, time.Since(begin))
		}
	}
	dumb, err := net.Listen("unix", filepath.Join(t.TempDir(), "private"))
	if err != nil {
		t.Fatal(err)
	}
	defer dumb.Close()
	ends("nobody accepts", func() error { _, err := Connect(dumb.Addr().String(), patience); return err })
	f := newFake(t, func(*fake, *dbus.Message) {})
	ends("no answer", func() error { return connect(t, f, patience).Start("x.scope", "a.slice", 42, nil) })
	f = newFake(t, func(f *fake, m *dbus.Message) { f.reply(m, dbus.ObjectPath("/job/1")) })
	ends("no end of the job", func() error { return connect(t, f, patience).Stop("x.scope") })
	f = newFake(t, func(f *fake, m *dbus.Message) {
		if m.Headers[dbus.FieldMember].Value() == "SetUnitProperties" {
			f.reply(m)
		}
	})
	ends("no echo", func() error { return connect(t, f, patience).Set("x.scope", nil) })
}

func TestNoSystemd(t *testing.T) {
	_, err := Connect(filepath.Join(t.TempDir(), "none"), time.Second)
	if err == nil || !strings.Contains(err.Error(), "no systemd answers at") || !strings.Contains(err.Error(), "cgroupfs") {
		t.Error(err)
	}
	f := newFake(t, func(f *fake, m *dbus.Message) { f.conn.Close() })
	if err := connect(t, f, 10*time.Second).Stop("x.scope"); err == nil {
		t.Error("a connection ends, and nobody says so")
	}
}
