package syslog

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func options(t testing.TB, pairs ...string) *Options {
	t.Helper()
	o := Default()
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		if !Known("syslog-" + k) {
			t.Fatalf("%s is not known", k)
		}
		if err := o.Set("syslog-"+k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	return o
}

func within() time.Time { return time.Now().Add(5 * time.Second) }

// stream gives the address of a listener, and what its first connection brings, line by line.
func stream(t testing.TB, network, address string, cfg *tls.Config) (string, chan string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	where := l.Addr().String()
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	lines := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for in := bufio.NewReader(c); ; {
				s, err := in.ReadString('\n')
				if err != nil {
					break
				}
				lines <- s
			}
		}
	}()
	return where, lines
}

func packets(t testing.TB, network, address string) (string, chan string) {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	lines := make(chan string, 100)
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			lines <- string(b[:n])
		}
	}()
	return c.LocalAddr().String(), lines
}

func next(t testing.TB, lines chan string) string {
	t.Helper()
	select {
	case s := <-lines:
		return s
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

func TestMessagesArriveOverEverySocket(t *testing.T) {
	dir := t.TempDir()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ca, server := certificates(t, dir)
	udp, udpLines := packets(t, "udp", "127.0.0.1:0")
	tcp, tcpLines := stream(t, "tcp", "[::1]:0", nil)
	sock, sockLines := stream(t, "unix", dir+"/stream", nil)
	gram, gramLines := packets(t, "unixgram", dir+"/gram")
	enc, encLines := stream(t, "tcp", "127.0.0.1:0", server)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789000, time.Local)
	stamp := at.Format(time.Stamp)
	zone := at.Format("Z07:00")
	pid := os.Getpid()
	for _, c := range []struct {
		pairs []string
		lines chan string
		want  string
	}{
		{[]string{"address=udp://" + udp, "facility=local0"}, udpLines, fmt.Sprintf("<131>%s a tag[%d]: text\n", stamp, pid)},
		{[]string{"address=tcp://" + tcp, "format=rfc3164"}, tcpLines, fmt.Sprintf("<27>%s %s a tag[%d]: text\n", stamp, host, pid)},
		{[]string{"address=unix://" + sock, "format=rfc5424", "facility=1"}, sockLines,
			fmt.Sprintf("<11>1 2026-01-02T03:04:05%s %s a_tag %d a_tag - text\n", zone, host, pid)},
		{[]string{"address=unixgram://" + gram, "format=rfc5424micro"}, gramLines,
			fmt.Sprintf("<27>1 2026-01-02T03:04:05.006789%s %s a_tag %d a_tag - text\n", zone, host, pid)},
		{[]string{"address=tcp+tls://" + enc, "format=rfc5424", "tls-ca-cert=" + ca, "tls-cert=" + dir + "/client.pem",
			"tls-key=" + dir + "/client.key"}, encLines, "\x00"},
		{nil, gramLines, fmt.Sprintf("<27>%s a tag[%d]: text\n", stamp, pid)},
	} {
		o := options(t, c.pairs...)
		conn, err := Dial(context.Background(), o, "a tag", []string{dir + "/none", dir + "/gram"})
		if err != nil {
			t.Errorf("%v: %v", c.pairs, err)
			continue
		}
		if err := conn.Send(Err, at, []byte("text"), within()); err != nil {
			t.Errorf("%v: %v", c.pairs, err)
		}
		if c.want == "\x00" {
			message := fmt.Sprintf("<27>1 2026-01-02T03:04:05%s %s a_tag %d a_tag - text\n", zone, host, pid)
			c.want = fmt.Sprintf("%d %s", len(message), message)
		}
		if got := next(t, c.lines); got != c.want {
			t.Errorf("%v: %q, want %q", c.pairs, got, c.want)
		}
		conn.Close()
	}
}

// certificates makes a certificate authority, a server's and a client's certificate, and files of them.
func certificates(t testing.TB, dir string) (ca string, server *tls.Config) {
	t.Helper()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true,
		BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	key := newKey(t)
	pool := x509.NewCertPool()
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = dir + "/ca.pem"
	pool.AppendCertsFromPEM(write(t, ca, "CERTIFICATE", root))
	pairs := map[string]tls.Certificate{}
	for _, name := range []string{"server", "client"} {
		k := newKey(t)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, authority, k.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(write(t, dir+"/"+name+".pem", "CERTIFICATE", der),
			write(t, dir+"/"+name+".key", "EC PRIVATE KEY", secret))
		if err != nil {
			t.Fatal(err)
		}
		pairs[name] = pair
	}
	return ca, &tls.Config{Certificates: []tls.Certificate{pairs["server"]}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t testing.TB, path, kind string, der []byte) []byte {
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhoCannotShowACertificateIsRefused(t *testing.T) {
	dir := t.TempDir()
	ca, server := certificates(t, dir)
	server.ClientAuth = tls.NoClientCert
	where, lines := stream(t, "tcp", "127.0.0.1:0", server)
	if c, err := Dial(context.Background(), options(t, "address=tcp+tls://"+where), "x", nil); err == nil {
		c.Close()
		t.Error("an unknown authority is trusted")
	}
	_, port, _ := net.SplitHostPort(where)
	if c, err := Dial(context.Background(), options(t, "address=tcp+tls://localhost:"+port, "tls-ca-cert="+ca), "x", nil); err == nil {
		c.Close()
		t.Error("another name is trusted")
	}
	c, err := Dial(context.Background(), options(t, "address=tcp+tls://"+where, "tls-skip-verify=true"), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(Info, time.Now(), []byte("text"), within()); err != nil || !strings.HasSuffix(next(t, lines), ": text\n") {
		t.Errorf("%v", err)
	}
	for option, path := range map[string]string{"tls-ca-cert": dir + "/none", "tls-ca-cert ": dir, "tls-ca-cert  ": dir + "/client.key"} {
		o := options(t, "address=tcp+tls://"+where, strings.TrimSpace(option)+"="+path)
		if _, err := Dial(context.Background(), o, "x", nil); err == nil || !strings.Contains(err.Error(), "syslog-tls-ca-cert") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{"udp://h": "udp h:514", "tcp://1.2.3.4:5": "tcp 1.2.3.4:5", "tcp+tls://[::1]": "tcp+tls [::1]:514",
		"unix:///a/b": "unix /a/b", "unixgram:///dev/log": "unixgram /dev/log", "": " ",
		"http://h": "", "h:514": "", "tcp://": "", "tcp://:5": "", "tcp://h:0": "", "tcp://h:99999": "", "tcp://h:x": "", "tcp://h/path": "",
		"tcp://u@h": "", "tcp://h?x": "", "tcp://h#x": "", "unix://": "", "unix://rel": "", "unix:///a/../b": "", "unix:///proc/1/root/dev/log": "",
		"unix:///" + strings.Repeat("x", 108): "", "udp://0.0.0.0": "", "udp://255.255.255.255": "", "udp://224.0.0.1": "", "udp://[ff02::1]": "",
		"tcp://169.254.169.254:80": "", "tcp://[::ffff:169.254.169.254]:80": "", "tcp://100.100.100.200": "", "tcp://[fd00:ec2::254]": "",
		"tcp://[fe80::1]": "", "udp://]": "", "tcp://a]b:5": "", "tcp://[[::1]]:5": ""} {
		network, address, err := parseAddress(in)
		if (err != nil) != (want == "") || err == nil && network+" "+address != want {
			t.Errorf("%q: %q %q, %v", in, network, address, err)
		}
	}
	// A name that leads there is refused when it is looked up.
	o := &Options{Network: "tcp", Address: netip.AddrPortFrom(netip.MustParseAddr("169.254.169.254"), 1).String()}
	if _, err := Dial(context.Background(), o, "x", nil); err == nil || !strings.Contains(err.Error(), "surroundings") {
		t.Errorf("%v", err)
	}
}

func TestTheEndOfAReceiverIsNoticed(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(context.Background(), options(t, "address=unix://"+l.Addr().String()), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for end := time.Now().Add(5 * time.Second); !c.gone.Load() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := c.Send(Info, time.Now(), []byte("x"), within()); err == nil {
		t.Error("it is sent to nobody")
	}
}

func TestAHangingReceiverHasADeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(context.Background(), options(t, "address=tcp://"+l.Addr().String()), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := make([]byte, 16<<10)
	for range 10000 {
		if err = c.Send(Info, time.Now(), text, time.Now().Add(100*time.Millisecond)); err != nil {
			break
		}
	}
	if !os.IsTimeout(err) {
		t.Errorf("%v", err)
	}
}

// FuzzAddress: what is accepted is somebody in particular.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"tcp://1.2.3.4:5", "unix:///dev/log", "udp://[::1]", "tcp+tls://h", "udp://]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		network, address, err := parseAddress(s)
		if err != nil || network == "" {
			return
		}
		if strings.HasPrefix(network, "unix") {
			if !filepath.IsAbs(address) || len(address) > longestPath {
				t.Fatalf("%q: %q", s, address)
			}
			return
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || port == "" || port == "0" {
			t.Fatalf("%q: %q, %v", s, address, err)
		}
		if a, err := netip.ParseAddr(host); err == nil && allowed(a) != nil {
			t.Fatalf("%q: %q", s, address)
		}
	})
}
