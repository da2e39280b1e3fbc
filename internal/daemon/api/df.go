package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"

	"github.com/brig-engine/brig/internal/daemon/container"
)

// oldUsage is the report as API versions before 1.52 have it, and later ones unless they are asked for verbosity.
type oldUsage struct {
	LayersSize  int64
	Images      any
	Containers  []apicontainer.Summary
	Volumes     []volume.Volume
	BuildCache  []build.CacheRecord
	BuilderSize *int64 `json:",omitempty"`
}

// oldImage is an image as API versions before 1.44 have it.
type oldImage struct {
	image.Summary
	VirtualSize int64
}

func (s *Server) diskUsage(w http.ResponseWriter, r *http.Request) error {
	wanted, err := usageTypes(r)
	if err != nil {
		return err
	}
	version := Version(r)
	verbose, old := true, true
	if v := r.FormValue("verbose"); v != "" && version >= 52 {
		if verbose, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("verbose=%.32q: must be true or false: %w", v, errdefs.ErrInvalidArgument)
		}
		old = false
	}
	usage, err := s.usage(r, wanted)
	if err != nil {
		return err
	}
	var reply struct {
		*oldUsage
		system.DiskUsage
	}
	if old {
		reply.oldUsage = oldReport(usage, version)
	}
	if version >= 52 {
		reply.DiskUsage = *usage
		if old || !verbose {
			reply.DiskUsage = withoutItems(usage)
		}
	}
	WriteJSON(w, http.StatusOK, reply)
	return nil
}

// usageTypes reads what a report is about: everything, unless the parameter type names something.
func usageTypes(r *http.Request) ([]system.DiskUsageObject, error) {
	all := []system.DiskUsageObject{system.ContainerObject, system.ImageObject, system.VolumeObject, system.BuildCacheObject}
	names := r.URL.Query()["type"]
	if len(names) == 0 || Version(r) < 42 {
		return all, nil
	}
	var wanted []system.DiskUsageObject
	for _, n := range names {
		if !slices.Contains(all, system.DiskUsageObject(n)) {
			return nil, fmt.Errorf("unknown object type: %.64s: %w", n, errdefs.ErrInvalidArgument)
		}
		wanted = append(wanted, system.DiskUsageObject(n))
	}
	return wanted, nil
}

func (s *Server) usage(r *http.Request, wanted []system.DiskUsageObject) (*system.DiskUsage, error) {
	var u system.DiskUsage
	var err error
	for _, kind := range wanted {
		switch kind {
		case system.ContainerObject:
			u.ContainerUsage, err = s.containerUsage(r)
		case system.ImageObject:
			u.ImageUsage, err = s.imageUsage()
		case system.VolumeObject:
			u.VolumeUsage = s.volumeUsage()
		case system.BuildCacheObject:
			u.BuildCacheUsage = &build.DiskUsage{} // there is none
		}
		if err != nil {
			return nil, err
		}
	}
	return &u, nil
}

// containerUsage measures all containers. One that went meanwhile does not count; one that cannot be measured leaves the
// sum unknown.
func (s *Server) containerUsage(r *http.Request) (*apicontainer.DiskUsage, error) {
	u := &apicontainer.DiskUsage{Items: []apicontainer.Summary{}}
	now := time.Now()
	for _, v := range s.Engine.List() {
		u.Items = append(u.Items, s.summary(&v, now, Version(r)))
		if v.State == container.Running {
			u.ActiveCount++
		}
	}
	if err := s.measure(r, u.Items); err != nil {
		return nil, err
	}
	u.TotalCount = int64(len(u.Items))
	for _, row := range u.Items {
		if row.SizeRw < 0 {
			u.TotalSize, u.Reclaimable = notMeasured, notMeasured
			break
		}
		u.TotalSize += row.SizeRw
		if row.State != apicontainer.StateRunning {
			u.Reclaimable += row.SizeRw
		}
	}
	return u, nil
}

// imageUsage: what could be reclaimed is what no image with a container has.
func (s *Server) imageUsage() (*image.DiskUsage, error) {
	layers, list, err := s.ImageUsage()
	if err != nil {
		return nil, err
	}
	u := &image.DiskUsage{TotalSize: layers, Reclaimable: layers, TotalCount: int64(len(list)), Items: []image.Summary{}}
	for _, img := range list {
		u.Items = append(u.Items, *img)
		if img.Containers > 0 {
			u.ActiveCount++
			u.Reclaimable -= img.Size - img.SharedSize
		}
	}
	return u, nil
}

func (s *Server) volumeUsage() *volume.DiskUsage {
	u := &volume.DiskUsage{Items: []volume.Volume{}}
	all, holders := s.Volumes.List()
	for i, v := range all {
		shown := s.show(v)
		shown.UsageData = &volume.UsageData{Size: notMeasured, RefCount: int64(holders[i])}
		u.Items = append(u.Items, shown)
		if holders[i] > 0 {
			u.ActiveCount++
		}
	}
	if u.TotalCount = int64(len(u.Items)); u.TotalCount > 0 {
		u.TotalSize, u.Reclaimable = notMeasured, notMeasured
	}
	return u
}

func oldReport(u *system.DiskUsage, version int) *oldUsage {
	old := &oldUsage{}
	if u.ImageUsage != nil {
		old.LayersSize, old.Images = u.ImageUsage.TotalSize, u.ImageUsage.Items
		if version < 44 {
			list := make([]oldImage, len(u.ImageUsage.Items))
			for i, img := range u.ImageUsage.Items {
				list[i] = oldImage{img, img.Size}
			}
			old.Images = list
		}
	}
	if u.ContainerUsage != nil {
		old.Containers = u.ContainerUsage.Items
	}
	if u.VolumeUsage != nil {
		old.Volumes = u.VolumeUsage.Items
	}
	if u.BuildCacheUsage != nil {
		old.BuildCache = []build.CacheRecord{}
		if version < 42 {
			old.BuilderSize = new(int64)
		}
	}
	return old
}

// withoutItems leaves the numbers.
func withoutItems(u *system.DiskUsage) system.DiskUsage {
	out := *u
	if u.ImageUsage != nil {
		images := *u.ImageUsage
		images.Items = nil
		out.ImageUsage = &images
	}
	if u.ContainerUsage != nil {
		containers := *u.ContainerUsage
		containers.Items = nil
		out.ContainerUsage = &containers
	}
	if u.VolumeUsage != nil {
		volumes := *u.VolumeUsage
		volumes.Items = nil
		out.VolumeUsage = &volumes
	}
	return out
}

// buildPrune: no build has left anything. docker system prune asks for it in any case.
func buildPrune(w http.ResponseWriter, _ *http.Request) error {
	WriteJSON(w, http.StatusOK, build.CachePruneReport{CachesDeleted: []string{}})
	return nil
}
