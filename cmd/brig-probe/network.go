package main

import (
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This program speaks to the network by bare system calls: package net would make it twice as big.

// toolServe answers every TCP connection on port args[0] with one line, until it is told to end.
func toolServe(args []string) int {
	if len(args) != 1 {
		fail("usage: serve PORT")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(number(args, 0))}); err == nil {
			err = unix.Listen(fd, 512)
		}
	}
	if err != nil {
		fail("serve: " + errName(err))
	}
	for {
		peer, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors or memory: others may give some back
			continue
		}
		go func() {
			timeout(peer, 5000)
			var buf [2048]byte
			if n, err := read(peer, buf[:]); err == nil && n > 0 {
				unix.Write(peer, []byte("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nbrig\n"))
			}
			unix.Close(peer)
		}()
	}
}

// timeout bounds reads and writes on a socket, in milliseconds.
func timeout(fd int, ms int64) {
	tv := unix.NsecToTimeval(ms * int64(time.Millisecond))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
}

// read is unix.Read without interruptions: a call with a timeout is not restarted after a signal, and the Go runtime
// sends itself many.
func read(fd int, buf []byte) (int, error) {
	for {
		if n, err := unix.Read(fd, buf); err != unix.EINTR {
			return n, err
		}
	}
}

// parseIPv4 reads dotted decimal.
func parseIPv4(s string) (ip [4]byte, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return ip, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return ip, false
		}
		ip[i] = byte(n)
	}
	return ip, true
}

// connect opens a TCP connection to "a.b.c.d:port" within the given time and closes it.
func connect(address string, within time.Duration) error {
	host, port, _ := strings.Cut(address, ":")
	ip, ok := parseIPv4(host)
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil {
		fail("brig-probe: not an IPv4 address and port: " + address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(n), Addr: ip}); err != unix.EINPROGRESS && err != unix.EINTR {
		return err
	}
	for end := time.Now().Add(within); time.Now().Before(end); {
		wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if ready, err := unix.Poll(wait, int(time.Until(end).Milliseconds())+1); err != nil && err != unix.EINTR {
			return err
		} else if ready <= 0 {
			continue
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = syscall.Errno(code)
		}
		return err
	}
	return unix.ETIMEDOUT
}

// probeReach connects to all addresses at once; exposed when one answers. args: ADDRESS:PORT...
func probeReach(args []string) verdict {
	if len(args) == 0 {
		fail("usage: reach ADDRESS:PORT...")
	}
	results := make([]error, len(args))
	done := make(chan bool)
	for i, address := range args {
		go func() {
			results[i] = connect(address, 700*time.Millisecond)
			done <- true
		}()
	}
	for range args {
		<-done
	}
	var open []string
	for i, err := range results {
		if err == nil {
			open = append(open, args[i])
		}
	}
	if len(open) > 0 {
		return verdict{verdict: exposed, detail: "connected to " + few(open, 3)}
	}
	layer := "firewall"
	if results[0] == unix.ENETUNREACH {
		layer = "routing"
	}
	return verdict{verdict: blocked, layer: layer, detail: "connect to " + few(args, 2) + " → " + errName(results[0])}
}

// probeMetadata asks for the cloud's metadata service, which hands out the host's credentials.
func probeMetadata([]string) verdict { return probeReach([]string{"169.254.169.254:80"}) }

// probeEngineSockets looks for a container engine's control socket. args: further paths.
func probeEngineSockets(args []string) verdict {
	names := append([]string{"/var/run/docker.sock", "/run/docker.sock", "/run/brig/brig.sock", "/run/brig/warden.sock",
		"/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/crio/crio.sock"}, args...)
	names = append(names, abstractSockets()...)
	var first error
	for _, name := range names {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET} {
			fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return verdict{verdict: couldNotTry, detail: "socket → " + errName(err)}
			}
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
			unix.Close(fd)
			if err == nil {
				return verdict{verdict: exposed, detail: "connected to " + name}
			}
			if first == nil {
				first = err
			}
		}
	}
	detail := strconv.Itoa(len(names)) + " sockets → " + errName(first)
	return verdict{verdict: blocked, layer: "namespaces", detail: detail}
}

