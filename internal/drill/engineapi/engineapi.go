// Package engineapi drives a container engine through the Docker Engine API on a unix socket, as far as the drill needs
// it.
//
// Zone: the drill. Input: an engine's replies; every one is size-capped. Output: drill.Engine.
// Spec: Docker Engine API 1.41 and later. Answers: none.
package engineapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill"
)

const (
	maxReply  = 4 << 20
	maxOutput = 64 << 10
)

// Engine is an engine behind a unix socket.
type Engine struct {
	socket  string
	name    string
	version string // of the API
	http    *http.Client
}

// Dial asks the engine at the socket who it is. It fails if nobody answers within five seconds.
func Dial(ctx context.Context, socket string) (*Engine, error) {
	e := &Engine{socket: socket}
	e.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		MaxIdleConns:       4,
	}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var v struct {
		Version, ApiVersion string
		Platform            struct{ Name string }
		Components          []struct{ Name string }
	}
	if err := e.call(ctx, http.MethodGet, "/version", nil, &v); err != nil {
		return nil, fmt.Errorf("no engine answers at %s: %w", socket, err)
	}
	product := "docker"
	for _, c := range v.Components {
		switch name := strings.ToLower(c.Name); {
		case strings.Contains(name, "brig"):
			product = "brig"
		case strings.Contains(name, "podman"):
			product = "podman"
		}
	}
	if strings.Contains(strings.ToLower(v.Platform.Name), "brig") {
		product = "brig"
	}
	e.name, e.version = strings.TrimSpace(product+" "+v.Version), v.ApiVersion
	return e, nil
}

// Name is product and version.
func (e *Engine) Name() string { return e.name }

// API is the socket that was dialled.
func (e *Engine) API() string { return e.socket }

// Sockets are the paths where the engine listens.
func (e *Engine) Sockets() []string { return []string{e.socket} }

// Network is the network namespace of the process that listens on the socket, as the kernel tells it; the drill's own
// (""), if that process has handed the socket on and is gone.
func (e *Engine) Network(ctx context.Context) (string, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", e.socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return "", err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return "", err
	}
	if failed != nil {
		return "", failed
	}
	path := fmt.Sprintf("/proc/%d/ns/net", cred.Pid)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return path, nil
}

// request sends one request; a status of 400 or more is an error with the engine's message.
func (e *Engine) request(ctx context.Context, method, path string, body io.Reader, kind string) (
	*http.Response, error,
) {
	header := http.Header{}
	if kind != "" {
		header.Set("Content-Type", kind)
	}
	return e.send(ctx, method, path, body, header)
}

func (e *Engine) send(ctx context.Context, method, path string, body io.Reader, header http.Header) (
	*http.Response, error,
) {
	if e.version != "" {
		path = "/v" + e.version + path
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if strings.HasSuffix(path, "/start") && strings.Contains(path, "/exec/") {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "tcp")
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	var m struct{ Message string }
	if json.Unmarshal(text, &m) == nil && m.Message != "" {
		text = []byte(m.Message)
	}
	return nil, &statusError{resp.StatusCode, ownFormat(strings.TrimSpace(string(text)))}
}

type statusError struct {
	status int
	text   string
}

// ownFormat finds the reason in an answer of Podman's, which tries to read an archive in every format that it knows and
// lists why each failed. The drill's archives are what docker save writes.
func ownFormat(text string) string {
	if _, reason, ok := strings.Cut(text, "* docker-archive: "); ok {
		reason, _, _ = strings.Cut(reason, "\n")
		return strings.TrimSpace(reason)
	}
	return text
}

func (e *statusError) Error() string { return fmt.Sprintf("%s (HTTP status %d)", e.text, e.status) }

// call sends a JSON value, if in is not nil, and decodes the reply into out, if out is not nil.
func (e *Engine) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	kind := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	resp, err := e.request(ctx, method, path, body, kind)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func isStatus(err error, status int) bool {
	var s *statusError
	return errors.As(err, &s) && s.status == status
}

// RemoveVolume removes a volume that no container has.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.call(ctx, http.MethodDelete, "/volumes/"+url.PathEscape(name)+"?force=1", nil, nil)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// Start creates a container with nothing but what spec says, and starts it.
func (e *Engine) Start(ctx context.Context, spec drill.Spec) (drill.Box, error) {
	body := map[string]any{"Image": spec.Image, "Entrypoint": spec.Args[:1], "Cmd": spec.Args[1:]}
	if len(spec.Env) > 0 {
		body["Env"] = spec.Env
	}
	if spec.User != "" {
		body["User"] = spec.User
	}
	if spec.WorkDir != "" {
		body["WorkingDir"] = spec.WorkDir
	}
	host := map[string]any{}
	if spec.Memory != 0 {
		host["Memory"] = spec.Memory
	}
	if spec.Disk != 0 {
		host["StorageOpt"] = map[string]string{"size": fmt.Sprint(spec.Disk)}
	}
	if len(spec.Sysctls) > 0 {
		host["Sysctls"] = spec.Sysctls
	}
	var mounts []map[string]any
	for _, v := range spec.Shared {
		mounts = append(mounts, map[string]any{"Type": "volume", "Source": v.Name, "Target": v.Target})
	}
	if spec.Volume != "" {
		options := map[string]any{}
		if spec.VolumeSize != 0 {
			options["DriverConfig"] = map[string]any{"Name": "local", "Options": map[string]string{"size": fmt.Sprint(spec.VolumeSize)}}
		}
		mounts = append(mounts, map[string]any{"Type": "volume", "Target": spec.Volume, "VolumeOptions": options})
	}
	if len(mounts) > 0 {
		host["Mounts"] = mounts
	}
	if spec.Publish != 0 {
		port := fmt.Sprintf("%d/tcp", spec.Publish)
		body["ExposedPorts"] = map[string]any{port: struct{}{}}
		host["PortBindings"] = map[string]any{port: []map[string]string{{"HostIp": "127.0.0.1", "HostPort": ""}}}
	}
	if len(spec.Annotations) > 0 {
		host["Annotations"] = spec.Annotations
	}
	if len(host) > 0 {
		body["HostConfig"] = host
	}
	var made struct{ Id string }
	if err := e.call(ctx, http.MethodPost, "/containers/create", body, &made); err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	b := &box{engine: e, path: "/containers/" + url.PathEscape(made.Id)}
	if err := e.call(ctx, http.MethodPost, b.path+"/start", nil, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), b.Remove(context.WithoutCancel(ctx)))
	}
	return b, nil
}
