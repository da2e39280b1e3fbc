package api

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// marshal is json.Marshal without the fields that have their zero value, which mean the same as absent ones in every
// request of the API. It is faster for a program that encodes one request in its life: encoding/json first makes an
// encoder for each of the few hundred fields that the structures of a container have, used or not.
func marshal(v any) ([]byte, error) { return json.Marshal(compact(reflect.ValueOf(v))) }

// compact turns structures into maps of what is set in them, and leaves everything else as it is.
func compact(v reflect.Value) any {
	for v.Kind() == reflect.Pointer && !v.IsNil() && !special(v.Type()) {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	switch {
	case special(v.Type()):
		return v.Interface()
	case v.Kind() == reflect.Map && !v.IsNil() && v.Len() == 0:
		return map[string]any{} // says the same, and has an encoder already
	case v.Kind() != reflect.Struct:
		return v.Interface()
	}
	fields := map[string]any{}
	gather(v, fields)
	return fields
}

// special tells whether a type says itself how it is encoded.
func special(t reflect.Type) bool {
	is := func(i reflect.Type) bool { return t.Implements(i) || reflect.PointerTo(t).Implements(i) }
	return is(reflect.TypeFor[json.Marshaler]()) || is(reflect.TypeFor[encoding.TextMarshaler]())
}

func gather(v reflect.Value, fields map[string]any) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() {
			continue
		}
		t := v.Type().Field(i)
		name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
		switch {
		case name == "-" || !t.IsExported() && !t.Anonymous:
		case t.Anonymous && name == "":
			gather(reflect.Indirect(f), fields)
		case name == "":
			fields[t.Name] = compact(f)
		default:
			fields[name] = compact(f)
		}
	}
}
