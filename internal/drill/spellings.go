package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// An engine that looks at a host path in one field of a request only lets it through in another. The one who asks here is an
// ordinary user of the host, of the group to which the engine's socket belongs; what is asked for is a directory that only
// root may enter.

const stranger = 65534

// asStranger connects to the engine as a user who is nobody but a member of the socket's group. A thread of its own takes
// that user's ids for the moment of connect: the kernel notes who called.
func asStranger(socket string) (net.Conn, error) {
	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil {
		return nil, err
	}
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
			unix.RawSyscall(unix.SYS_SETRESGID, uintptr(st.Gid), uintptr(st.Gid), uintptr(st.Gid))
			const same = ^uintptr(0)
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, same, stranger, same); e != 0 {
				err = e
			} else {
				// Who may open the socket is not what is tried here: for files the thread is root again.
				unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0)
				err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
			}
		}
		done <- result{fd, err}
	}()
	r := <-done
	if r.err != nil {
		if r.fd >= 0 {
			unix.Close(r.fd)
		}
		return nil, r.err
	}
	f := os.NewFile(uintptr(r.fd), socket)
	defer f.Close()
	return net.FileConn(f)
}

// caller sends requests as somebody.
type caller struct {
	ctx  context.Context
	http http.Client
}

func (r *run) stranger() *caller {
	return &caller{r.ctx, http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return asStranger(r.engine.API()) }}}}
}

// do sends a request and gives the answer, at most 64 KiB of it.
func (c *caller) do(method, path string, in any) (status int, body []byte, err error) {
	b, err := json.Marshal(in)
	if err != nil {
		return 0, nil, err
	}
	q, err := http.NewRequestWithContext(c.ctx, method, "http://engine"+path, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, body, err
}

// spelling is one way to ask for a path of the host.
type spelling struct {
	name string
	host map[string]any // HostConfig
	more map[string]any // of the request
}

func spellings(dir string) []spelling {
	mount := func(kind, source string, more map[string]any) map[string]any {
		m := map[string]any{"Type": kind, "Target": "/host"}
		if source != "" {
			m["Source"] = source
		}
		for k, v := range more {
			m[k] = v
		}
		return map[string]any{"Mounts": []any{m}}
	}
	local := map[string]any{"VolumeOptions": map[string]any{"DriverConfig": map[string]any{"Name": "local",
		"Options": map[string]string{"type": "none", "o": "bind", "device": dir}}}}
	return []spelling{
		{"Binds", map[string]any{"Binds": []string{dir + ":/host"}}, nil},
		{"Binds, other case and slashes", map[string]any{"binds": []string{"/" + dir + "/.:/host:ro,z"}}, nil},
		{"Mounts of type bind", mount("bind", dir, nil), nil},
		{"Mounts of type bind with dots", mount("bind", "/tmp/../"+dir, map[string]any{"BindOptions": map[string]any{"CreateMountpoint": true}}), nil},
		{"Mounts of type volume", mount("volume", dir, nil), nil},
		{"a volume of the local driver", mount("volume", newVolume(), local), nil},
		{"a nameless volume of the local driver", mount("volume", "", local), nil},
		{"Mounts of type npipe", mount("npipe", dir, nil), nil},
		{"Mounts of type image", mount("image", dir, nil), nil},
		{"Tmpfs with a source", map[string]any{"Tmpfs": map[string]string{"/host": "bind,source=" + dir}}, nil},
		{"Devices", map[string]any{"Devices": []any{map[string]string{"PathOnHost": dir, "PathInContainer": "/host", "CgroupPermissions": "rwm"}}}, nil},
		{"a CDI device", map[string]any{"DeviceRequests": []any{map[string]any{"Driver": "cdi", "DeviceIDs": []string{"canary.example/dir=" + dir}}}}, nil},
		{"VolumesFrom a path", map[string]any{"VolumesFrom": []string{dir}}, nil},
		{"Volumes of the image's kind", nil, map[string]any{"Volumes": map[string]any{dir + ":/host": map[string]any{}}}},
		{"an annotation", map[string]any{"Annotations": map[string]string{"cdi.k8s.io/canary": "canary.example/dir=" + dir, "run.oci.mount": dir + ":/host"}}, nil},
		{"Binds behind 1 MiB", map[string]any{"Binds": []string{dir + ":/host"}}, map[string]any{"Labels": map[string]string{"a": strings.Repeat("x", 1100<<10)}}},
		{"privileged, with Binds", map[string]any{"Privileged": true, "Binds": []string{dir + ":/host"}}, nil},
		{"the host's user namespace, with Binds", map[string]any{"UsernsMode": "host", "Binds": []string{dir + ":/host"}}, nil},
	}
}

// trySpellings asks in every way, starts what is made, and reads what it printed.
func trySpellings(r *run) Verdict {
	dir, err := plantDir()
	if err != nil {
		return couldNot("plant a canary directory: %v", err)
	}
	defer dir.remove()
	if err := os.Chmod(dir.path, 0o700); err != nil {
		return couldNot("%v", err)
	}
	c := r.stranger()
	if status, body, err := c.do(http.MethodGet, "/containers/json", nil); err != nil || status != http.StatusOK {
		return couldNot("a member of the socket's group is not heard: %d %.80s %v", status, body, err)
	}
	plain, made := r.spelled(c, spelling{"nothing", map[string]any{}, nil}, dir)
	if !made {
		return couldNot("a member of the socket's group gets no container at all: %s", plain)
	}
	ways, refused := spellings(dir.path), 0
	first := ""
	for _, s := range ways {
		text, made := r.spelled(c, s, dir)
		switch {
		case strings.Contains(text, string(dir.secret)):
			return Verdict{Verdict: Exposed, Detail: "a user who may not read root's directory got it by " + s.name}
		case !made:
			if refused++; first == "" {
				first = text
			}
		}
		if how := dir.disturbed(); how != "" {
			return Verdict{Verdict: Exposed, Detail: s.name + ": " + how}
		}
	}
	return Verdict{Verdict: Blocked, Layer: "policy", Detail: fmt.Sprintf("%d spellings: %d refused (%.100s), %d made a container without it",
		len(ways), refused, first, len(ways)-refused)}
}

// spelled makes and starts a container, and gives what it printed, or what the engine said instead.
func (r *run) spelled(c *caller, s spelling, dir *hostDir) (text string, made bool) {
	body := map[string]any{"Image": ImageName, "Entrypoint": []string{"/bin/cat"}, "Cmd": []string{"/host/secret", dir.path + "/secret"}}
	if s.host != nil {
		body["HostConfig"] = s.host
	}
	for k, v := range s.more {
		body[k] = v
	}
	status, answer, err := c.do(http.MethodPost, "/containers/create", body)
	if err != nil || status >= 300 {
		return firstLine(fmt.Sprintf("%s %v", answer, err)), false
	}
	var reply struct{ Id string }
	if json.Unmarshal(answer, &reply) != nil || reply.Id == "" {
		return "no container", false
	}
	path := "/containers/" + reply.Id
	defer c.do(http.MethodDelete, path+"?force=1&v=1", nil)
	if status, answer, err := c.do(http.MethodPost, path+"/start", nil); err != nil || status >= 300 {
		return firstLine(fmt.Sprintf("%s %v", answer, err)), false
	}
	c.do(http.MethodPost, path+"/wait", nil)
	_, answer, _ = c.do(http.MethodGet, path+"/logs?stdout=1", nil)
	return string(answer), true
}
