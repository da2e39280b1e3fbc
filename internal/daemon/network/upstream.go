package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// socketsPerServer is the number of UDP sockets per server: an answer is bound to one of several random ports as well
// as to a random number. They do not matter for a stub on loopback, to which nobody can forge.
const socketsPerServer = 8

const dnsPort = 53

// Forward has the worker at the other end of conn answer the queries that arrive at the listening sockets (UDP and TCP;
// they stay open here), with the help of these servers, at most 3, in order of preference. The worker has no network
// and cannot open sockets: brigd opens those towards the servers. It returns when ctx ends or the worker does.
func Forward(ctx context.Context, conn *wire.Conn, udp, tcp *os.File, servers []netip.Addr) error {
	u := upstream{ctx: ctx}
	for _, s := range servers[:min(len(servers), maxServers)] {
		// The worker counts different servers, so each may be there once only.
		if at := netip.AddrPortFrom(s, dnsPort); !slices.Contains(u.servers, at) {
			u.servers = append(u.servers, at)
		}
	}
	sockets, err := u.datagram()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	fds := []int{int(udp.Fd()), int(tcp.Fd())}
	for _, f := range sockets {
		defer f.Close()
		fds = append(fds, int(f.Fd()))
	}
	defer u.sent()
	job := &jobs.Job{Kind: jobs.DNS, DNS: &jobs.DNSParams{Listen: 1, Streams: 1, Upstreams: len(sockets)}}
	_, err = jobs.Run(ctx, conn, job, fds, jobs.Host{File: u.stream})
	return err
}

// upstream opens sockets towards the servers. Its methods are called from one goroutine.
type upstream struct {
	ctx     context.Context
	servers []netip.AddrPort
	last    *os.File // of the answer before, which has been sent by the time of the next question
}

// datagram opens the connected sockets, server by server. Servers without a route (IPv6 on a host that has none) are
// left out; without any server that is left it fails.
func (u *upstream) datagram() ([]*os.File, error) {
	var out []*os.File
	var usable []netip.AddrPort
	var errs []error
	for _, s := range u.servers {
		files, err := u.dialMany(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		usable = append(usable, s)
		out = append(out, files...)
	}
	if u.servers = usable; len(usable) == 0 {
		return nil, errors.Join(append(errs, errors.New("no resolver of the host can be reached"))...)
	}
	return out, nil
}

func (u *upstream) dialMany(s netip.AddrPort) ([]*os.File, error) {
	var out []*os.File
	for range socketsPerServer {
		f, err := u.dial("udp", s)
		if err != nil {
			for _, f := range out {
				f.Close()
			}
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// stream answers the request for "stream/N": a TCP connection to server N, for answers that do not fit a datagram.
func (u *upstream) stream(f jobs.File) (int, error) {
	u.sent()
	number, ok := strings.CutPrefix(f.Name, "stream/")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 0 || n >= len(u.servers) {
		return -1, fmt.Errorf("no connection is called %.32q", f.Name)
	}
	if u.last, err = u.dial("tcp", u.servers[n]); err != nil {
		return -1, err
	}
	return int(u.last.Fd()), nil
}

func (u *upstream) sent() {
	if u.last != nil {
		u.last.Close()
		u.last = nil
	}
}

func (u *upstream) dial(network string, to netip.AddrPort) (*os.File, error) {
	d := net.Dialer{Timeout: 2 * time.Second, KeepAlive: -1}
	c, err := d.DialContext(u.ctx, network, to.String())
	if err != nil {
		return nil, fmt.Errorf("resolver %s: %w", to, err)
	}
	defer c.Close()
	s, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("resolver %s: %T has no descriptor", to, c)
	}
	return s.File()
}
