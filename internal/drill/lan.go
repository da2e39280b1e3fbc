package drill

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/brig-engine/brig/internal/drill/netns"
)

// lanDeadline is how long somebody next door waits for an answer that mostly is never sent.
const lanDeadline = 400 * time.Millisecond

// tryLAN is somebody on the host's own network, who may address any packet to any container and let the host forward it
// (CVE-2020-8558 is the third way). The neighbour's port is for the host's loopback only.
func tryLAN(r *run) Verdict {
	if r.near.IP == "" {
		return couldNot("the engine does not say the neighbour's address")
	}
	gateway, _, _ := strings.Cut(worldHost, "/")
	targets := []string{net.JoinHostPort(r.near.IP, strconv.Itoa(servePort))}
	if _, port, err := net.SplitHostPort(r.near.Published); err == nil {
		targets = append(targets, net.JoinHostPort(gateway, port), net.JoinHostPort("127.0.0.1", port))
	}
	if err := r.world.open(gateway); err != nil {
		return couldNot("make ways for the stranger: %v", err)
	}
	answers := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, target := range targets {
		wg.Go(func() { answers[i] = netns.Do(r.world.self, func() error { return greet(target) }) })
	}
	wg.Wait()
	var refused []string
	for i, err := range answers {
		if err == nil {
			return Verdict{Verdict: Exposed, Detail: "a stranger on the host's network was answered by " + targets[i]}
		}
		refused = append(refused, targets[i]+" → "+lastWords(err))
	}
	if !r.world.knows(gateway) {
		return couldNot("the host does not answer next door")
	}
	return Verdict{Verdict: Blocked, Layer: "firewall", Detail: strings.Join(refused, ", ")}
}

// open has the host forward what comes from the world, as a host that is a router does, so that it is the engine who must
// refuse; and has the world send packets for 127.0.0.1 to the host, as no honest machine would.
func (w *world) open(gateway string) error {
	err := netns.Do(w.host, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/"+w.link+"/forwarding", []byte("1"), 0)
	})
	if err != nil {
		return err
	}
	return netns.Do(w.self, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/world0/route_localnet", []byte("1"), 0); err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{Gw: net.ParseIP(gateway),
			Dst: &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(32, 32)}})
	})
}

// greet asks for a page, and fails unless it gets one.
func greet(target string) error {
	c, err := net.DialTimeout("tcp", target, lanDeadline)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(lanDeadline))
	if _, err := fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "HTTP/1.0 200") {
		err = fmt.Errorf("answered %.40q", line)
	}
	return err
}

// lastWords is the end of an error, behind all that was attempted.
func lastWords(err error) string {
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}

// knows says whether the host next door has answered for its address: without that nothing was tried.
func (w *world) knows(gateway string) (known bool) {
	netns.Do(w.self, func() error {
		table, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, n := range table {
			known = known || n.IP.String() == gateway && len(n.HardwareAddr) == 6 && n.State&netlink.NUD_FAILED == 0
		}
		return err
	})
	return known
}
