package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/brig-engine/brig/internal/wire"
)

// updateFrom decides about an update of a container that was made by a create request.
func updateFrom(t *testing.T, create, update string) (*Bounds, *Effective, error) {
	t.Helper()
	e, err := makeFrom(create)
	if err != nil {
		t.Fatal(err)
	}
	q, err := DecodeUpdate([]byte(update))
	if err != nil {
		return nil, e, err
	}
	b, err := Update(UpdateInput{Request: q, Shown: e.HostConf.Resources, Have: e.Spec.Resources, Host: testHost()})
	return b, e, err
}

const plainContainer = `{"Image":"i","HostConfig":{"Memory":67108864}}`

// An update ends in the bounds that a container made with all of it would have.
func TestUpdateEndsWhereACreationWould(t *testing.T) {
	const most = `"Memory":134217728,"MemorySwap":268435456,"MemoryReservation":1048576,"NanoCpus":500000000,"CpuShares":512,
		"CpusetCpus":"0","CpusetMems":"0","PidsLimit":10,"BlkioWeight":300`
	for name, c := range map[string][3]string{
		"nothing": {`"Memory":67108864`, `{}`, `"Memory":67108864`},
		"as docker sends it": {`"Memory":67108864`, `{"Memory":0,"CpuShares":0,"Devices":null,"PidsLimit":null,"KernelMemory":0,
			"RestartPolicy":{"Name":"","MaximumRetryCount":0}}`, `"Memory":67108864`},
		"everything":              {`"Memory":67108864,"BlkioWeight":20`, `{` + most + `}`, most},
		"what is not named stays": {`"PidsLimit":7,"CpusetCpus":"1"`, `{"CpuShares":99}`, `"PidsLimit":7,"CpusetCpus":"1","CpuShares":99`},
		"quota and period":        {`"CpuQuota":5000`, `{"CpuPeriod":50000}`, `"CpuQuota":5000,"CpuPeriod":50000`},
	} {
		b, _, err := updateFrom(t, `{"Image":"i","HostConfig":{`+c[0]+`}}`, c[1])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := makeFrom(`{"Image":"i","HostConfig":{` + c[2] + `}}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Spec.Resources, b.Spec); d != "" {
			t.Errorf("%s: spec:\n%s", name, d)
		}
		if d := cmp.Diff(want.HostConf.Resources, b.Shown); d != "" {
			t.Errorf("%s: shown:\n%s", name, d)
		}
	}
}

func TestQuotaCanBeTakenAway(t *testing.T) {
	for _, had := range []string{`"NanoCpus":1500000000`, `"CpuQuota":5000,"CpuPeriod":10000`} {
		b, e, err := updateFrom(t, `{"Image":"i","HostConfig":{`+had+`}}`, `{"CpuQuota":-1}`)
		if err != nil {
			t.Fatal(err)
		}
		if b.Spec.CPUQuota != -1 || b.Spec.CPUPeriod != e.Spec.Resources.CPUPeriod || b.Shown.NanoCPUs != 0 {
			t.Errorf("%s: %+v", had, b.Spec)
		}
	}
	b, _, err := updateFrom(t, `{"Image":"i","HostConfig":{"CpuQuota":-1}}`, `{"NanoCpus":500000000}`)
	if err != nil || b.Spec.CPUQuota != 50_000 {
		t.Errorf("a quota where there was none: %+v, %v", b, err)
	}
}

func TestUpdatesAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		create, update string
		class          error
		words          []string
	}{
		{plainContainer, `{"NoSuch":1}`, errdefs.ErrNotImplemented, []string{"NoSuch"}},
		{plainContainer, `{"CpuRealtimePeriod":5,"CgroupParent":"x","Ulimits":[{"Name":"core"}],
			"Devices":[{}],"DeviceCgroupRules":["a"],"DeviceRequests":[{}],"MemorySwappiness":5,"BlkioDeviceReadBps":[{}],"CpuCount":1}`,
			errdefs.ErrNotImplemented, []string{"--cpu-rt-period 5", "--cgroup-parent x", "--ulimit", "--device 1",
				"--device-cgroup-rule a", "--gpus", "--memory-swappiness 5", "--device-read-bps", "--cpu-count"}},
		{plainContainer, `{"KernelMemory":5}`, errdefs.ErrNotImplemented, []string{"--kernel-memory"}},
		{plainContainer, `{"PidsLimit":0}`, errdefs.ErrPermissionDenied, []string{"--pids-limit -1"}},
		{plainContainer, `{"PidsLimit":-1,"MemorySwap":-1,"OomKillDisable":true}`, errdefs.ErrPermissionDenied,
			[]string{"--pids-limit -1", "--memory-swap -1", "--oom-kill-disable"}},
		{plainContainer, `{"Memory":5,"CpuShares":1,"CpusetCpus":"99"}`, errdefs.ErrInvalidArgument, []string{"-m 5", "-c 1", "--cpuset-cpus 99"}},
		{plainContainer, `{"MemorySwap":1048576}`, errdefs.ErrInvalidArgument, []string{"--memory-swap"}},
		{`{"Image":"i","HostConfig":{"NanoCpus":500000000}}`, `{"CpuQuota":5000}`, errdefs.ErrConflict, []string{"NanoCPUs has already been set"}},
		{`{"Image":"i","HostConfig":{"NanoCpus":500000000}}`, `{"CpuPeriod":5000}`, errdefs.ErrConflict, []string{"CPU Period cannot be"}},
		{`{"Image":"i","HostConfig":{"CpuQuota":5000}}`, `{"NanoCpus":500000000}`, errdefs.ErrConflict, []string{"CPU Quota has already been set"}},
		{`{"Image":"i","HostConfig":{"CpuPeriod":5000}}`, `{"NanoCpus":500000000}`, errdefs.ErrConflict, []string{"CPU Period has already been set"}},
		{`{"Image":"i","HostConfig":{"Memory":67108864,"MemorySwap":67108864}}`, `{"Memory":134217728}`, errdefs.ErrConflict, []string{"memoryswap"}},
	} {
		_, _, err := updateFrom(t, c.create, c.update)
		if !errors.Is(err, c.class) {
			t.Errorf("%s: %v", c.update, err)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: does not say %q: %v", c.update, w, err)
			}
		}
	}
}

// Memory follows without swap when nobody asked for any.
func TestSwapFollowsMemoryUnlessItWasAskedFor(t *testing.T) {
	b, _, err := updateFrom(t, plainContainer, `{"Memory":134217728}`)
	if want := (wire.Resources{Memory: 128 << 20, CPUShares: defaultShares, Pids: defaultPids}); err != nil || !reflect.DeepEqual(b.Spec, want) {
		t.Errorf("%+v, %v", b, err)
	}
}
