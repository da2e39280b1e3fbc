// warden stands in for brig-warden in the keeper's tests: it tells the test what it was given, does what the test says
// and answers each order with a line.
//
//	warden → test   {"pid":…,"have":{KEY:INODE,…}}         after the hand-over
//	test → warden   hold KEY FILE [N] · drop KEY · … (see orders), or nothing any more: the warden ends
//	warden → test   ok, the pid of a child, or an error
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "orphan" {
		orphan(os.Args[2])
	}
	flag.String("root", "", "")
	flag.String("libexec", "", "")
	flag.Int("deaths", 0, "")
	run := flag.String("run", "", "")
	flag.Parse()
	if b, err := os.ReadFile(filepath.Join(*run, "plan")); err == nil {
		plan(filepath.Join(*run, "plan"), string(b))
	}
	w := &warden{fifo: filepath.Join(*run, "fifo")}
	if err := w.run(filepath.Join(*run, "test.sock")); err != nil {
		fmt.Fprintln(os.Stderr, "stub warden:", err)
		os.Exit(9)
	}
}

// plan ends this life before it read anything, if the file says so: "die" always, "once" the first time.
func plan(path, what string) {
	switch what {
	case "die":
		os.Exit(1)
	case "once":
		os.Remove(path)
		time.Sleep(300 * time.Millisecond) // until the keeper has filled the socket
		os.Exit(1)
	}
}

// orphan waits for one byte and ends with it as its status, or by SIGKILL at a zero.
func orphan(fifo string) {
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		os.Exit(98)
	}
	f.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := []byte{99}
	f.Read(b)
	if b[0] == 0 {
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	os.Exit(int(b[0]))
}

type warden struct {
	fifo string
	keep *wire.Conn
}

func (w *warden) run(control string) (err error) {
	if w.keep, err = wire.FileConn(4, "keeper"); err != nil {
		return err
	}
	have := map[string]uint64{}
	for {
		k, fds, err := w.keep.Receive()
		if err != nil || k.Op == wire.KeepEnd {
			if err != nil {
				return err
			}
			break
		}
		var st unix.Stat_t
		if len(fds) != 1 || len(k.Keys) != 1 || unix.Fstat(fds[0], &st) != nil {
			return fmt.Errorf("%s came with %v", k.Keys, fds)
		}
		have[k.Keys[0]] = st.Ino
		unix.Close(fds[0])
	}
	c, err := net.Dial("unix", control)
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() {
		<-term
		fmt.Fprintln(c, "term")
		os.Exit(5)
	}()
	if err := json.NewEncoder(c).Encode(map[string]any{"pid": os.Getpid(), "have": have}); err != nil {
		return err
	}
	in := bufio.NewScanner(c)
	for in.Scan() {
		answer := "ok"
		if err := w.obey(strings.Fields(in.Text()), &answer); err != nil {
			answer = err.Error()
		}
		fmt.Fprintln(c, answer)
	}
	return errors.New("the test is over")
}

// obey carries out one order.
func (w *warden) obey(order []string, answer *string) error {
	switch order[0] {
	case "hold":
		return w.hold(order[1], order[2], order[3])
	case "drop":
		return w.keep.Send(&wire.Frame{Op: wire.KeepDrop, Keys: order[1:]}, nil)
	case "unknown": // a message that cannot be decoded, with a descriptor
		_, _, err := w.keep.Raw().WriteMsgUnix([]byte(`{"id":1,"op":"hold","keys":["x"],"more":1}`), unix.UnixRights(0), nil)
		return err
	case "surplus": // a message whose control data does not fit
		_, _, err := w.keep.Raw().WriteMsgUnix([]byte(`{"id":1,"op":"hold","keys":["x"]}`),
			unix.UnixRights(make([]int, 200)...), nil)
		return err
	case "twice": // a hold of one key with two descriptors is none
		return w.keep.Send(&wire.Frame{Op: wire.KeepHold, Keys: order[1:2]}, []int{0, 1})
	case "both": // one message for several keys
		return w.keep.Send(&wire.Frame{Op: wire.KeepHold, Keys: order[1:3]}, []int{0, 1})
	case "say":
		_, err := fmt.Fprintln(os.NewFile(5, "ready"), strings.Join(order[1:], " "))
		return err
	case "child":
		p, err := os.StartProcess("/proc/self/exe", []string{"orphan", "orphan", w.fifo}, &os.ProcAttr{})
		if err == nil {
			*answer = strconv.Itoa(p.Pid)
		}
		return err
	case "exit":
		code, _ := strconv.Atoi(order[1])
		os.Exit(code)
	}
	return fmt.Errorf("unknown order %q", order)
}

// hold gives the keeper the file under key, or for a count over 1 under key0, key1 and so on.
func (w *warden) hold(key, path, count string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := strconv.Atoi(count)
	if n == 1 {
		return w.keep.Send(&wire.Frame{Op: wire.KeepHold, Keys: []string{key}}, []int{int(f.Fd())})
	}
	for i := 0; i < n && err == nil; i++ {
		err = w.keep.Send(&wire.Frame{Op: wire.KeepHold, Keys: []string{key + strconv.Itoa(i)}}, []int{int(f.Fd())})
	}
	return err
}
