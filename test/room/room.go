package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The three processes of a room. The caller keeps one end of a socket; whatever ends the caller closes it, the agent
// reads its end and exits, process 1 exits after it, and the kernel kills all that the engine had started.
//
//	caller ──socket── agent (starts the engine and its command lines, takes the times)
//	  └── room: process 1 of the PID namespace, reaps, waits for the agent
const (
	roomWord  = "in-room" // the first argument of process 1
	agentWord = "in-agent"
)

// Main turns this program into a part of a room when it was started as one; it returns otherwise. Whoever opens rooms
// calls it first.
func Main() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case roomWord:
		os.Exit(roomMain(os.Args[2:]))
	case agentWord:
		os.Exit(agentMain())
	}
}

// Plan is how a room is furnished; process 1 gets it as JSON in its argument.
type Plan struct {
	Dir string // state on disk, host path
	// Tree, if set, holds usr and etc directories that are laid over the machine's.
	Tree string
	// Plain leaves the cgroup v2 hierarchy of a hybrid machine out of sight: crun 1.8 gives up where both are mounted.
	Plain bool
	// Cgroup is the name of the control group that the room lives in, in every hierarchy.
	Cgroup string
	// Host gives the room what a server's host has and a comparison of speeds does not ask for: a network interface
	// with an address and a default route, and the process limits that a distribution gives its engines.
	Host bool
}

// Room is the caller's end.
type Room struct {
	PID int  // of process 1
	Cut bool // the agent no longer answers

	cmd  *exec.Cmd
	file *os.File
	out  *json.Encoder
	in   *json.Decoder
}

// Open makes a room whose programs are looked for in path.
func Open(ctx context.Context, p Plan, path string) (*Room, error) {
	for _, d := range []string{"var-lib", "etc", "etc-work", "home"} {
		if err := os.MkdirAll(filepath.Join(p.Dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	args, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket to the room: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "room"), os.NewFile(uintptr(pair[1]), "caller")
	cmd := exec.Command(self, roomWord, string(args))
	cmd.Env = []string{"PATH=" + path, "HOME=" + filepath.Join(p.Dir, "home"), "LANG=C"}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	// Setsid: Ctrl-C is for the caller alone, which then closes the rooms one by one.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
	}
	err = cmd.Start()
	theirs.Close() // or nobody would notice that the room's end is gone
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a room: %w", err), ours.Close())
	}
	r := &Room{PID: cmd.Process.Pid, cmd: cmd, file: ours, out: json.NewEncoder(ours), in: json.NewDecoder(ours)}
	context.AfterFunc(ctx, func() { unix.Shutdown(pair[0], unix.SHUT_RDWR) })
	if _, err := r.Do(Job{Op: OpMemory}); err != nil { // the furnishing worked, or did not
		r.Close()
		return nil, fmt.Errorf("furnish a room: %w", err)
	}
	return r, nil
}

// Do has the agent do one thing and waits for it.
func (r *Room) Do(j Job) (Answer, error) {
	if err := r.out.Encode(j); err != nil {
		r.Cut = true
		return Answer{}, fmt.Errorf("ask the room: %w", err)
	}
	var a Answer
	if err := r.in.Decode(&a); err != nil {
		r.Cut = true
		return Answer{}, fmt.Errorf("the room's answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Close ends everything in the room and waits until it has ended.
func (r *Room) Close() {
	r.file.Close()
	r.cmd.Wait() // its status says nothing: the agent was told to go by the end of its input
}

// roomMain is process 1: it furnishes, starts the agent, and reaps whatever ends until the agent does.
func roomMain(args []string) int {
	var p Plan
	if err := json.Unmarshal([]byte(strings.Join(args, " ")), &p); err != nil {
		fmt.Fprintln(os.Stderr, "room:", err)
		return 1
	}
	if err := p.furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "room:", err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "room:", err)
		return 1
	}
	agent, err := syscall.ForkExec(self, []string{self, agentWord}, &syscall.ProcAttr{
		Dir: p.Dir, Env: os.Environ(), Files: []uintptr{0, 1, 2, 3},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "room: start the agent:", err)
		return 1
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == agent || (err != nil && err != unix.EINTR) {
			return 0
		}
	}
}
