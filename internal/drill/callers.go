package drill

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Some attackers do not sit in a container but at the engine's own door: a program that may use the API and is hostile, or
// broken. A second caller, which is a process of its own, asks meanwhile; the engine's processes are watched from outside.

const (
	// starvedCaller is what an answer to the second caller may take, if three times as long as undisturbed is less.
	starvedCaller = time.Second
	// mostGrowth is how much more memory an engine may have while it is flooded.
	mostGrowth = 128 << 20
	// mostLeft is how many descriptors it may have more when the attacker has gone.
	mostLeft = 40
	askFor   = 2 * time.Second
)

// entrance is an engine's API as the drill sees it from outside.
type entrance struct {
	r         *run
	socket    string
	processes []int
}

// atEntrance finds who answers the API.
func (r *run) atEntrance() (*entrance, error) {
	d := &entrance{r: r, socket: r.engine.API()}
	var err error
	if d.processes, err = holders(d.socket, r.network); err == nil && len(d.processes) == 0 {
		err = errors.New("no process of this machine has it open")
	}
	if err != nil {
		return nil, fmt.Errorf("find who serves %s: %w", d.socket, err)
	}
	return d, nil
}

// holders are the processes that have the listening socket of a path open. It is listed in the network namespace that it
// was made in, which is ours or the engine's ("/proc/123/ns/net").
func holders(socket, network string) (pids []int, err error) {
	targets := map[string]bool{}
	for _, process := range []string{"/proc/thread-self", filepath.Dir(filepath.Dir(network))} {
		list, err := os.ReadFile(process + "/net/unix")
		if err != nil && network != "" {
			return nil, err
		}
		for line := range strings.Lines(string(list)) {
			// Num RefCount Protocol Flags Type St Inode Path; 00010000 are those that listen.
			if f := strings.Fields(line); len(f) == 8 && f[3] == "00010000" && f[7] == socket {
				targets["socket:["+f[6]+"]"] = true
			}
		}
	}
	entries, err := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, name := range entries {
		if to, err := os.Readlink(name); err != nil || !targets[to] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		if len(pids) == 0 || pids[len(pids)-1] != pid {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// use is what the engine's processes have of the machine: bytes of memory of their own, and descriptors.
func (d *entrance) use() (memory int64, descriptors int) {
	for _, pid := range d.processes {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // one that has ended has nothing
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "RssAnon:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				memory += n << 10
			}
		}
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		descriptors += len(fds)
	}
	return memory, descriptors
}

// watch tells the most memory that the engine had until the returned function is called.
func (d *entrance) watch() (most func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			n, _ := d.use()
			most = max(most, n)
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// second is how long the slowest answer took that a second caller got in a while; one that got none has waited too long.
func (d *entrance) second(length time.Duration) (worst time.Duration, err error) {
	out, err := exec.CommandContext(d.r.ctx, d.r.options.Program, "ask", d.socket,
		strconv.FormatInt(length.Milliseconds(), 10)).Output()
	if err != nil {
		return 0, fmt.Errorf("the second caller: %w", err)
	}
	text, failure, _ := strings.Cut(string(bytes.TrimSpace(out)), " ")
	us, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the second caller says %.80q", out)
	}
	if failure != "" {
		return askDeadline, nil
	}
	return time.Duration(us) * time.Microsecond, nil
}

// attacked measures the second caller and the engine before, while and after an attack, which begin starts and which ends
// with the function that it returns. whole, if not nil, looks for more while it goes on.
func (d *entrance) attacked(begin func() (end func()), whole func() error) Verdict {
	calm, err := d.second(400 * time.Millisecond)
	if err != nil {
		return couldNot("%v", err)
	}
	if calm >= askDeadline {
		return couldNot("the engine does not answer even undisturbed")
	}
	memory, before := d.use()
	most := d.watch()
	end := begin()
	busy, err := d.second(askFor)
	if err == nil && whole != nil {
		err = whole()
	}
	grown := most() - memory
	end()
	if err != nil {
		return couldNot("%v", err)
	}
	left := 0
	for wait := time.Now().Add(5 * time.Second); time.Now().Before(wait); time.Sleep(50 * time.Millisecond) {
		_, now := d.use()
		if left = now - before; left <= mostLeft {
			break
		}
	}
	bound := d.r.bound(calm, starvedCaller)
	v := Verdict{Verdict: Blocked, Layer: "bounds of the engine"}
	v.Detail = fmt.Sprintf("slowest answer to another caller %s → %s, bound %s; the engine's memory +%d MiB, bound %d",
		milli(calm), milli(busy), milli(bound), grown>>20, mostGrowth>>20)
	if left > mostLeft {
		v.Detail += fmt.Sprintf("; %d descriptors stay open", left)
	}
	if busy > bound || grown > mostGrowth || left > mostLeft {
		v.Verdict, v.Layer = Exposed, ""
	}
	return v
}

// swarm is connections of one attacker.
type swarm struct {
	socket string
	stop   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
}

func (d *entrance) swarm() *swarm { return &swarm{socket: d.socket, stop: make(chan struct{})} }

// say opens a connection and writes a text, nothing else; the answer is never read. An engine that does not let in is one
// that has a bound.
func (s *swarm) say(text string) {
	c, err := net.DialTimeout("unix", s.socket, time.Second)
	if err != nil {
		return
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Write([]byte(text)) // refused, maybe
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
}

// repeat sends a request again and again, and throws the answers away.
func (s *swarm) repeat(text string) {
	s.wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			select {
			case <-s.stop:
				return
			default:
			}
			c, err := net.DialTimeout("unix", s.socket, time.Second)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			c.SetDeadline(time.Now().Add(askDeadline))
			if _, err = c.Write([]byte(text)); err == nil {
				for err == nil {
					_, err = c.Read(buf)
				}
			}
			c.Close()
		}
	})
}

