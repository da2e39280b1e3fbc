package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// What an agent can be asked for.
const (
	OpTime   = "time"   // one command line, from fork to reaped, after a moment of idleness
	OpMany   = "many"   // command lines by a number of workers, for a time or up to a count
	OpDaemon = "daemon" // start and keep; output goes to a file
	OpMemory = "memory" // of the processes in this room
	OpEnd    = "end"    // end a program by SIGKILL, and ask by a command line until it prints Count lines
	OpKeep   = "keep"   // one command line, whose whole standard output goes to a file; any exit status will do
)

// quiet is how long a room does nothing before a command line is timed: people do not start containers back to back,
// and some costs (grace periods, caches) show only then.
const quiet = 40 * time.Millisecond

// callerFd is the agent's end of the socket.
const callerFd = 3

// commandLimit ends a command line that hangs.
const commandLimit = 3 * time.Minute

// Job is one request to an agent.
type Job struct {
	Op      string
	Command []string // "{id}" in it becomes Prefix and a number that counts from 1 within the job
	Prefix  string
	Workers int
	Program string        // end: what it calls itself
	Count   int           // many: stop after so many; end: lines
	Lasts   time.Duration // many: stop starting after so long
	Log     string        // daemon, keep: file for the output
	Limit   time.Duration // keep: ends a command line that hangs
}

// Answer is what the agent says to a job. Took and Count are 0 where they have no meaning.
type Answer struct {
	Error  string `json:",omitempty"`
	Output string `json:",omitempty"`
	Took   time.Duration
	Count  int
	Status int // keep: exit status
	Memory Memory
}

// agentMain serves jobs from descriptor 3, one at a time, until its other end closes. It runs on one processor: what it
// takes is missing to the engine that it measures.
func agentMain() int {
	runtime.GOMAXPROCS(1)
	file := os.NewFile(callerFd, "caller")
	unix.CloseOnExec(callerFd)
	in, out := json.NewDecoder(file), json.NewEncoder(file)
	for {
		var j Job
		if err := in.Decode(&j); err != nil {
			return 0
		}
		a, err := j.serve()
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return 0
		}
	}
}

func (j *Job) serve() (a Answer, err error) {
	switch j.Op {
	case OpTime:
		time.Sleep(quiet)
		a.Took, a.Output, err = timed(j.Words(1))
	case OpMany:
		return j.many()
	case OpDaemon:
		err = j.daemon()
	case OpKeep:
		a.Status, a.Output, err = j.keep()
	case OpEnd:
		a.Took, err = endAndAsk(j.Program, j.Command, j.Count)
	case OpMemory:
		a.Memory, err = measureMemory()
	default:
		err = fmt.Errorf("no such job: %q", j.Op)
	}
	return a, err
}

// Words is the command line of the nth start.
func (j *Job) Words(n int) []string {
	words := make([]string, len(j.Command))
	for i, w := range j.Command {
		words[i] = strings.ReplaceAll(w, "{id}", j.Prefix+strconv.Itoa(n))
	}
	return words
}

// many runs command lines with several workers. Took is the time from the first start to the last end, so what was
// running when the time was up counts with its time.
func (j *Job) many() (Answer, error) {
	var next, done atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, j.Workers)
	start := time.Now()
	for range j.Workers {
		group.Go(func() {
			for {
				n := int(next.Add(1))
				if j.Count > 0 && n > j.Count || j.Lasts > 0 && time.Since(start) >= j.Lasts {
					return
				}
				if _, _, err := timed(j.Words(n)); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	a := Answer{Took: time.Since(start), Count: int(done.Load())}
	select {
	case err := <-failed:
		return a, err
	default:
		return a, nil
	}
}

// timed runs one command line. Its output goes to a memory file and not to a pipe: a detached container that inherits a
// pipe would keep the reader waiting for its end.
func timed(words []string) (time.Duration, string, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, "", fmt.Errorf("file for the output: %w", err)
	}
	output := os.NewFile(uintptr(fd), "output")
	defer output.Close()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	start := time.Now()
	if err = cmd.Start(); err != nil {
		return 0, "", fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	// A context would do the same with a goroutine, and a thread now and then, for each start.
	limit := time.AfterFunc(commandLimit, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	took := time.Since(start)
	text := readEnd(output)
	if !limit.Stop() {
		err = fmt.Errorf("no end after %s", commandLimit)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, text)
	}
	return took, text, err
}

// readEnd returns the last 2,000 bytes of a file: errors stand at the end.
func readEnd(f *os.File) string {
	const most = 2000
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return ""
	}
	b := make([]byte, min(most, info.Size()))
	n, _ := f.ReadAt(b, info.Size()-int64(len(b)))
	return strings.TrimSpace(string(b[:n]))
}

// daemon starts a program that stays. It ends with the room.
func (j *Job) daemon() error {
	log, err := os.Create(j.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(j.Command[0], j.Command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait()
	return nil
}

// keep runs one command line for what it prints, and returns its exit status and the end of what it complains about.
func (j *Job) keep() (status int, complaint string, err error) {
	out, err := os.Create(j.Log)
	if err != nil {
		return 0, "", err
	}
	defer out.Close()
	fd, err := unix.MemfdCreate("complaint", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, "", fmt.Errorf("file for the complaint: %w", err)
	}
	complaints := os.NewFile(uintptr(fd), "complaint")
	defer complaints.Close()
	ctx, cancel := context.WithTimeout(context.Background(), j.Limit)
	defer cancel()
	go whileAsked(ctx, cancel)
	cmd := exec.CommandContext(ctx, j.Command[0], j.Command[1:]...)
	cmd.Stdout, cmd.Stderr = out, complaints
	// Asked and not killed: it may have things to put away.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(unix.SIGTERM) }, 30*time.Second
	err = cmd.Run()
	complaint = readEnd(complaints)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%s: no end after %s", j.Command[0], j.Limit)
	case errors.As(err, &exit) && exit.Exited():
		err = nil
	}
	return cmd.ProcessState.ExitCode(), complaint, err
}

// whileAsked ends a long job when the caller is gone.
func whileAsked(ctx context.Context, end func()) {
	for ctx.Err() == nil {
		caller := []unix.PollFd{{Fd: callerFd, Events: unix.POLLRDHUP}}
		if n, _ := unix.Poll(caller, 500); n > 0 {
			end()
		}
	}
}
