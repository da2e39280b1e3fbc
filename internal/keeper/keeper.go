package keeper

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/memfile"
	"github.com/brig-engine/brig/internal/wire"
)

// Config says what to keep running.
type Config struct {
	Root    string // durable state, absolute; who starts an engine has made both
	Run     string // volatile state, absolute
	Socket  string // path of the API socket, absolute; "" if Listener is given, whose path stays at the end
	Libexec string // directory with the other programs
	// Listener is the API socket, if whoever started us listens already (systemd).
	Listener *os.File
	// Ready, if not nil, receives "ready\n" or one line of error when the engine has started or failed to.
	Ready *os.File
}

// keeper is the state of the loop in Run; only that loop touches it.
type keeper struct {
	Config
	binary   *os.File // sealed copy of the warden's program
	held     map[string]int
	warden   int
	conn     *wire.Conn
	lines    chan string // what engines say about themselves: "ready" or an error
	deaths   []time.Time
	messages chan message // of the warden that runs; nil when it has closed its connection
	stopping bool
}

type message struct {
	frame *wire.Frame
	fds   []int
}

// Run keeps a warden running until it ends by itself or SIGTERM ended it.
func Run(cfg Config) error {
	k := &keeper{Config: cfg, held: map[string]int{}, lines: make(chan string, 1)}
	err := k.prepare()
	if err == nil {
		err = k.loop()
	}
	if err != nil {
		k.heard(err.Error())
	}
	return err
}

// prepare takes the engine's directories and the API socket, or says who has them.
func (k *keeper) prepare() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	if err := cmp.Or(k.lock(k.Root), k.lock(k.Run)); err != nil {
		return err
	}
	if k.Listener == nil {
		os.Remove(k.Socket)                 // we hold the lock: nobody listens on it
		defer unix.Umask(unix.Umask(0o177)) // the socket is root's alone from its first moment
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err = cmp.Or(err, unix.Bind(s, &unix.SockaddrUnix{Name: k.Socket}), unix.Listen(s, 4096)); err != nil {
			return fmt.Errorf("listen on %s: %w", k.Socket, err)
		}
		k.Listener = os.NewFile(uintptr(s), "listener")
	}
	began, err := wire.StartTime(os.Getpid())
	if err != nil {
		return err
	}
	pid := fmt.Appendf(nil, "%d %d\n", os.Getpid(), began)
	if err := os.WriteFile(filepath.Join(k.Run, "keeper.pid"), pid, 0o600); err != nil {
		return err
	}
	k.binary, err = memfile.Program(filepath.Join(k.Libexec, "brig-warden"))
	return err
}

// lock takes the lock of one of the engine's directories for the life of this process.
func (k *keeper) lock(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, "lock"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("an engine already runs in %s. Next: brig engine status --run %s", dir, k.Run)
	}
	return nil
}

// loop is the state machine of doc.go.
func (k *keeper) loop() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	if err := k.start(); err != nil {
		return err
	}
	for {
		select {
		case s := <-signals:
			if s != unix.SIGCHLD {
				k.stopping = true
				unix.Kill(k.warden, unix.SIGTERM)
				continue
			}
			if done, err := k.reap(); done || err != nil {
				return err
			}
		case m, ok := <-k.messages:
			if !ok {
				k.messages = nil
				continue
			}
			k.apply(m)
		case line := <-k.lines:
			k.heard(line)
		}
	}
}

// start starts a warden and hands over what is held.
func (k *keeper) start() error {
	conn, end, err := wire.Pair("warden")
	if err != nil {
		return err
	}
	k.conn = conn
	theirs := os.NewFile(uintptr(end), "keeper")
	ours, ready, err := os.Pipe()
	if err != nil {
		return err
	}
	attr := &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, k.Listener, theirs, ready},
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS},
	}
	args := []string{"brig-warden", "--root", k.Root, "--run", k.Run, "--libexec", k.Libexec, "--deaths", strconv.Itoa(len(k.deaths))}
	p, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", k.binary.Fd()), args, attr)
	theirs.Close() // with a copy of it here, the end of the warden would not end the connection
	ready.Close()
	if err != nil {
		return fmt.Errorf("start brig-warden: %w", err)
	}
	k.warden = p.Pid
	p.Release()
	if err := k.handOver(); err != nil { // its death, if it is not dead already, counts as any other
		fmt.Fprintln(os.Stderr, "brig-keeper: hand over:", err)
		unix.Kill(k.warden, unix.SIGKILL)
	}
	k.messages = make(chan message)
	go receive(k.conn, k.messages)
	go readLine(ours, k.lines)
	return nil
}

// handOver gives the new warden what is held. One that does not read it in time has failed.
func (k *keeper) handOver() error {
	k.conn.Raw().SetWriteDeadline(time.Now().Add(deathWindow))
	for key, fd := range k.held {
		if err := k.conn.Send(&wire.Frame{Op: wire.KeepHave, Keys: []string{key}}, []int{fd}); err != nil {
			return err
		}
	}
	return k.conn.Send(&wire.Frame{Op: wire.KeepEnd}, nil)
}

// receive passes messages on until the warden is gone; what it had sent before it died is still read. A message that
// breaks a rule, or whose descriptor this process has no room for, is lost alone: packets keep their borders.
func receive(conn *wire.Conn, out chan<- message) {
	defer close(out)
	defer conn.Close()
	for {
		f, fds, err := conn.Receive()
		var ended *net.OpError
		switch {
		case errors.As(err, &ended) || errors.Is(err, io.EOF):
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, "brig-keeper: a message of the warden is lost:", err)
		default:
			out <- message{f, fds}
		}
	}
}

func (k *keeper) apply(m message) {
	op, keys := m.frame.Op, m.frame.Keys
	hold := op == wire.KeepHold && len(m.fds) == len(keys)
	if !hold && (op != wire.KeepDrop || len(m.fds) != 0) {
		fmt.Fprintf(os.Stderr, "brig-keeper: the warden sent %q with %d keys and %d descriptors\n", op, len(keys), len(m.fds))
		wire.CloseAll(m.fds)
		return
	}
	for i, key := range keys {
		if old, ok := k.held[key]; ok {
			unix.Close(old)
			delete(k.held, key)
		}
		if hold {
			k.held[key] = m.fds[i]
		}
	}
}

// readLine passes the one line that an engine says about itself on. An engine that died before says nothing.
func readLine(r *os.File, out chan<- string) {
	defer r.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); err == nil {
		out <- strings.TrimSpace(line)
	}
}

// heard writes to Ready what the engine says first, and tells systemd whenever it serves.
func (k *keeper) heard(line string) {
	if line == "ready" {
		notify()
	}
	if k.Ready != nil {
		fmt.Fprintln(k.Ready, line)
		k.Ready.Close()
		k.Ready = nil
	}
}
