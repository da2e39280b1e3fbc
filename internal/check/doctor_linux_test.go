package check

import (
	"errors"
	"fmt"
	"testing"

	"github.com/brig-engine/brig/internal/kernel/feature"
)

func TestProbesBecomeStates(t *testing.T) {
	required := feature.Feature{Name: "a", Fix: "f"}
	optional := feature.Feature{Name: "b", Fix: "f", Level: feature.Optional}
	for _, tc := range []struct {
		f    feature.Feature
		err  error
		want State
	}{
		{required, nil, OK},
		{required, errors.New("no"), Missing},
		{optional, errors.New("no"), Degraded},
		{required, fmt.Errorf("not loaded: %w", feature.ErrUnknown), Unknown},
	} {
		got := need(tc.f, tc.err)
		if got.State != tc.want || (got.Fix != "") != (got.State == Missing || got.State == Degraded) {
			t.Errorf("%+v", got)
		}
	}
}

func TestImagesNeedFilesOrLoopDevices(t *testing.T) {
	for _, files := range []State{OK, Degraded} {
		n := []Need{{Name: "EROFS from files", State: files}, {Name: "loop devices", State: Degraded}}
		imagesNeedOne(n)
		if (n[1].State == Missing) != (files == Degraded) {
			t.Errorf("files %s: loop devices %s", files, n[1].State)
		}
	}
}
