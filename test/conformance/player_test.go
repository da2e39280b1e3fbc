package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// playerWord is the first argument of this program when it runs scripts inside a room.
const playerWord = "in-play"

// lineLimit ends a command line that hangs.
const lineLimit = 40 * time.Second

// player runs scripts against the engine of the room that it is in.
type player struct {
	Dir     string // its own
	Socket  string
	Client  string // the unmodified docker client
	Image   string // archive of the image that all scripts use
	Scripts []*Script
}

// played is what became of one script.
type played struct {
	Verb    string
	Answers []Answer
	Failed  string // a setup line that did not succeed, and what it said
	Took    time.Duration
}

// playerMain runs the scripts of a player in a JSON file and prints what became of them.
func playerMain(file string) int {
	var p player
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil {
		err = p.dress()
	}
	out := json.NewEncoder(os.Stdout)
	for _, s := range p.Scripts {
		if err != nil {
			break
		}
		begin := time.Now()
		result := p.play(s)
		result.Took = time.Since(begin)
		if err = out.Encode(result); err == nil {
			err = p.clear()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dress makes a PATH in which docker is the client that was asked for, and the image the only one.
func (p *player) dress() error {
	if err := os.MkdirAll(filepath.Join(p.Dir, "bin"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(p.Client, filepath.Join(p.Dir, "bin", "docker")); err != nil {
		return err
	}
	p.sh(p.Dir, "docker rmi -f brig-probe") // which Brig brings along; where it is not there this fails
	return p.clear()
}

// play runs one script in a directory of its own.
func (p *player) play(s *Script) (r played) {
	r.Verb = s.Verb
	dir := filepath.Join(p.Dir, s.Verb)
	if err := os.Mkdir(dir, 0o755); err != nil {
		r.Failed = err.Error()
		return r
	}
	_, id, _ := p.sh(dir, "docker image inspect -f '{{.Id}}' box")
	id = strings.TrimPrefix(strings.TrimSpace(id), "sha256:")
	if len(id) < 12 {
		r.Failed = "the image has no identity"
		return r
	}
	known := strings.NewReplacer(id, "<box>", id[:12], "<box-short>", p.Socket, "<socket>", dir, "<dir>")
	for _, l := range s.Lines {
		code, out, complaint := p.sh(dir, l.Text)
		if l.Setup && code != 0 {
			r.Failed = fmt.Sprintf("%s: exit code %d: %s%s", l.Text, code, out, complaint)
			return r
		}
		if !l.Setup {
			r.Answers = append(r.Answers, Answer{l.Text, code, Normal(out, known), Normal(complaint, known)})
		}
	}
	return r
}

// clear removes what a script has left, so that the next one begins as the first did.
func (p *player) clear() error {
	const all = `
c=$(docker ps -aq) && { [ -z "$c" ] || docker rm -f -v $c; } &&
docker network prune -f &&
v=$(docker volume ls -q) && { [ -z "$v" ] || docker volume rm $v; } &&
[ "$(docker images -a --format '{{.Repository}}:{{.Tag}}')" = box:latest ] || {
  while i=$(docker images -aq) && [ -n "$i" ]; do docker rmi -f $i || true; done
  docker load -q -i `
	code, out, complaint := p.sh(p.Dir, "set -e"+all+p.Image+"\n}")
	if code != 0 {
		return fmt.Errorf("clear up: %s%s", out, complaint)
	}
	return nil
}

// sh runs a command line. Its outputs go to files and not to pipes: a reader would wait for whoever inherited them.
func (p *player) sh(dir, line string) (code int, out, complaint string) {
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(p.Dir, "out")
		if err != nil {
			return -1, "", err.Error()
		}
		defer f.Close()
		os.Remove(f.Name())
		files[i] = f
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, files[0], files[1]
	cmd.Env = []string{"PATH=" + filepath.Join(p.Dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + dir,
		"DOCKER_HOST=unix://" + p.Socket, "LANG=C", "TZ=UTC"}
	if err := cmd.Start(); err != nil {
		return -1, "", err.Error()
	}
	late := time.AfterFunc(lineLimit, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	out, complaint = whole(files[0]), whole(files[1])
	var exit *exec.ExitError
	if !late.Stop() || err != nil && !errors.As(err, &exit) {
		complaint += fmt.Sprintf("not done within %s: %v\n", lineLimit, err)
	}
	return cmd.ProcessState.ExitCode(), out, complaint
}

func whole(f *os.File) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
