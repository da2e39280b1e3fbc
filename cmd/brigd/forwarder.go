package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
)

// forwarderPause is between the end of a forwarder and the start of the next.
const forwarderPause = time.Second

// forwarder answers containers' questions for names: in a worker, which is there if somebody needs it.
type forwarder struct {
	warden  *client.Client
	names   *network.Names
	servers []netip.Addr
	sockets [2]*os.File     // UDP and TCP, which the router has opened inside its namespace
	ctx     context.Context // nil: this machine has no network
	once    sync.Once
}

// open takes the sockets, and tells whether the forwarder is needed because containers could not reach the host's resolvers (a
// stub on loopback, say).
func (f *forwarder) open(ctx context.Context, sockets []int) (bool, error) {
	if len(sockets) != len(f.sockets) {
		return false, fmt.Errorf("the warden gave %d sockets for names", len(sockets))
	}
	for i, fd := range sockets {
		f.sockets[i] = os.NewFile(uintptr(fd), "names")
	}
	b, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("the host's resolvers: %w", err)
	}
	r := network.ParseResolvConf(b)
	f.ctx, f.servers = ctx, r.Servers
	return r.NeedsForwarder(hostAddresses()), nil
}

// start starts the forwarder, once; for networks with names, whatever the host's resolvers are.
func (f *forwarder) start() {
	if f.ctx == nil {
		return
	}
	f.once.Do(func() {
		go func() {
			for f.ctx.Err() == nil {
				err := f.forward(f.ctx)
				slog.Error("the DNS forwarder ended; starting another one", "error", err)
				time.Sleep(forwarderPause)
			}
		}()
	})
}

func hostAddresses() (list []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // loopback stubs are recognised without them
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr())
		}
	}
	return list
}

// forward runs one forwarder: a worker with the sockets.
func (f *forwarder) forward(ctx context.Context) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket pair: %w", err)
	}
	conn, err := wire.FileConn(pair[0], "forwarder")
	if err != nil {
		unix.Close(pair[1])
		return err
	}
	got, err := f.warden.Give(ctx, wire.OpWorkerStart, wire.WorkerStart{Stays: true}, nil, pair[1])
	wire.CloseAll(got)
	if err != nil {
		conn.Close()
		return err
	}
	return network.Forward(ctx, conn, f.sockets[0], f.sockets[1], f.servers, f.names)
}
