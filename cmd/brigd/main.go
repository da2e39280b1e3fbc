// brigd answers the Docker Engine API and decides; the warden, which starts it, holds the keys.
//
// Descriptors: 3 the API's listening socket, 4 the connection to the warden, 5 a pipe that is told "ready", or why not, 6 the
// connection to brig-store.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/api"
	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/image"
	imageserve "github.com/brig-engine/brig/internal/daemon/image/serve"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/recorder"
	"github.com/brig-engine/brig/internal/daemon/volume"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

const (
	fdListener = 3
	fdWarden   = 4
	fdReady    = 5
	fdStore    = 6
)

func main() {
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/2)) // the other half is for containers
	state := flag.String("state", "", "directory of durable records")
	run := flag.String("run", "", "directory of volatile records")
	flag.Parse()
	// Nobody reads this process's memory: it sees credentials and environments.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "brigd: prctl:", err)
	}
	ready := os.NewFile(fdReady, "ready")
	err := serve(*state, *run, ready)
	if err == nil {
		return
	}
	// The other end reads one line: why it does not serve. After "ready" was said the pipe is closed, and this fails.
	_, _ = ready.WriteString(strings.ReplaceAll(err.Error(), "\n", " ") + "\n")
	fmt.Fprintln(os.Stderr, "brigd:", err)
	os.Exit(1)
}

// serve returns when brigd cannot go on, or nil when it was told to stop and every container has ended.
func serve(state, run string, ready *os.File) error {
	if flag.NArg() > 0 || !filepath.IsAbs(state) || !filepath.IsAbs(run) {
		return errors.New("usage: brigd --state DIR --run DIR, both absolute")
	}
	if err := logging(run, os.Stderr); err != nil {
		slog.Warn("as usual instead", "error", err)
	}
	listener, err := net.FileListener(os.NewFile(fdListener, "listener"))
	if err != nil {
		return fmt.Errorf("the API's socket: %w", err)
	}
	conn, err := wire.FileConn(fdWarden, "warden")
	if err != nil {
		return err
	}
	warden := client.New(conn, "the warden")
	if conn, err = wire.FileConn(fdStore, "store"); err != nil {
		return err
	}
	store := client.New(conn, "brig-store")
	server, err := open(context.Background(), warden, store, state, run)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	h := api.NewHTTPServer(server.Handler())
	server.Connections = h.Connections
	go func() { ended <- h.Serve(listener) }()
	if _, err := ready.WriteString("ready\n"); err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	ready.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	select {
	case <-stop:
		server.Engine.StopAll(context.Background())
		server.Engine.Close() // receivers of logs get the last lines
		return nil
	case <-warden.Done:
		return errors.New("the warden has gone")
	case <-store.Done:
		return errors.New("brig-store has gone")
	case err := <-ended:
		if errors.Is(err, http.ErrServerClosed) {
			return errors.New("the API was closed")
		}
		return fmt.Errorf("the API: %w", err)
	}
}

// open rebuilds everything from the records and the warden's answers.
func open(ctx context.Context, warden, store *client.Client, state, run string) (*api.Server, error) {
	var hello wire.HelloReply
	sockets, err := warden.Call(ctx, wire.OpHello, wire.Hello{Version: wire.Version}, &hello)
	if err != nil {
		return nil, fmt.Errorf("greet the warden: %w", err)
	}
	bus := &event.Bus{}
	volumes, err := volume.Open(ctx, filepath.Join(state, "volumes"), warden, bus)
	if err != nil {
		return nil, err
	}
	images, err := openImages(ctx, image.Config{Warden: warden, Objects: store, Bus: bus, StateDir: state})
	if err != nil {
		return nil, err
	}
	f := &forwarder{warden: warden, names: network.NewNames()}
	forwards := false
	if hello.Gateway != "" {
		if forwards, err = f.open(ctx, sockets); err != nil {
			return nil, err
		}
	}
	host, facts, err := hostOf(&hello, state, forwards)
	if err != nil {
		return nil, err
	}
	host.Disk, volumes.Disk = disks(hello.Disk, state, run)
	host.Runtime = defaultRuntime(run)
	networks, err := network.Open(filepath.Join(state, "networks"), facts, bus)
	if err != nil {
		return nil, err
	}
	server := &api.Server{Volumes: volumes, Bus: bus, Hello: hello, Host: host, Network: facts,
		Networks: networks, Forward: f.start,
		Images: imageserve.Handler(images), ImageCount: images.Count, ImageUsage: images.Usage,
		FindImage: images.Lookup, ImageCheck: images.Check, Root: filepath.Dir(state), Logs: &log.Meter{}}
	calls, err := recorder.Listen(run)
	if err != nil {
		return nil, err
	}
	m := server.Measure()
	server.Engine, err = container.NewEngine(ctx, container.Config{
		Warden: m.Timed(warden), Images: images, Volumes: volumes, Bus: bus, Host: host, Networks: networks, Names: f.names,
		Filter: compile, Proxy: proxy, StateDir: state, RunDir: run, Metrics: m, LogMeter: server.Logs,
		Recorder: calls,
	})
	if err != nil {
		return nil, err
	}
	// Not before the engine has told it of those who run: it would know none of them. Until then their questions wait.
	if forwards || slices.ContainsFunc(networks.List(), func(n network.Network) bool { return !n.Builtin }) {
		f.start()
	}
	return server, nil
}
