package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

// Options are what only tests and a future configuration set.
type Options struct {
	// RootCAs are the authorities that vouch for registries; nil takes those of the system.
	RootCAs *x509.CertPool
	// Pause before a download is tried again; 0 means half a second. It doubles each time.
	Pause time.Duration
	// Stall is how long a registry may send nothing; 0 means a minute.
	Stall time.Duration
}

// Client talks to one repository of one registry. It is safe for concurrent use.
type Client struct {
	host     string // host[:port]
	repo     string // path of the repository
	name     string // as people write it
	loopback bool   // the registry is on this machine
	auth     Auth
	pause    time.Duration
	stall    time.Duration
	// own connects to the registry itself, away to where it sends us.
	own, away *http.Client

	mu     sync.Mutex
	scheme string // "" until the first request
	tokens map[string]string
	basic  bool
}

const (
	hub     = "registry-1.docker.io"
	maxHops = 5
)

// New prepares to talk about one repository. Nothing is sent yet.
func New(name reference.Named, auth Auth, o Options) *Client {
	c := &Client{host: reference.Domain(name), repo: reference.Path(name), name: reference.FamiliarName(name), auth: auth,
		pause: cmp.Or(o.Pause, 500*time.Millisecond), stall: cmp.Or(o.Stall, time.Minute), tokens: map[string]string{}}
	if c.host == "docker.io" {
		c.host = hub
	}
	c.loopback = onThisMachine(c.host)
	if !c.loopback {
		c.scheme = "https"
	}
	c.own = c.newHTTP(o.RootCAs, c.ownAddress)
	c.away = c.newHTTP(o.RootCAs, c.awayAddress)
	return c
}

// Close gives back the connections.
func (c *Client) Close() {
	c.own.CloseIdleConnections()
	c.away.CloseIdleConnections()
}

func (c *Client) newHTTP(roots *x509.CertPool, allowed func(netip.Addr) error) *http.Client {
	d := &net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
		return allowed(a.Addr().Unmap())
	}}
	return &http.Client{
		// Redirects are followed here by hand, where it is known what is asked for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            d.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    20 * time.Second,
			ResponseHeaderTimeout:  c.stall,
			MaxResponseHeaderBytes: 128 << 10,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true, // nothing of a stranger is decompressed in this process
			ForceAttemptHTTP2:      true,
		},
	}
}

// onThisMachine tells whether a registry's name can only mean this machine. Only such a one may speak plain HTTP.
func onThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// ownAddress checks the address that the registry's own name has led to.
func (c *Client) ownAddress(a netip.Addr) error {
	if c.loopback && !a.IsLoopback() {
		return fmt.Errorf("%s leads to %s, which is not this machine: %w", c.host, a, errdefs.ErrPermissionDenied)
	}
	if isMetadata(a) {
		return fmt.Errorf("%s leads to %s, an address of the machine's own surroundings: %w", c.host, a,
			errdefs.ErrPermissionDenied)
	}
	return nil
}

// awayAddress checks the address of a server that the registry has named.
func (c *Client) awayAddress(a netip.Addr) error {
	if isMetadata(a) || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() && !c.loopback {
		return fmt.Errorf("registry %s sends us to %s, an address of this machine or its surroundings: %w",
			c.host, a, errdefs.ErrPermissionDenied)
	}
	return nil
}

// isMetadata: link-local addresses, and those beyond it where clouds serve credentials.
func isMetadata(a netip.Addr) bool {
	return a.IsLinkLocalUnicast() || a == netip.AddrFrom4([4]byte{100, 100, 100, 200}) ||
		a == netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54})
}

// mayTalk tells whether a URL that the registry has given is acceptable at all: TLS, or all of it on this machine.
func (c *Client) mayTalk(u *url.URL) bool {
	if u.Host == "" || u.User != nil || u.Opaque != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && c.plain() && onThisMachine(u.Host)
}

func (c *Client) plain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scheme == "http"
}

func (c *Client) clientFor(u *url.URL) *http.Client {
	if u.Host == c.host {
		return c.own
	}
	return c.away
}

// settle finds out once whether a registry on this machine speaks TLS. All others have to.
func (c *Client) settle(ctx context.Context) error {
	c.mu.Lock()
	known := c.scheme != ""
	c.mu.Unlock()
	if known {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.host+"/v2/", nil)
	if err != nil {
		return fmt.Errorf("registry %s: %w", c.host, err)
	}
	scheme := "https"
	res, err := c.own.Do(req)
	switch {
	case err == nil:
		res.Body.Close()
	case errors.Is(err, http.ErrSchemeMismatch):
		scheme = "http"
	default:
		return c.explain("connect", err)
	}
	c.mu.Lock()
	c.scheme = scheme
	c.mu.Unlock()
	return nil
}

// explain turns an error of the connection into a sentence.
func (c *Client) explain(what string, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalidCert x509.CertificateInvalidError
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may hold a token
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errdefs.ErrPermissionDenied), errors.Is(err,
		errdefs.ErrInvalidArgument):
		return fmt.Errorf("registry %s: %s: %w", c.host, what, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("registry %s speaks plain HTTP, where anyone on the way can change what you get; "+
			"this is allowed only "+
			"for a registry on this machine (127.0.0.0/8, ::1, localhost): %w", c.host, errdefs.ErrPermissionDenied)
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalidCert):
		return fmt.Errorf("registry %s: its certificate is not to be trusted: %w: %w", c.host, err,
			errdefs.ErrPermissionDenied)
	}
	return fmt.Errorf("registry %s: %s: %w: %w", c.host, what, err, errdefs.ErrUnavailable)
}

// readAll reads a body that must not be longer than limit.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = invalid("more than %d bytes", limit)
	}
	return b, err
}
