package engineapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/brig-engine/brig/internal/drill"
)

type box struct {
	engine *Engine
	path   string // /containers/ID
}

func (b *box) Wait(ctx context.Context) (int, error) {
	var reply struct {
		StatusCode int
		Error      struct{ Message string }
	}
	if err := b.engine.call(ctx, http.MethodPost, b.path+"/wait", nil, &reply); err != nil {
		return 0, err
	}
	if reply.Error.Message != "" {
		return 0, fmt.Errorf("wait: %s", reply.Error.Message)
	}
	return reply.StatusCode, nil
}

func (b *box) Output(ctx context.Context) ([]byte, error) {
	resp, err := b.engine.request(ctx, http.MethodGet, b.path+"/logs?stdout=1", nil, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return stdout(resp.Body)
}

func (b *box) ExecDetached(ctx context.Context, args ...string) error {
	var made struct{ Id string }
	if err := b.engine.call(ctx, http.MethodPost, b.path+"/exec", map[string]any{"Cmd": args}, &made); err != nil {
		return err
	}
	return b.engine.call(ctx, http.MethodPost, "/exec/"+made.Id+"/start", map[string]any{"Detach": true}, nil)
}

func (b *box) Exec(ctx context.Context, args ...string) ([]byte, error) {
	return b.ExecAs(ctx, "", args...)
}

func (b *box) ExecAs(ctx context.Context, user string, args ...string) ([]byte, error) {
	var made struct{ Id string }
	err := b.engine.call(ctx, http.MethodPost, b.path+"/exec",
		map[string]any{"AttachStdout": true, "Cmd": args, "User": user}, &made)
	if err != nil {
		return nil, err
	}
	body := bytes.NewReader([]byte(`{"Detach":false,"Tty":false}`))
	resp, err := b.engine.request(ctx, http.MethodPost, "/exec/"+made.Id+"/start", body, "application/json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := stdout(resp.Body)
	if err != nil {
		return nil, err
	}
	var state struct{ ExitCode int }
	if err := b.engine.call(ctx, http.MethodGet, "/exec/"+made.Id+"/json", nil, &state); err != nil {
		return nil, err
	}
	if state.ExitCode != 0 {
		return out, fmt.Errorf("%s ended with exit status %d", args[0], state.ExitCode)
	}
	return out, nil
}

func (b *box) CopyIn(ctx context.Context, dir string, archive io.Reader) error {
	resp, err := b.engine.request(ctx, http.MethodPut, b.path+"/archive?path="+url.QueryEscape(dir), archive, "application/x-tar")
	if err == nil {
		resp.Body.Close()
	}
	return err
}

func (b *box) CopyOut(ctx context.Context, path string) ([]byte, error) {
	resp, err := b.engine.request(ctx, http.MethodGet, b.path+"/archive?path="+url.QueryEscape(path), nil, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxOutput))
}

func (b *box) Info(ctx context.Context) (drill.Info, error) {
	type network struct{ IPAddress, Gateway string }
	var reply struct {
		Id, LogPath string
		State       struct {
			Pid     int
			Running bool
		}
		NetworkSettings struct {
			network
			Networks map[string]network
			Ports    map[string][]struct{ HostIp, HostPort string }
		}
	}
	if err := b.engine.call(ctx, http.MethodGet, b.path+"/json", nil, &reply); err != nil {
		return drill.Info{}, err
	}
	if !reply.State.Running {
		return drill.Info{}, fmt.Errorf("the container does not run any more")
	}
	own := reply.NetworkSettings.network // engines before API 1.52 say it here, newer ones below Networks only
	for _, n := range reply.NetworkSettings.Networks {
		if own.IPAddress == "" {
			own = n
		}
	}
	info := drill.Info{ID: reply.Id, Log: reply.LogPath, PID: reply.State.Pid, IP: own.IPAddress, Gateway: own.Gateway}
	for _, bindings := range reply.NetworkSettings.Ports {
		if len(bindings) > 0 {
			info.Published = bindings[0].HostIp + ":" + bindings[0].HostPort
		}
	}
	return info, nil
}

func (b *box) Remove(ctx context.Context) error {
	err := b.engine.call(ctx, http.MethodDelete, b.path+"?force=1&v=1", nil, nil)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// stdout takes standard output out of the API's stream of frames, each of which has a header of eight bytes: stream
// number (1: standard output), three zeros, and the big-endian length of what follows. At most maxOutput bytes are
// kept; more is an error.
func stdout(r io.Reader) ([]byte, error) {
	var out bytes.Buffer
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return out.Bytes(), nil
		} else if err != nil {
			return nil, fmt.Errorf("read a frame of output: %w", err)
		}
		size := int64(binary.BigEndian.Uint32(head[4:]))
		if head[0] > 3 || head[1]|head[2]|head[3] != 0 {
			return nil, fmt.Errorf("the engine's output is not framed: % x", head)
		}
		to := io.Discard
		if head[0] == 1 {
			to = &out
		}
		if size > maxOutput || int64(out.Len())+size > maxOutput {
			return nil, fmt.Errorf("more than %d bytes of output", maxOutput)
		}
		if _, err := io.CopyN(to, r, size); err != nil {
			return nil, fmt.Errorf("read a frame of output: %w", err)
		}
	}
}
