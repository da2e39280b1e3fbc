package main

import (
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// probeConnectionHog has args[2] connections at a time: one packet from each port of its own to port args[1] of the
// address args[0], where the drill counts what arrives. The kernel remembers each for half a minute, in a table that the
// whole machine shares.
func probeConnectionHog(args []string) verdict {
	if len(args) != 3 {
		fail("usage: connection-hog ADDRESS PORT COUNT")
	}
	ip, ok := parseIPv4(args[0])
	if !ok {
		fail("connection-hog: " + args[0])
	}
	to := &unix.SockaddrInet4{Addr: ip, Port: int(number(args, 1))}
	sent, refused, last := 0, 0, error(nil)
	for port := 2000; port < 2000+int(number(args, 2)) && port < 1<<16; port++ {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return verdict{verdict: couldNotTry, detail: "socket → " + errName(err)}
		}
		if unix.Bind(fd, &unix.SockaddrInet4{Port: port}) == nil {
			if err := unix.Sendto(fd, []byte("flow "+strconv.Itoa(port)), 0, to); err != nil {
				refused, last = refused+1, err
			} else {
				sent++
			}
		}
		unix.Close(fd)
		if port%100 == 0 {
			time.Sleep(time.Millisecond) // a listener that loses packets would count too few
		}
	}
	detail := strconv.Itoa(sent) + " packets sent"
	if refused > 0 {
		detail += ", " + strconv.Itoa(refused) + " refused (" + errName(last) + ")"
	}
	return verdict{verdict: lookOutside, layer: "bound of connections", detail: detail}
}

// probePacketFlood sends small packets as fast as it can for args[0] milliseconds to the name service's port and to the
// service's of each address args[1:].
func probePacketFlood(args []string) verdict {
	end := time.Now().Add(time.Duration(number(args, 0)) * time.Millisecond)
	var to []*unix.SockaddrInet4
	for _, a := range args[1:] {
		if ip, ok := parseIPv4(a); ok {
			to = append(to, &unix.SockaddrInet4{Addr: ip, Port: 53}, &unix.SockaddrInet4{Addr: ip, Port: 7})
		}
	}
	if len(to) == 0 {
		return verdict{verdict: couldNotTry, detail: "there is nobody to flood"}
	}
	threads := 2 * runtime.NumCPU()
	results := make(chan int, threads)
	query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06canary\x07invalid\x00\x00\x01\x00\x01")
	for range threads {
		go func() {
			n := 0
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			for err == nil && time.Now().Before(end) {
				for i := range 64 {
					if unix.Sendto(fd, query, unix.MSG_DONTWAIT, to[i%len(to)]) == nil {
						n++
					}
				}
			}
			results <- n
		}()
	}
	sent := 0
	for range threads {
		sent += <-results
	}
	return verdict{verdict: lookOutside, layer: "firewall", detail: strconv.Itoa(sent) + " packets sent"}
}
