package engineapi

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

// TestNothingDriftsFromMoby: every field exists in moby's structure, with the same JSON name and options and a type that
// has the same JSON form. Where a template can look, or where encoding/json writes all fields (in lists of a request),
// the structures have the same fields in the same order.
func TestNothingDriftsFromMoby(t *testing.T) {
	for _, x := range []struct {
		ours, theirs any
		whole        bool
	}{
		{CreateRequest{}, container.CreateRequest{}, false},
		{CreateResponse{}, container.CreateResponse{}, false},
		{HealthConfig{}, container.HealthConfig{}, true},
		{DeviceMapping{}, container.DeviceMapping{}, true},
		{DeviceRequest{}, container.DeviceRequest{}, true},
		{ExecCreateRequest{}, container.ExecCreateRequest{}, true},
		{ExecStartRequest{}, container.ExecStartRequest{}, true},
		{ExecInspectResponse{}, container.ExecInspectResponse{}, false},
		{WaitResponse{}, container.WaitResponse{}, true},
		{InspectResponse{}, container.InspectResponse{}, false},
		{TopResponse{}, container.TopResponse{}, true},
		{UpdateConfig{}, container.UpdateConfig{}, false},
		{UpdateResponse{}, container.UpdateResponse{}, true},
		{StatsResponse{}, container.StatsResponse{}, false},
		{ContainerSummary{}, container.Summary{}, false},
		{ImageSummary{}, image.Summary{}, false},
		{ImageDeleteResponse{}, image.DeleteResponse{}, true},
		{ImageHistoryItem{}, image.HistoryResponseItem{}, false},
		{VolumeCreateRequest{}, volume.CreateRequest{}, false},
		{VolumeListResponse{}, volume.ListResponse{}, false},
		{Info{}, system.Info{}, true},
		{VersionResponse{}, system.VersionResponse{}, true},
	} {
		c := comparison{t, x.whole}
		ours := reflect.TypeOf(x.ours)
		c.types(ours.Name(), ours, reflect.TypeOf(x.theirs))
	}
	for ours, theirs := range map[WaitCondition]container.WaitCondition{
		WaitConditionNotRunning: container.WaitConditionNotRunning, WaitConditionNextExit: container.WaitConditionNextExit,
		WaitConditionRemoved: container.WaitConditionRemoved,
	} {
		if string(ours) != string(theirs) {
			t.Errorf("condition %q: moby has %q", ours, theirs)
		}
	}
}

type comparison struct {
	*testing.T
	whole bool
}

// types holds two types against each other; at says where they are.
func (c *comparison) types(at string, ours, theirs reflect.Type) {
	if ours.Kind() == reflect.Struct && theirs.Kind() == reflect.Pointer {
		theirs = theirs.Elem() // means the same in a reply
	}
	switch {
	case ours == theirs, at == "Info.Swarm.Cluster": // which is kept as it comes
	case ours.Kind() != theirs.Kind(), speaks(ours), speaks(theirs):
		c.Errorf("%s: %v, and moby has %v", at, ours, theirs)
	case ours.Kind() == reflect.Struct:
		c.fields(at, ours, theirs)
	case ours.Kind() == reflect.Map:
		c.types(at+" (key)", ours.Key(), theirs.Key())
		c.types(at, ours.Elem(), theirs.Elem())
	case ours.Kind() == reflect.Pointer, ours.Kind() == reflect.Slice:
		c.types(at, ours.Elem(), theirs.Elem())
	case ours.Kind() == reflect.Array, ours.Kind() == reflect.Interface:
		c.Errorf("%s: %v is not %v", at, ours, theirs)
	}
}

// speaks tells whether a type has a JSON form of its own.
func speaks(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) ||
		p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (c *comparison) fields(at string, ours, theirs reflect.Type) {
	for i := range ours.NumField() {
		our := ours.Field(i)
		their, ok := theirs.FieldByName(our.Name) // ours may be flat
		if !ok {
			c.Errorf("%s.%s: moby has no such field", at, our.Name)
			continue
		}
		if a, b := jsonName(our), jsonName(their); a != b || our.Anonymous != their.Anonymous {
			c.Errorf("%s.%s is %q in JSON, and moby's %q", at, our.Name, a, b)
		}
		c.types(at+"."+our.Name, our.Type, their.Type)
	}
	if !c.whole {
		return
	}
	if ours.NumField() != theirs.NumField() {
		c.Errorf("%s has %d fields, and moby's %d", at, ours.NumField(), theirs.NumField())
		return
	}
	for i := range ours.NumField() {
		if ours.Field(i).Name != theirs.Field(i).Name {
			c.Errorf("%s.%s: moby has %s there", at, ours.Field(i).Name, theirs.Field(i).Name)
		}
	}
}

// jsonName is the name of a field in JSON with its options.
func jsonName(f reflect.StructField) string {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" && !f.Anonymous {
		name = f.Name
	}
	return name + "," + options
}
