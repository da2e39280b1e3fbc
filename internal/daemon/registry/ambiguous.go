package registry

import (
	"bytes"
	"encoding/json"
	"strings"
)

// fields are the names in a manifest or index that mean something here.
const fields = "schemaVersion mediaType config layers manifests fsLayers digest size urls annotations platform " +
	"os architecture variant"

// unambiguous refuses documents that two readers can understand differently under one digest: a name that is there
// twice in one object, or that is one of ours but for upper and lower case (encoding/json would take it for ours,
// others not).
func unambiguous(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	return value(d, false, 0)
}

// value reads one value. Annotations are free to have any names.
func value(d *json.Decoder, free bool, depth int) error {
	t, err := d.Token()
	if err != nil {
		return invalid("the manifest is no valid JSON: %v", err)
	}
	open, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	if depth > 32 {
		return invalid("the manifest is nested too deeply")
	}
	seen := map[string]bool{}
	for d.More() {
		inside := free
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return invalid("the manifest is no valid JSON: %v", err)
			}
			name, _ := t.(string)
			if seen[name] || !free && misspelt(name) {
				return invalid("the name %.64q makes the manifest ambiguous", name)
			}
			seen[name] = true
			inside = free || name == "annotations"
		}
		if err := value(d, inside, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	if err != nil {
		return invalid("the manifest is no valid JSON: %v", err)
	}
	return nil
}

func misspelt(name string) bool {
	for f := range strings.FieldsSeq(fields) {
		if strings.EqualFold(f, name) && f != name {
			return true
		}
	}
	return false
}
