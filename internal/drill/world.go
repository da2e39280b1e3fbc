package drill

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill/netns"
)

// world is a network beyond the host: a namespace of its own, joined by a veth pair to the network that the engine
// calls the host's, with a listener that notes who sent what. The addresses are of TEST-NET-1, which nobody routes.
//
//	attacker ── engine's network ── host ──[192.0.2.253/30 ── 192.0.2.254]── listener
type world struct {
	host string // path of the host's network namespace
	link string // name of the host's end
	self string // path of the world's own namespace
	conn *net.UDPConn
	gone chan struct{}

	mu   sync.Mutex
	seen map[string]string // payload → source address
	many int               // how many packets arrived that are only counted
}

const (
	worldHost    = "192.0.2.253/30"
	worldAddress = "192.0.2.254"
	worldPort    = 7
)

func plantWorld(host string) (*world, error) {
	var b [3]byte
	rand.Read(b[:])
	w := &world{host: host, link: "brigdrill" + hex.EncodeToString(b[:]), gone: make(chan struct{}),
		seen: map[string]string{}}
	ready := make(chan error)
	go w.live(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("plant a network beyond the host: %w", err)
	}
	go w.listen()
	return w, nil
}

// live makes the namespace on a thread of its own and holds it until the world ends.
func (w *world) live(ready chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- err
		return
	}
	w.self = fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	ns, err := os.Open(w.self)
	if err != nil {
		ready <- err
		return
	}
	err = netns.Do(w.host, func() error { return w.join(ns) })
	ns.Close()
	if err == nil {
		err = w.settle()
	}
	ready <- err
	if err == nil {
		<-w.gone
	}
}

// join makes the veth pair, in the host's namespace.
func (w *world) join(ns *os.File) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = w.link
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "world0", PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the veth %s: %w", w.link, err)
	}
	return address(w.link, worldHost)
}

// settle brings up the other end, in the world, and opens the listener.
func (w *world) settle() error {
	if err := address("world0", worldAddress+"/30"); err != nil {
		return err
	}
	gateway, _, _ := net.ParseCIDR(worldHost)
	if err := netlink.RouteAdd(&netlink.Route{Gw: gateway}); err != nil {
		return fmt.Errorf("route of the world: %w", err)
	}
	// Whoever a packet says it comes from, the listener wants to see it.
	for _, name := range []string{"all", "world0"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0); err != nil {
			return err
		}
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(worldAddress), Port: worldPort})
	if w.conn = conn; err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err == nil { // many packets come at a time, and those that are lost are not counted
		err = raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) })
	}
	return err
}

// listenTCP is for a service of the world's, at a free port.
func (w *world) listenTCP() (l net.Listener, err error) {
	err = netns.Do(w.self, func() error {
		l, err = net.Listen("tcp4", net.JoinHostPort(worldAddress, "0"))
		return err
	})
	return l, err
}

func address(link, cidr string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, addr); err != nil {
		return fmt.Errorf("address of %s: %w", link, err)
	}
	return netlink.LinkSetUp(l)
}

func (w *world) listen() {
	buf := make([]byte, 256)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		if bytes.HasPrefix(buf[:n], []byte(flowMark)) {
			w.many++
		} else if len(w.seen) < 1000 {
			w.seen[string(buf[:n])] = from.Addr().Unmap().String()
		}
		w.mu.Unlock()
	}
}

// flowMark begins a packet of a connection that is only counted.
const flowMark = "flow "

// forget begins to count anew.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.many = 0
}

// flows waits for stragglers and returns how many packets arrived since forget.
func (w *world) flows() int {
	time.Sleep(150 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.many
}

// arrived waits for stragglers and returns which of the marks were seen, with the sender's address as it looked here.
func (w *world) arrived(marks ...string) map[string]string {
	time.Sleep(150 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string]string{}
	for _, m := range marks {
		if from, ok := w.seen[m]; ok {
			found[m] = from
		}
	}
	return found
}

func (w *world) remove() {
	w.conn.Close()
	close(w.gone)
	netns.Do(w.host, func() error {
		l, err := netlink.LinkByName(w.link)
		if err == nil {
			err = netlink.LinkDel(l)
		}
		return err
	})
}

// hostPort is a TCP listener in the host's namespace on all addresses: a service that is meant for the host only.
type hostPort struct {
	listener  net.Listener
	addresses []string // IPv4, not loopback
}

func plantPort(host string) (*hostPort, error) {
	p := &hostPort{}
	err := netns.Do(host, func() error {
		var err error
		if p.listener, err = net.Listen("tcp4", "0.0.0.0:0"); err != nil {
			return err
		}
		addrs, err := netlink.AddrList(nil, unix.AF_INET)
		for _, a := range addrs {
			if !a.IP.IsLoopback() {
				p.addresses = append(p.addresses, a.IP.String())
			}
		}
		return err
	})
	if err != nil {
		if p.listener != nil {
			p.listener.Close()
		}
		return nil, err
	}
	go func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return p, nil
}

// targets are the canary's port and the usual ports of engines, on all addresses of the host and the given ones.
func (p *hostPort) targets(more ...string) []string {
	port := p.listener.Addr().(*net.TCPAddr).Port
	var list []string
	known := map[string]bool{"": true}
	for _, ip := range append(more, p.addresses...) {
		if known[ip] || len(list) > 60 || strings.Contains(ip, ":") {
			continue
		}
		known[ip] = true
		list = append(list, fmt.Sprintf("%s:%d", ip, port), ip+":2375", ip+":2376")
	}
	return list
}

func (p *hostPort) remove() { p.listener.Close() }
