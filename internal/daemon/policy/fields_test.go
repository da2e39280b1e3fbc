package policy

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
)

// handled are the fields that influence the spec or are recorded; the comment says which are recorded only. Every other
// field of the API's types must be refused by name when it is set: this is what the test holds them to.
var handled = map[string]bool{
	"Config.Hostname": true, "Config.Domainname": true, "Config.User": true, "Config.ExposedPorts": true,
	"Config.Tty":       true,
	"Config.OpenStdin": true, "Config.StdinOnce": true, "Config.Env": true, "Config.Cmd": true, "Config.Image": true,
	"Config.Volumes": true, "Config.WorkingDir": true, "Config.Entrypoint": true, "Config.NetworkDisabled": true,
	"Config.StopSignal": true, "Config.StopTimeout": true,
	// Recorded and shown by inspect: what the client attached, labels, and the shell of an image's builds.
	"Config.AttachStdin": true, "Config.AttachStdout": true, "Config.AttachStderr": true, "Config.Labels": true,
	"Config.Shell": true,

	"Host.Binds": true, "Host.LogConfig": true, "Host.NetworkMode": true, "Host.PortBindings": true,
	"Host.AutoRemove":  true,
	"Host.ConsoleSize": true, "Host.Annotations": true, "Host.CapAdd": true, "Host.CapDrop": true, "Host.DNS": true,
	"Host.DNSOptions": true, "Host.DNSSearch": true, "Host.ExtraHosts": true, "Host.GroupAdd": true,
	"Host.OomScoreAdj":     true,
	"Host.PublishAllPorts": true, "Host.ReadonlyRootfs": true, "Host.SecurityOpt": true, "Host.Tmpfs": true,
	"Host.ShmSize": true,
	"Host.Sysctls": true, "Host.Umask": true, "Host.Mounts": true, "Host.MaskedPaths": true, "Host.ReadonlyPaths": true,
	"Host.Init": true, "Host.Resources": true,
	// Recorded: the file is the client's business.
	"Host.ContainerIDFile": true,

	"Resources.CPUShares": true, "Resources.Memory": true, "Resources.NanoCPUs": true, "Resources.BlkioWeight": true,
	"Resources.CPUPeriod": true, "Resources.CPUQuota": true, "Resources.CpusetCpus": true, "Resources.CpusetMems": true,
	"Resources.MemoryReservation": true, "Resources.MemorySwap": true, "Resources.PidsLimit": true,
	"Resources.Ulimits": true,

	"Mount.Type": true, "Mount.Source": true, "Mount.Target": true, "Mount.ReadOnly": true, "Mount.Consistency": true,
	"Mount.BindOptions": true, "Mount.VolumeOptions": true, "Mount.TmpfsOptions": true,
	"BindOptions.NonRecursive": true, "VolumeOptions.NoCopy": true, "VolumeOptions.Labels": true,
	"VolumeOptions.DriverConfig": true,
	"TmpfsOptions.SizeBytes":     true, "TmpfsOptions.Mode": true, "TmpfsOptions.Options": true,
	"Endpoint.IPAMConfig": true, "Endpoint.Aliases": true, "Endpoint.Links": true,
}

// set puts something that is not zero into a field.
func set(v reflect.Value) {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("10.0.0.9")))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("host")
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0))
	case reflect.Array:
		set(v.Index(0))
	case reflect.Map:
		key, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if key.Kind() == reflect.String {
			key.SetString("x")
		}
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, val)
	case reflect.Struct:
		if v.NumField() > 0 {
			set(v.Field(0))
		}
	}
}

