package check

import (
	"errors"
	"os"

	"github.com/brig-engine/brig/internal/kernel/feature"
	"github.com/brig-engine/brig/internal/kernel/release"
)

func gather() Facts {
	f := Facts{
		Kernel: release.String(), Root: os.Geteuid() == 0,
		Container: feature.Container(), Privileged: feature.Privileged(),
	}
	for _, x := range feature.All() {
		f.Needs = append(f.Needs, need(x, x.Probe()))
	}
	imagesNeedOne(f.Needs)
	return f
}

// imagesNeedOne: images are mounted from files or through loop devices; without both nothing can be started.
func imagesNeedOne(needs []Need) {
	var loop *Need
	files := false
	for i := range needs {
		switch needs[i].Name {
		case "loop devices":
			loop = &needs[i]
		case "EROFS from files":
			files = needs[i].State == OK
		}
	}
	if loop != nil && !files && loop.State == Degraded {
		loop.State = Missing
	}
}

func need(x feature.Feature, err error) Need {
	n := Need{Name: x.Name, State: OK, For: x.For}
	if err == nil {
		return n
	}
	n.Fix, n.Detail = x.Fix, err.Error()
	switch {
	case errors.Is(err, feature.ErrUnknown):
		n.State, n.Fix = Unknown, ""
	case x.Level == feature.Required:
		n.State = Missing
	default:
		n.State = Degraded
	}
	return n
}
