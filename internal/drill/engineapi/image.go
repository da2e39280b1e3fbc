package engineapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/brig-engine/brig/internal/drill"
)

// Load sends an archive.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	resp, err := e.request(ctx, http.MethodPost, "/images/load?quiet=1", archive, "application/x-tar")
	if err != nil {
		return err
	}
	return progress(resp, "load")
}

// Pull asks for an image by its full reference. To Podman, unlike the others, a registry on loopback is as far away as
// any other; where it heeds tlsVerify, this lets it come without TLS. The others do not know the parameter.
func (e *Engine) Pull(ctx context.Context, reference string, login drill.Login) error {
	query := url.Values{"fromImage": {reference}}
	registry, _, _ := strings.Cut(reference, "/")
	if host, _, err := net.SplitHostPort(registry); err == nil && net.ParseIP(host).IsLoopback() {
		query.Set("tlsVerify", "false")
	}
	header := http.Header{}
	if login != (drill.Login{}) {
		b, err := json.Marshal(map[string]string{"username": login.Username, "password": login.Password,
			"serveraddress": registry})
		if err != nil {
			return err
		}
		header.Set("X-Registry-Auth", base64.URLEncoding.EncodeToString(b))
	}
	resp, err := e.send(ctx, http.MethodPost, "/images/create?"+query.Encode(), nil, header)
	if err != nil {
		return err
	}
	return progress(resp, "pull")
}

// progress reads a stream of JSON messages to its end; a refusal may be one of them, after status 200.
func progress(resp *http.Response, what string) error {
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxReply))
	for {
		var m struct {
			Error       string
			ErrorDetail struct{ Message string }
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reply to %s: %w", what, err)
		}
		if m.Error != "" || m.ErrorDetail.Message != "" {
			return errors.New(max(m.ErrorDetail.Message, m.Error))
		}
	}
}

// Unload removes an image and whatever was made of it.
func (e *Engine) Unload(ctx context.Context, image string) error {
	err := e.call(ctx, http.MethodDelete, "/images/"+image+"?force=1", nil, nil)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// HasImage looks the name up.
func (e *Engine) HasImage(ctx context.Context, image string) (bool, error) {
	err := e.call(ctx, http.MethodGet, "/images/"+image+"/json", nil, nil)
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}
