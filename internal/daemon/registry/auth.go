package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"
)

// Auth is what a person has given for one registry. It is kept for one operation and written nowhere.
type Auth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

const maxAuth = 64 << 10 // bytes of credentials and of tokens

// DecodeAuth reads the header X-Registry-Auth: base64 (either alphabet, padded or not) of a JSON object.
func DecodeAuth(header string) (Auth, error) {
	var a Auth
	if header == "" {
		return a, nil
	}
	if len(header) > maxAuth {
		return a, invalid("X-Registry-Auth is longer than %d bytes", maxAuth)
	}
	plain := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(header, "="))
	b, err := base64.RawURLEncoding.DecodeString(plain)
	if err != nil {
		return a, invalid("X-Registry-Auth is not base64")
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Auth{}, invalid("X-Registry-Auth is not the JSON object that it should be")
	}
	return a, nil
}

// challenge is one WWW-Authenticate header.
type challenge struct {
	scheme string // bearer or basic
	param  map[string]string
}

// parseChallenges reads the headers that it understands and leaves out the others.
func parseChallenges(h http.Header) []challenge {
	var out []challenge
	for _, line := range h.Values("Www-Authenticate") {
		scheme, rest, _ := strings.Cut(line, " ")
		c := challenge{strings.ToLower(scheme), map[string]string{}}
		for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
			key, after, ok := strings.Cut(rest, "=")
			if !ok {
				break
			}
			var value string
			if quoted, is := strings.CutPrefix(after, `"`); is {
				value, rest, _ = strings.Cut(quoted, `"`)
			} else {
				value, rest, _ = strings.Cut(after, ",")
			}
			c.param[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
		out = append(out, c)
	}
	return out
}

// authorize adds what the last challenge of this scope was answered with.
func (c *Client) authorize(r *http.Request, scope string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.auth.RegistryToken != "":
		r.Header.Set("Authorization", "Bearer "+c.auth.RegistryToken)
	case c.tokens[scope] != "":
		r.Header.Set("Authorization", "Bearer "+c.tokens[scope])
	case c.basic:
		r.SetBasicAuth(c.auth.Username, c.auth.Password)
	}
}

// answer prepares the answer to a challenge; the request is then sent again.
func (c *Client) answer(ctx context.Context, list []challenge, scope string) error {
	if c.auth.RegistryToken != "" {
		return c.denied("the given token was refused")
	}
	for _, ch := range list {
		switch {
		case ch.scheme == "bearer":
			token, err := c.fetchToken(ctx, ch, scope)
			if err != nil {
				return err
			}
			c.mu.Lock()
			c.tokens[scope] = token
			c.mu.Unlock()
			return nil
		case ch.scheme == "basic" && c.auth.Username != "":
			c.mu.Lock()
			defer c.mu.Unlock()
			c.basic = true
			return nil
		}
	}
	return c.denied("it wants credentials, and none were given that it takes. Next: docker login %s", c.host)
}

// fetchToken asks the token server that the registry names. Whatever that server is, it gets only the credentials that
// the person gave for this very registry, over TLS.
func (c *Client) fetchToken(ctx context.Context, ch challenge, scope string) (string, error) {
	realm, err := url.Parse(ch.param["realm"])
	if err != nil || !c.mayTalk(realm) {
		return "", c.denied("it names the token server %.200q, which is not acceptable", ch.param["realm"])
	}
	q := url.Values{"service": {ch.param["service"]}}
	if scope != "" {
		q.Set("scope", "repository:"+c.repo+":"+scope)
	}
	var req *http.Request
	if c.auth.IdentityToken != "" {
		q.Set("grant_type", "refresh_token")
		q.Set("refresh_token", c.auth.IdentityToken)
		q.Set("client_id", "brig")
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(q.Encode()))
	} else {
		all := realm.Query()
		for k, v := range q {
			all[k] = v
		}
		realm.RawQuery = all.Encode()
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	}
	if err != nil {
		return "", fmt.Errorf("token server: %w", err)
	}
	if req.Method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if c.auth.Username != "" {
		req.SetBasicAuth(c.auth.Username, c.auth.Password)
	}
	return c.readToken(req)
}

func (c *Client) readToken(req *http.Request) (string, error) {
	res, err := c.clientFor(req.URL).Do(req)
	if err != nil {
		return "", c.explain("ask the token server "+req.URL.Host, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", c.denied("its token server %s answered %s", req.URL.Host, refusal(res))
	}
	body, err := readAll(res.Body, maxAuth)
	if err != nil {
		return "", c.explain("read the token", err)
	}
	var t struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return "", c.denied("its token server %s sent no valid token", req.URL.Host)
	}
	if t.Token == "" {
		t.Token = t.AccessToken
	}
	if t.Token == "" || strings.ContainsFunc(t.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", c.denied("its token server %s sent no valid token", req.URL.Host)
	}
	return t.Token, nil
}

func (c *Client) denied(format string, args ...any) error {
	return fmt.Errorf("registry %s: %s: %w", c.host, fmt.Sprintf(format, args...), errdefs.ErrPermissionDenied)
}
