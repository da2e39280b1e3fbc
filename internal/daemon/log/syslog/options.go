package syslog

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Networks. "" stands for the machine's own syslog.
const secure = "tcp+tls"

// Options say where messages go and how they look.
type Options struct {
	Network  string `json:"network,omitempty"` // unix, unixgram, udp, tcp, tcp+tls
	Address  string `json:"address,omitempty"` // a path, or host:port
	Facility int    `json:"facility"`
	Format   string `json:"format,omitempty"`
	// Files of the host that brigd reads when it connects, with no more rights than it has.
	CA         string `json:"ca,omitempty"`
	Cert       string `json:"cert,omitempty"`
	Key        string `json:"key,omitempty"`
	SkipVerify bool   `json:"skipVerify,omitempty"`
}

// The formats.
const (
	rfc3164      = "rfc3164"
	rfc5424      = "rfc5424"
	rfc5424micro = "rfc5424micro"
)

// facilities by number.
var facilities = strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - " +
	"local0 local1 local2 local3 local4 local5 local6 local7")

const (
	facilityDaemon = 3
	defaultPort    = "514"
	// longestPath is what fits into an address (unix(7)).
	longestPath = 107
)

// Default is the machine's own syslog, in the local format, as the facility daemon.
func Default() *Options { return &Options{Facility: facilityDaemon} }

// Known tells whether k is an option of the driver.
func Known(k string) bool {
	switch strings.TrimPrefix(k, "syslog-") {
	case "address", "facility", "format", "tls-ca-cert", "tls-cert", "tls-key", "tls-skip-verify":
		return strings.HasPrefix(k, "syslog-")
	}
	return false
}

// Set sets one option. The error begins with its name.
func (o *Options) Set(k, v string) (err error) {
	switch k {
	case "syslog-address":
		o.Network, o.Address, err = parseAddress(v)
	case "syslog-facility":
		o.Facility, err = parseFacility(v)
	case "syslog-format":
		switch v {
		case "", rfc3164, rfc5424, rfc5424micro:
			o.Format = v
		default:
			err = errors.New("Invalid syslog format: there are rfc3164, rfc5424 and rfc5424micro") //nolint:staticcheck // Docker's words
		}
	case "syslog-tls-ca-cert":
		o.CA, err = file(v)
	case "syslog-tls-cert":
		o.Cert, err = file(v)
	case "syslog-tls-key":
		o.Key, err = file(v)
	case "syslog-tls-skip-verify":
		if o.SkipVerify, err = strconv.ParseBool(v); v == "" {
			o.SkipVerify, err = true, nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	return nil
}

// Check looks at what only makes sense together.
func (o *Options) Check() error {
	switch {
	case o.Network != secure && (o.CA != "" || o.Cert != "" || o.Key != "" || o.SkipVerify):
		return errors.New("syslog-tls: certificates are for an address that begins with tcp+tls://")
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("syslog-tls-cert: goes with syslog-tls-key, and the other way round")
	}
	return nil
}

func file(v string) (string, error) {
	if !path.IsAbs(v) || path.Clean(v) != v {
		return "", fmt.Errorf("%q must be the absolute path of a file", v)
	}
	return v, nil
}

func parseFacility(v string) (int, error) {
	if v == "" {
		return facilityDaemon, nil
	}
	for i, name := range facilities {
		if v == name && v != "-" {
			return i, nil
		}
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < len(facilities) {
		return n, nil
	}
	return 0, errors.New("invalid syslog facility")
}

func parseAddress(v string) (network, address string, err error) {
	if v == "" {
		return "", "", nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", fmt.Errorf("%q must be like tcp://HOST:PORT or unix:///PATH", v)
	}
	switch u.Scheme {
	case "unix", "unixgram":
		p, err := file(u.Path)
		if err != nil || u.Host != "" || len(p) > longestPath || strings.HasPrefix(p, "/proc/") {
			return "", "", fmt.Errorf("%q must name a socket by its absolute path, of at most %d bytes, outside /proc", v, longestPath)
		}
		return u.Scheme, p, nil
	case "udp", "tcp", secure:
	default:
		return "", "", fmt.Errorf("unsupported scheme: '%s'", u.Scheme)
	}
	// A bracket that opens nothing is part of a name to package url, and nothing to package net.
	if u.Path != "" || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "[]") {
		return "", "", fmt.Errorf("%q must be like tcp://HOST:PORT", v)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("%q: the port must be between 1 and 65535", v)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := allowed(a); err != nil {
			return "", "", err
		}
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
}

// allowed refuses addresses that are nobody's in particular, and those of the machine's surroundings, where clouds serve
// credentials: whoever may create a container shall not talk to them through brigd. It is asked again for what a name led to.
func allowed(a netip.Addr) error {
	a = a.Unmap()
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is the address of nobody in particular", a)
	case a.IsLinkLocalUnicast(), a == netip.AddrFrom4([4]byte{100, 100, 100, 200}),
		a == netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54}):
		return fmt.Errorf("%s is an address of the machine's own surroundings", a)
	}
	return nil
}
