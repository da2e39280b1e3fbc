package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// Request is a container create request after strict decoding.
type Request struct {
	Config     container.Config
	Host       container.HostConfig
	Networking network.NetworkingConfig
	Name       string // where the query has the name as well
	// By is who asks, as the kernel says; nil: nobody who is known.
	By     *rules.Caller
	legacy legacy
}

// legacy holds what clients of older API versions still send. Zero values are accepted, all others refused by name.
type legacy struct {
	VolumesFrom     []string
	MacAddress      string
	KernelMemory    int64
	KernelMemoryTCP int64
	Capabilities    []string
}

type body struct {
	*container.Config
	Name             string // dockerode has it here and in the query
	VolumesFrom      []string
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
	in, err := decodeBody(b)
	var unknown Refusals
	if errors.As(err, &unknown) {
		in, err = decodeBody(withoutNulls(b))
	}
	if err != nil {
		return nil, err
	}
	r := &Request{Config: *in.Config, Name: in.Name}
	r.legacy = legacy{VolumesFrom: in.VolumesFrom, MacAddress: in.MacAddress}
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

func decodeBody(b []byte) (in body, err error) {
	in.Config = &container.Config{}
	return in, strict(b, &in)
}

// withoutNulls leaves out the fields of NetworkingConfig that are null and so ask for nothing. docker-py has one there
// that is called like the network, which it asks for in HostConfig.NetworkMode.
func withoutNulls(b []byte) []byte {
	var whole, part map[string]json.RawMessage
	err := json.Unmarshal(b, &whole)
	if err == nil {
		err = json.Unmarshal(whole["NetworkingConfig"], &part)
	}
	if err != nil {
		return b
	}
	maps.DeleteFunc(part, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	if whole["NetworkingConfig"], err = json.Marshal(part); err != nil {
		return b
	}
	if shorter, err := json.Marshal(whole); err == nil {
		return shorter
	}
	return b
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
