package drill

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// buyer is an engine that can do nothing but pull. Without faults it is careful, and speaks plain HTTP.
type buyer struct {
	Engine
	secure                           bool // speaks TLS only
	trusts, wanders, tells, insecure bool // faults: content, addresses in manifests, redirects, certificates
	stays, never, fails, forgets     bool // no faults, but nothing that could be called a defence either
	images                           map[string]bool
	authorization                    string
}

func (b *buyer) HasImage(_ context.Context, name string) (bool, error) { return b.images[name], nil }

func (b *buyer) Unload(_ context.Context, name string) error {
	delete(b.images, name)
	return nil
}

func (b *buyer) Pull(_ context.Context, reference string, login Login) error {
	if b.never {
		return errors.New("nobody pulls here")
	}
	host, rest, _ := strings.Cut(reference, "/")
	name, ref, _ := strings.Cut(rest, "@")
	if ref == "" {
		name, ref, _ = strings.Cut(rest, ":")
	}
	b.authorization = ""
	base := "http://" + host + "/v2/" + name
	if b.secure {
		base = "https://" + host + "/v2/" + name
	}
	body, err := b.get(base+"/manifests/"+ref, login)
	if err != nil {
		return err
	}
	if !b.trusts && strings.Contains(ref, ":") && digest(body) != ref {
		return errors.New("the manifest has another digest")
	}
	var m struct{ Layers []descriptor }
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	l := m.Layers[0]
	if b.wanders && len(l.URLs) > 0 {
		http.Get(l.URLs[0])
	}
	blob, err := b.get(base+"/blobs/"+l.Digest, login)
	switch {
	case err != nil:
		return err
	case b.fails:
		return errors.New("out of space")
	case !b.trusts && (digest(blob) != l.Digest || len(blob) != l.Size):
		return errors.New("the layer has another digest")
	case !b.forgets:
		b.images[reference] = true
	}
	return nil
}

// get answers a challenge of the registry's, and asks again.
func (b *buyer) get(from string, login Login) ([]byte, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: b.insecure}},
		CheckRedirect: func(q *http.Request, _ []*http.Request) error {
			if b.stays {
				return errors.New("no redirects")
			}
			if b.tells {
				q.Header.Set("Authorization", b.authorization)
			}
			return nil
		}}
	for challenged := false; ; challenged = true {
		q, err := http.NewRequest(http.MethodGet, from, nil)
		if err != nil {
			return nil, err
		}
		q.Header.Set("Authorization", b.authorization)
		resp, err := c.Do(q)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || challenged {
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
			return body, err
		}
		q.SetBasicAuth(login.Username, login.Password)
		b.authorization = q.Header.Get("Authorization")
		if _, realm, ok := strings.Cut(resp.Header.Get("Www-Authenticate"), `Bearer realm="`); ok {
			realm, _, _ = strings.Cut(realm, `"`)
			sold, err := b.get(realm, login)
			if err != nil {
				return nil, err
			}
			var t struct{ Token string }
			json.Unmarshal(sold, &t)
			b.authorization = "Bearer " + t.Token
		}
	}
}

// distrusted is a probe of the canary network, on the loopback.
func distrusted(certified bool) func(*run) Verdict {
	return func(r *run) Verdict {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return couldNot("%v", err)
		}
		if !certified {
			return r.distrust(l, "over plain HTTP", "TLS required")
		}
		c, err := selfSigned(net.IPv4(127, 0, 0, 1))
		if err != nil {
			return couldNot("%v", err)
		}
		return r.distrust(l, "past a certificate", "TLS verification", c)
	}
}

// What an engine does decides, and an engine that does nothing was not tried.
func TestPullsAreJudgedByWhatIsSeen(t *testing.T) {
	plain, certified := distrusted(false), distrusted(true)
	for _, c := range []struct {
		name    string
		probe   func(*run) Verdict
		engine  buyer
		verdict string
		want    string // the layer, or part of the detail
	}{
		{"bytes, careful", tryPulledBytes, buyer{}, Blocked, "digest check"},
		{"bytes, trusting", tryPulledBytes, buyer{trusts: true}, Exposed, "digest; the engine took a layer"},
		{"bytes, no pulls", tryPulledBytes, buyer{never: true}, CouldNotTry, "nobody pulls here"},
		{"bytes, TLS only", tryPulledBytes, buyer{secure: true}, CouldNotTry, "not even an honest image"},
		{"bytes, broken", tryPulledBytes, buyer{fails: true}, CouldNotTry, "out of space"},
		{"bytes, forgetful", tryPulledBytes, buyer{forgets: true}, CouldNotTry, "not even an honest image"},
		{"foreign, careful", tryForeignLayer, buyer{}, Blocked, "own registry only"},
		{"foreign, wandering", tryForeignLayer, buyer{wanders: true}, Exposed, "a service on the host's loopback"},
		{"foreign, no pulls", tryForeignLayer, buyer{never: true}, CouldNotTry, "nobody pulls here"},
		{"credentials, careful", tryCredentials, buyer{}, Blocked, "credential scope"},
		{"credentials, talkative", tryCredentials, buyer{tells: true}, Exposed, "the password followed a redirect to another " +
			"host; the token followed"},
		{"credentials, no redirects", tryCredentials, buyer{stays: true}, Blocked, "redirect check"},
		{"credentials, no pulls", tryCredentials, buyer{never: true}, CouldNotTry, "never redirected"},
		{"plain HTTP, careful", plain, buyer{secure: true}, Blocked, "TLS required"},
		{"plain HTTP, careless", plain, buyer{}, Exposed, "the password was sent over plain HTTP"},
		{"plain HTTP, no pulls", plain, buyer{never: true}, CouldNotTry, "did not try to connect"},
		{"certificate, careful", certified, buyer{secure: true}, Blocked, "TLS verification"},
		{"certificate, careless", certified, buyer{secure: true, insecure: true}, Exposed, "the password was sent past"},
		{"certificate, no pulls", certified, buyer{never: true}, CouldNotTry, "did not try to connect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.engine.images = map[string]bool{}
			v := c.probe(&run{ctx: t.Context(), engine: &c.engine})
			text := v.Detail
			if v.Verdict == Blocked {
				text = v.Layer
			}
			if v.Verdict != c.verdict || !strings.Contains(text, c.want) {
				t.Errorf("%+v", v)
			}
			if len(c.engine.images) > 0 {
				t.Errorf("left behind: %v", c.engine.images)
			}
		})
	}
}

// Two crates have one size, or an engine could tell a wrong layer without its digest.
func TestOtherBytesHaveTheSameSize(t *testing.T) {
	a, b := newCrate(), newCrate()
	if len(a.packed) != len(b.packed) || digest(a.packed) == digest(b.packed) {
		t.Errorf("%d and %d bytes", len(a.packed), len(b.packed))
	}
}

func TestWorstAttemptSpeaksForAll(t *testing.T) {
	blocked, untried, exposed := Verdict{Verdict: Blocked, Detail: "b"}, couldNot("c"), Verdict{Verdict: Exposed, Detail: "e"}
	for want, attempts := range map[string][]Verdict{
		"blocked b; b":    {blocked, blocked},
		"could-not-try c": {blocked, untried},
		"exposed e":       {untried, exposed, blocked},
	} {
		v := together(attempts...)
		if got := fmt.Sprint(v.Verdict, " ", v.Detail); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
