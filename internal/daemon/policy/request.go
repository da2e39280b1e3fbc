package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Request is a container create request after strict decoding.
type Request struct {
	Config     container.Config
	Host       container.HostConfig
	Networking network.NetworkingConfig
	legacy     legacy
}

// legacy holds what clients of older API versions still send. Zero values are accepted, all others refused by name.
type legacy struct {
	MacAddress      string
	KernelMemory    int64
	KernelMemoryTCP int64
	Capabilities    []string
}

type body struct {
	*container.Config
	MacAddress       string                    `json:",omitempty"`
	HostConfig       *hostBody                 `json:",omitempty"`
	NetworkingConfig *network.NetworkingConfig `json:",omitempty"`
}

type hostBody struct {
	container.HostConfig
	KernelMemory    int64
	KernelMemoryTCP int64
	Capabilities    []string
}

// Decode reads the body of a create request. Fields that Brig does not know are refused by name: a daemon that drops
// what it does not understand gives less than was asked for without a word.
func Decode(b []byte) (*Request, error) {
	in := body{Config: &container.Config{}}
	if err := strict(b, &in); err != nil {
		return nil, err
	}
	r := &Request{Config: *in.Config, legacy: legacy{MacAddress: in.MacAddress}}
	if h := in.HostConfig; h != nil {
		r.Host = h.HostConfig
		r.legacy.KernelMemory, r.legacy.KernelMemoryTCP = h.KernelMemory, h.KernelMemoryTCP
		r.legacy.Capabilities = h.Capabilities
	}
	if in.NetworkingConfig != nil {
		r.Networking = *in.NetworkingConfig
	}
	return r, nil
}

// DecodeExec reads the body of an exec create request.
func DecodeExec(b []byte) (*container.ExecCreateRequest, error) {
	// Older clients send fields that say how they will start the exec; those have no meaning here.
	in := struct {
		container.ExecCreateRequest
		Detach    bool   `json:",omitempty"`
		Container string `json:",omitempty"`
	}{}
	if err := strict(b, &in); err != nil {
		return nil, err
	}
	return &in.ExecCreateRequest, nil
}

// DecodeStrict decodes the body of any other request in the same way.
func DecodeStrict(b []byte, v any) error { return strict(b, v) }

// strict decodes exactly one JSON object; a field that v does not have is an error that names it.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the body of the request is empty: %w", errdefs.ErrInvalidArgument)
	}
	if err == nil {
		if _, err := d.Token(); err != io.EOF {
			return fmt.Errorf("the body of the request goes on after its JSON object: %w", errdefs.ErrInvalidArgument)
		}
		return nil
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return Refusals{{Option: "field " + clip(strings.Trim(field, `"`)), Reason: "this version of Brig does not know it",
			Allow: "leave it out",
			Class: errdefs.ErrNotImplemented}}
	}
	return fmt.Errorf("the body of the request: %w: %w", err, errdefs.ErrInvalidArgument)
}
