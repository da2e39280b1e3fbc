package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/containerd/errdefs"
)

// request is one request to the registry itself.
type request struct {
	method string
	path   string   // below /v2/NAME/, or
	url    *url.URL // the place that the registry has named, on its own host
	header map[string]string
	scope  string // pull, or pull,push
	// body gives the body anew for each attempt; size is its length in bytes.
	body func() io.Reader
	size int64
}

// do sends a request, answers at most one challenge, and returns the reply whatever its status is.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	u := q.url
	if u == nil {
		u = c.endpoint(q.path)
	}
	for challenged := false; ; challenged = true {
		req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", c.host, err)
		}
		if q.body != nil {
			req.Body, req.ContentLength = io.NopCloser(q.body()), q.size
			if q.size == 0 {
				req.Body = http.NoBody
			}
		}
		for k, v := range q.header {
			req.Header.Set(k, v)
		}
		c.authorize(req, q.scope)
		res, err := c.own.Do(req)
		if err != nil {
			return nil, c.explain(strings.ToLower(q.method), err)
		}
		if res.StatusCode != http.StatusUnauthorized {
			return res, nil
		}
		list := parseChallenges(res.Header)
		text := refusal(res)
		res.Body.Close()
		if challenged {
			return nil, c.denied("access to %s was denied: %s", c.repo, text)
		}
		if err := c.answer(ctx, list, q.scope); err != nil {
			return nil, err
		}
	}
}

func (c *Client) endpoint(path string) *url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &url.URL{Scheme: c.scheme, Host: c.host, Path: "/v2/" + c.repo + "/" + path}
}

// follow follows the redirects of a GET. Manifests come from the registry's own host only; blobs may come from
// elsewhere, without our credentials and never from an address of this machine or its surroundings.
func (c *Client) follow(ctx context.Context, res *http.Response, q request, elsewhere bool) (*http.Response, error) {
	for hop := 0; ; hop++ {
		switch res.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
			http.StatusPermanentRedirect:
		default:
			return res, nil
		}
		u, err := res.Location()
		res.Body.Close()
		switch {
		case err != nil:
			return nil, invalid("registry %s: a redirect that leads nowhere", c.host)
		case hop == maxHops:
			return nil, invalid("registry %s: more than %d redirects", c.host, maxHops)
		case !c.mayTalk(u):
			return nil, fmt.Errorf("registry %s sends us to %s://%.100s, which is neither TLS nor allowed otherwise: %w",
				c.host, u.Scheme, u.Host, errdefs.ErrPermissionDenied)
		case u.Host == c.host:
			q.url = u
			res, err = c.do(ctx, q)
		case !elsewhere:
			return nil, fmt.Errorf("registry %s sends us to %.100s for a manifest; "+
				"manifests are taken from the registry itself only: %w",
				c.host, u.Host, errdefs.ErrPermissionDenied)
		default:
			res, err = c.fetchAway(ctx, u, q)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *Client) fetchAway(ctx context.Context, u *url.URL, q request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", c.host, err)
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	res, err := c.away.Do(req)
	if err != nil {
		return nil, c.explain("get from "+u.Host, err)
	}
	return res, nil
}

// failure makes an error of a reply and closes it. what names the object.
func (c *Client) failure(res *http.Response, what string) error {
	defer res.Body.Close()
	text := refusal(res)
	var class error = errdefs.ErrUnavailable
	switch code := res.StatusCode; {
	case code == http.StatusNotFound:
		return notFound("%s not found: registry %s: %s", what, c.host, text)
	case code == http.StatusForbidden:
		return c.denied("access to %s was denied: %s", what, text)
	case code == http.StatusTooManyRequests:
		return fmt.Errorf("registry %s: too many requests, its limit for you is reached: %s: %w", c.host, text, class)
	case code < 500:
		class = errdefs.ErrInvalidArgument
	}
	return fmt.Errorf("registry %s: %s: %s: %w", c.host, what, text, class)
}

// refusal reads what a registry says about a refusal, as one printable line.
func refusal(res *http.Response) string {
	text := fmt.Sprintf("HTTP status %d", res.StatusCode)
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<10))
	if err != nil {
		return text
	}
	var list struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(b, &list) != nil || len(list.Errors) == 0 {
		return text
	}
	line := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, list.Errors[0].Code+": "+list.Errors[0].Message)
	return fmt.Sprintf("%.300s", line)
}

func notFound(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errdefs.ErrNotFound)
}
