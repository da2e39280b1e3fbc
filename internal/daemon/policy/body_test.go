package policy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// request makes a body in which one field has a value; what the field needs beside it is in needs.
func request(path string, value any) map[string]any {
	words := strings.Split(path, ".")
	for i := len(words) - 1; i >= 0; i-- {
		m := map[string]any{words[i]: value}
		for key, text := range needs {
			if at := strings.Join(words[:i], "."); at == key {
				var more map[string]any
				if err := json.Unmarshal([]byte(text), &more); err != nil {
					panic(err)
				}
				for k, v := range more {
					if _, ok := m[k]; !ok {
						m[k] = v
					}
				}
			}
		}
		value = m
		switch strings.Join(words[:i], ".") {
		case "HostConfig.Mounts", "HostConfig.Ulimits", "HostConfig.Devices", "HostConfig.DeviceRequests",
			"HostConfig.BlkioWeightDevice", "HostConfig.BlkioDeviceReadBps", "HostConfig.BlkioDeviceWriteBps",
			"HostConfig.BlkioDeviceReadIOps", "HostConfig.BlkioDeviceWriteIOps":
			value = []any{m}
		case "NetworkingConfig.EndpointsConfig":
			value = map[string]any{"bridge": m}
		case "HostConfig.PortBindings":
			value = map[string]any{"80/tcp": []any{m}}
		}
	}
	return value.(map[string]any)
}

// needs is what stands beside a field that makes no sense alone.
var needs = map[string]string{
	"":                                `{"Image":"i"}`,
	"HostConfig.Mounts":               `{"Type":"volume","Target":"/t"}`,
	"HostConfig.Mounts.BindOptions":   `{}`,
	"HostConfig.Ulimits":              `{"Name":"nofile","Soft":10,"Hard":10}`,
	"HostConfig.Mounts.VolumeOptions": `{}`,
	"HostConfig.Devices":              `{"PathOnHost":"/dev/a","PathInContainer":"/dev/a"}`,
	"HostConfig.BlkioDeviceReadBps":   `{"Path":"/dev/a","Rate":9}`,
	"HostConfig.BlkioDeviceWriteBps":  `{"Path":"/dev/a","Rate":9}`,
	"HostConfig.BlkioDeviceReadIOps":  `{"Path":"/dev/a","Rate":9}`,
	"HostConfig.BlkioDeviceWriteIOps": `{"Path":"/dev/a","Rate":9}`,
	"HostConfig.DeviceRequests":       `{"Count":2,"Capabilities":[["gpu"]]}`,
}

func texts(paths []string) string { return `["` + strings.Join(paths, `","`) + `"]` }

func bindMount(options string) string {
	return `{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true,
		"BindOptions":{` + options + `}}]}}`
}

// onFront is a request for a container on the network front, with more in its HostConfig and its endpoint.
func onFront(host, end string) string {
	if host != "" {
		host = "," + host
	}
	return `{"Image":"i","HostConfig":{"NetworkMode":"front"` + host + `},
		"NetworkingConfig":{"EndpointsConfig":{"front":{` + end + `}}}}`
}

func tmpfsMount(options string) string {
	return `{"Image":"i","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{` + options + `}}]}}`
}

// bodyOf makes the request that sets one field: what values says, or what its kind gives.
func bodyOf(t *testing.T, key string, l leaf) []byte {
	t.Helper()
	text := values[key]
	if strings.HasPrefix(text, `{"Image"`) {
		return []byte(text)
	}
	if text == "" {
		text = valueOf(l)
	}
	path, _, _ := strings.Cut(plain(key), "=")
	b, err := json.Marshal(request(path, json.RawMessage(text)))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return b
}

// valueOf is a value that is not zero. What a list or a map holds decides; a text becomes a list where it must be one.
func valueOf(l leaf) string {
	for t := range fieldType(l.path) {
		switch t.Kind() {
		case reflect.Bool:
			return `true`
		case reflect.String:
			return `"host"`
		case reflect.Slice:
			if t.Elem().Kind() == reflect.String {
				return `["x"]`
			}
			return `["10.0.0.9"]`
		case reflect.Map:
			return `{"x":"y"}`
		case reflect.Struct:
			return `"10.0.0.9"`
		case reflect.Pointer:
			continue
		}
	}
	return `1`
}

// fieldType yields the type of a leaf, and what it points to.
func fieldType(path string) func(func(reflect.Type) bool) {
	return func(yield func(reflect.Type) bool) {
		t := reflect.TypeFor[body]()
		for name := range strings.SplitSeq(path, ".") {
			for t.Kind() != reflect.Struct {
				t = t.Elem()
			}
			f, ok := t.FieldByNameFunc(func(n string) bool {
				f, ok := t.FieldByName(n)
				tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				return ok && (tag == name || tag == "" && n == name)
			})
			if !ok {
				return
			}
			t = f.Type
		}
		if yield(t) && t.Kind() == reflect.Pointer {
			yield(t.Elem())
		}
	}
}
