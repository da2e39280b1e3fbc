package policy

import (
	"reflect"
	"testing"

	oracle "github.com/opencontainers/cgroups"

	"github.com/brig-engine/brig/internal/wire"
)

func TestWeightEqualsTheOracles(t *testing.T) {
	for shares := uint64(2); shares <= 262144; shares = shares*9/8 + 1 {
		if got, want := weight(shares), oracle.ConvertCPUSharesToCgroupV2Value(shares); got != want {
			t.Errorf("%d shares: weight %d, oracle %d", shares, got, want)
		}
	}
	if weight(1024) != 100 || weight(2) != 1 || weight(262144) != 10000 {
		t.Error("the three fixed points moved")
	}
	if weight(2048) != 174 || weight(512) != 59 {
		t.Error("the weights that the warden gives to the engine's own processes are others")
	}
}

func TestIOWeightEqualsTheOracles(t *testing.T) {
	for w := uint16(10); w <= 1000; w++ {
		if got, want := Version2(wire.Resources{BlkioWeight: w}).IOWeight, oracle.ConvertBlkIOToIOWeightValue(w); uint64(got) != want {
			t.Errorf("weight %d: %d, oracle %d", w, got, want)
		}
	}
}

// What a record says stays; what it does not say is not bounded.
func TestVersion2CompletesWhatARecordSays(t *testing.T) {
	for _, c := range []struct{ have, want wire.Resources }{
		{},
		{wire.Resources{CPUShares: 512, CPUQuota: 150000, CPUPeriod: 50000, BlkioWeight: 300},
			wire.Resources{CPUWeight: 59, CPUMax: "150000 50000", IOWeight: 2930}},
		{wire.Resources{CPUQuota: -1, CPUPeriod: 20000}, wire.Resources{CPUMax: "max 20000"}},
		{wire.Resources{CPUQuota: -1}, wire.Resources{CPUMax: "max 100000"}},
		{wire.Resources{CPUQuota: 5000}, wire.Resources{CPUMax: "5000 100000"}},
		{wire.Resources{CPUPeriod: 20000}, wire.Resources{CPUMax: "max 20000"}},
		{wire.Resources{BlkioWeight: 10}, wire.Resources{IOWeight: 1}},
		{wire.Resources{BlkioWeight: 1000}, wire.Resources{IOWeight: 10000}},
		{wire.Resources{CPUWeight: 7, CPUMax: "1 2", IOWeight: 3}, wire.Resources{}},
	} {
		want := c.have
		want.CPUWeight, want.CPUMax, want.IOWeight = c.want.CPUWeight, c.want.CPUMax, c.want.IOWeight
		if got := Version2(c.have); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
