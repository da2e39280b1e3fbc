package request

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// parseGPUs reads --gpus: all, a number, or driver=…,count=…,device=…,capabilities=…,options=….
func parseGPUs(s string) (engineapi.DeviceRequest, error) {
	r := engineapi.DeviceRequest{Options: map[string]string{}}
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return r, errors.New("all, a number, or comma separated key=value is needed")
	}
	seen := map[string]bool{}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			key, value = "count", field
		}
		if seen[key] {
			return r, fmt.Errorf("%s is given twice", key)
		}
		seen[key] = true
		if err := setGPUs(&r, key, value); err != nil {
			return r, err
		}
	}
	if !seen["count"] && r.DeviceIDs == nil {
		r.Count = 1
	}
	if r.Capabilities == nil {
		r.Capabilities = [][]string{{"gpu"}}
	}
	return r, nil
}

func setGPUs(r *engineapi.DeviceRequest, key, value string) (err error) {
	switch key {
	case "count":
		if value == "all" {
			r.Count = -1
		} else if r.Count, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q is neither all nor a number", value)
		}
	case "driver":
		r.Driver = value
	case "device":
		r.DeviceIDs = strings.Split(value, ",")
	case "capabilities":
		r.Capabilities = [][]string{append(strings.Split(value, ","), "gpu")}
	case "options":
		for kv := range strings.SplitSeq(value, ",") {
			k, v, _ := strings.Cut(kv, "=")
			r.Options[k] = v
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}
