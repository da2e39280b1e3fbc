package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile bounds a file of certificates.
const maxFile = 1 << 20

// dialTLS connects and verifies who answers.
func (o *Options) dialTLS(ctx context.Context, d *net.Dialer) (net.Conn, error) {
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: o.SkipVerify}
	if o.CA != "" {
		pem, err := readFile("syslog-tls-ca-cert", o.CA)
		if err != nil {
			return nil, err
		}
		if cfg.RootCAs, err = x509.SystemCertPool(); err != nil {
			cfg.RootCAs = x509.NewCertPool()
		}
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("syslog-tls-ca-cert %s: no certificate is in it", o.CA)
		}
	}
	if o.Cert != "" {
		cert, err := readFile("syslog-tls-cert", o.Cert)
		if err != nil {
			return nil, err
		}
		key, err := readFile("syslog-tls-key", o.Key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("syslog-tls-cert %s: %w", o.Cert, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return (&tls.Dialer{NetDialer: d, Config: cfg}).DialContext(ctx, "tcp", o.Address)
}

// readFile reads a file of the host as brigd, which has no privilege: what it may not see, a caller does not get to use.
func readFile(option, path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s %s: brigd reads it as id %d, without privileges, and may not. Next: a copy that it may read, "+
			"below /etc/ssl or the engine's ROOT/daemon", option, path, os.Getuid())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: there is no file %s", option, path)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %s: must be a file", option, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("has more than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", option, path, err)
	}
	return b, nil
}
