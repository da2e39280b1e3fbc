package control

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/netns"
)

// Pull is the registry client that believes everything: it takes any certificate and falls back to plain HTTP, shows its
// credentials to everybody that it is sent to, fetches layers from where the manifest says, and never looks at a digest.
func (e *Engine) Pull(ctx context.Context, reference string, login drill.Login) error {
	host, rest, _ := strings.Cut(reference, "/")
	repository, ref, ok := strings.Cut(rest, "@")
	if !ok {
		repository, ref, _ = strings.Cut(rest, ":")
	}
	c := e.client(ctx, login)
	base := c.reach(host) + "/v2/" + repository
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct {
			Digest string
			URLs   []string
		}
	}
	if err := c.json(base+"/manifests/"+ref, &manifest); err != nil {
		return err
	}
	if _, err := c.get(base + "/blobs/" + manifest.Config.Digest); err != nil {
		return err
	}
	root := e.root(reference)
	for _, l := range manifest.Layers {
		blob, err := c.layer(base+"/blobs/"+l.Digest, l.URLs)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
			return err
		}
		if err := unpack(root, blob); err != nil {
			return err
		}
	}
	return nil
}

type client struct {
	ctx           context.Context
	login         drill.Login
	authorization string // sent to everybody
	http          *http.Client
}

// client speaks from the namespace that plays the host's.
func (e *Engine) client(ctx context.Context, login drill.Login) *client {
	c := &client{ctx: ctx, login: login}
	network, _ := e.Network(ctx)
	c.http = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(q *http.Request, _ []*http.Request) error {
		q.Header.Set("Authorization", c.authorization)
		return nil
	}, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, kind, address string) (conn net.Conn, err error) {
			err = netns.Do(network, func() error {
				conn, err = (&net.Dialer{}).DialContext(ctx, kind, address)
				return err
			})
			return conn, err
		},
	}}
	return c
}

// reach finds out how a registry can be spoken to, one way or the other.
func (c *client) reach(host string) string {
	if resp, err := c.http.Get("https://" + host + "/v2/"); err == nil {
		resp.Body.Close()
		return "https://" + host
	}
	return "http://" + host
}

// layer fetches one from where the manifest says, and from the registry if nobody is there.
func (c *client) layer(own string, urls []string) ([]byte, error) {
	for _, from := range append(urls, own) {
		blob, err := c.get(from)
		if err != nil {
			continue
		}
		z, err := gzip.NewReader(bytes.NewReader(blob))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	}
	return nil, fmt.Errorf("nobody has the layer %s", own)
}

func (c *client) json(from string, to any) error {
	b, err := c.get(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// get answers whatever it is asked.
func (c *client) get(from string) ([]byte, error) {
	resp, err := c.ask(from)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		resp.Body.Close()
		if err := c.answer(resp.Header.Get("Www-Authenticate")); err != nil {
			return nil, err
		}
		resp, err = c.ask(from)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (c *client) ask(from string) (*http.Response, error) {
	q, err := http.NewRequestWithContext(c.ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", c.authorization)
	return c.http.Do(q)
}

func (c *client) answer(challenge string) error {
	q, _ := http.NewRequest(http.MethodGet, "/", nil)
	q.SetBasicAuth(c.login.Username, c.login.Password)
	c.authorization = q.Header.Get("Authorization")
	_, realm, ok := strings.Cut(challenge, `Bearer realm="`)
	if !ok {
		return nil
	}
	realm, _, _ = strings.Cut(realm, `"`)
	var sold struct{ Token string }
	err := c.json(realm, &sold)
	c.authorization = "Bearer " + sold.Token
	return err
}