// TestEveryFieldOfTheAPIIsHandledOrRefused walks the API's types: a new version of the API cannot bring an option
// that is
// silently ignored.
func TestEveryFieldOfTheAPIIsHandledOrRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		of   reflect.Type
		in   func(r *Request) reflect.Value
	}{
		{"Config", reflect.TypeFor[container.Config](),
			func(r *Request) reflect.Value { return reflect.ValueOf(&r.Config).Elem() }},
		{"Host", reflect.TypeFor[container.HostConfig](),
			func(r *Request) reflect.Value { return reflect.ValueOf(&r.Host).Elem() }},
		{"Resources", reflect.TypeFor[container.Resources](),
			func(r *Request) reflect.Value { return reflect.ValueOf(&r.Host.Resources).Elem() }},
		{"legacy", reflect.TypeFor[legacy](), func(r *Request) reflect.Value { return reflect.ValueOf(&r.legacy).Elem() }},
		{"Endpoint", reflect.TypeFor[network.EndpointSettings](),
			endpointOf(func(e *network.EndpointSettings) any { return e })},
		{"IPAM", reflect.TypeFor[network.EndpointIPAMConfig](), endpointOf(func(e *network.EndpointSettings) any {
			e.IPAMConfig = &network.EndpointIPAMConfig{}
			return e.IPAMConfig
		})},
		{"Mount", reflect.TypeFor[mount.Mount](), mountOf(mount.TypeVolume, func(m *mount.Mount) any { return m })},
		{"BindOptions", reflect.TypeFor[mount.BindOptions](), mountOf(mount.TypeBind, func(m *mount.Mount) any {
			m.Source, m.BindOptions = "/s", &mount.BindOptions{}
			return m.BindOptions
		})},
		{"VolumeOptions", reflect.TypeFor[mount.VolumeOptions](), mountOf(mount.TypeVolume, func(m *mount.Mount) any {
			m.VolumeOptions = &mount.VolumeOptions{}
			return m.VolumeOptions
		})},
		{"Driver", reflect.TypeFor[mount.Driver](), mountOf(mount.TypeVolume, func(m *mount.Mount) any {
			m.VolumeOptions = &mount.VolumeOptions{DriverConfig: &mount.Driver{}}
			return m.VolumeOptions.DriverConfig
		})},
		{"TmpfsOptions", reflect.TypeFor[mount.TmpfsOptions](), mountOf(mount.TypeTmpfs, func(m *mount.Mount) any {
			m.TmpfsOptions = &mount.TmpfsOptions{}
			return m.TmpfsOptions
		})},
	} {
		for i := range c.of.NumField() {
			f := c.of.Field(i)
			name := c.name + "." + f.Name
			if handled[name] {
				continue
			}
			r, err := Decode([]byte(`{"Image":"i"}`))
			if err != nil {
				t.Fatal(err)
			}
			set(c.in(r).Field(i))
			_, err = Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(),
				Networks: testNetworks})
			if err == nil {
				t.Errorf("%s is neither handled nor refused", name)
			}
		}
	}
}

func endpointOf(f func(*network.EndpointSettings) any) func(*Request) reflect.Value {
	return func(r *Request) reflect.Value {
		e := &network.EndpointSettings{}
		r.Host.NetworkMode = "front"
		r.Networking.EndpointsConfig = map[string]*network.EndpointSettings{"front": e}
		return reflect.ValueOf(f(e)).Elem()
	}
}

func mountOf(kind mount.Type, f func(*mount.Mount) any) func(*Request) reflect.Value {
	return func(r *Request) reflect.Value {
		r.Host.Mounts = []mount.Mount{{Type: kind, Target: "/t"}}
		return reflect.ValueOf(f(&r.Host.Mounts[0])).Elem()
	}
}

// TestTheTableOfFieldsIsTrue: a name in the table that no type has would hide a renamed field.
func TestTheTableOfFieldsIsTrue(t *testing.T) {
	types := map[string]reflect.Type{"Config": reflect.TypeFor[container.Config](),
		"Host":      reflect.TypeFor[container.HostConfig](),
		"Resources": reflect.TypeFor[container.Resources](), "Mount": reflect.TypeFor[mount.Mount](),
		"BindOptions": reflect.TypeFor[mount.BindOptions](), "VolumeOptions": reflect.TypeFor[mount.VolumeOptions](),
		"TmpfsOptions": reflect.TypeFor[mount.TmpfsOptions](), "Endpoint": reflect.TypeFor[network.EndpointSettings]()}
	for name := range handled {
		kind, field, _ := strings.Cut(name, ".")
		if _, ok := types[kind].FieldByName(field); !ok {
			t.Errorf("%s does not exist", name)
		}
	}
}