func (s *swarm) end() {
	close(s.stop)
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func request(method, path, body string) string {
	text := method + " " + path + " HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

// upgrade is a request for a stream in both directions.
func upgrade(path string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
}

// tryAPIFlood: one caller has hundreds of requests under way, of every kind that costs an engine something.
func tryAPIFlood(r *run) Verdict {
	d, err := r.atEntrance()
	if err != nil {
		return couldNot("%v", err)
	}
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	here := "/containers/" + info.ID
	long := request("POST", here+"/exec", `{"AttachStdout":true,"Cmd":["/bin/true","`+strings.Repeat("x", 512<<10)+`"]}`)
	v := d.attacked(func() func() {
		s := d.swarm()
		for range 150 {
			s.say("GET /containers/json HTTP/1.1\r\nHost: engine\r\nX-Slow: ") // and never the rest
			s.say(request("GET", "/events", ""))
		}
		for range 50 {
			s.say(upgrade(here + "/attach?stream=1&stdin=1&stdout=1"))
			s.repeat(request("GET", "/containers/json?all=1", ""))
			s.repeat(request("GET", here+"/json", ""))
		}
		for range 10 {
			s.repeat(long)
		}
		return s.end
	}, nil)
	v.Detail = "460 connections and requests at a time; " + v.Detail
	return v
}

// tryDeafClient: a container writes as fast as it can, and clients ask for all of it, and for events and statistics, and
// never read. Somebody who reads another container's output gets it; the writer goes on when they have gone.
func tryDeafClient(r *run) Verdict {
	d, err := r.atEntrance()
	if err != nil {
		return couldNot("%v", err)
	}
	box, err := r.start(r.pour(deafBytes, "1")) // when they are there
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	info, err := box.Info(r.ctx)
	if err != nil {
		return couldNot("%v", err)
	}
	here := "/containers/" + info.ID
	v := d.attacked(func() func() {
		s := d.swarm()
		for range 8 {
			s.say(upgrade(here + "/attach?stream=1&stdout=1"))
			s.say(request("GET", here+"/logs?follow=1&stdout=1", ""))
			s.say(request("GET", here+"/stats", ""))
			s.say(request("GET", "/events", ""))
		}
		return s.end
	}, r.witness)
	if v.Verdict != Blocked {
		return v
	}
	v.Detail = "32 clients that never read; " + v.Detail
	if status, err := box.Wait(r.ctx); err != nil || status != 0 {
		return Verdict{Verdict: Exposed, Detail: v.Detail + fmt.Sprintf("; the container does not go on: status %d, %v", status, err)}
	}
	return v
}

const deafBytes = 192 << 20

// witness starts a container that prints something: the log of somebody else, which must be kept and shown.
func (r *run) witness() error {
	box, err := r.start(Spec{Args: []string{"/bin/echo", "a line of somebody else"}})
	if err != nil {
		return err
	}
	defer r.remove(box)
	if _, err := box.Wait(r.ctx); err != nil {
		return err
	}
	out, err := box.Output(r.ctx)
	if err == nil && !bytes.Contains(out, []byte("somebody else")) {
		err = fmt.Errorf("another container's log has %d bytes, and not its line", len(out))
	}
	return err
}