const etherAll = 0x0003 // ETH_P_ALL

func network16(n uint16) uint16 { return n<<8 | n>>8 }

// packetSocket opens a socket that sends and receives whole frames on an interface.
func packetSocket(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(network16(etherAll)))
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network16(etherAll), Ifindex: index}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// probeSniff listens on all interfaces for args[1] milliseconds for a token that is on its way to a neighbour.
func probeSniff(args []string) verdict {
	if len(args) != 2 {
		fail("usage: sniff TOKEN-HASH MILLISECONDS")
	}
	fd, err := packetSocket(0)
	if err != nil {
		return packetRefused(err)
	}
	defer unix.Close(fd)
	timeout(fd, 100)
	end := time.Now().Add(time.Duration(number(args, 1)) * time.Millisecond)
	var frame [65536]byte
	frames := 0
	for time.Now().Before(end) {
		n, _, err := unix.Recvfrom(fd, frame[:], 0)
		if err != nil {
			continue
		}
		frames++
		if holdsToken(frame[:n], args[0]) {
			return verdict{verdict: exposed, detail: "read a neighbour's packet"}
		}
	}
	return verdict{verdict: blocked, layer: "link", detail: "listened to " + strconv.Itoa(frames) +
		" frames, none of them the neighbour's"}
}

func packetRefused(err error) verdict {
	if errno, _ := err.(syscall.Errno); denied(errno) || err == unix.EAFNOSUPPORT {
		layer := readPosture().refuser(unix.CAP_NET_RAW)
		return verdict{verdict: blocked, layer: layer, detail: "AF_PACKET → " + errName(err)}
	}
	return verdict{verdict: couldNotTry, detail: "AF_PACKET → " + errName(err)}
}

// probeRawSockets opens what lets a program write headers itself.
func probeRawSockets([]string) verdict {
	var open []string
	last := error(nil)
	for _, s := range []struct {
		name                   string
		family, kind, protocol int
	}{
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, int(network16(etherAll))},
		{"packet (cooked)", unix.AF_PACKET, unix.SOCK_DGRAM, int(network16(etherAll))},
		{"raw IPv4", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW},
		{"raw ICMP", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		{"raw ICMPv6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
	} {
		fd, err := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, s.protocol)
		if err == nil {
			unix.Close(fd)
			open = append(open, s.name)
		} else {
			last = err
		}
	}
	if len(open) > 0 {
		return verdict{verdict: exposed, detail: "opened " + few(open, 5)}
	}
	return verdict{verdict: blocked, layer: readPosture().refuser(unix.CAP_NET_RAW), detail: "packet and raw sockets → " +
		errName(last)}
}

// interfaceOf returns index, hardware address and IPv4 address of an interface.
func interfaceOf(name string) (index int, mac [6]byte, ip [4]byte, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, mac, ip, err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, mac, ip, err
	}
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, mac, ip, err
	}
	index = int(req.Uint32())
	var raw [40]byte // struct ifreq: the name, then a sockaddr of family and address
	copy(raw[:unix.IFNAMSIZ-1], name)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&raw))); e != 0 {
		return 0, mac, ip, e
	}
	copy(mac[:], raw[unix.IFNAMSIZ+2:])
	if req, err = unix.NewIfreq(name); err != nil {
		return 0, mac, ip, err
	}
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFADDR, req); err != nil {
		return 0, mac, ip, err
	}
	addr, err := req.Inet4Addr()
	copy(ip[:], addr)
	return index, mac, ip, err
}

// parseMAC reads aa:bb:cc:dd:ee:ff.
func parseMAC(s string) (mac [6]byte, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 6 {
		return mac, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return mac, false
		}
		mac[i] = byte(n)
	}
	return mac, true
}
