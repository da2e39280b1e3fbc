package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/log"
)

// logOptions are all options that Docker's drivers of these names know, and which of Brig's drivers take each. Every other pair
// must be refused by name.
var logOptions = map[string][]string{
	"max-size=1m": {"json-file", "local"}, "max-file=3": {"json-file", "local"}, "compress=true": {"json-file", "local"},
	"labels=x":            {"json-file", "local", "journald", "syslog"},
	"labels-regex=x":      {"json-file", "local", "journald", "syslog"},
	"env=x":               {"json-file", "local", "journald", "syslog"},
	"env-regex=x":         {"json-file", "local", "journald", "syslog"},
	"tag={{.Name}}":       {"json-file", "local", "journald", "syslog"},
	"mode=non-blocking":   {"json-file", "local", "journald", "syslog"},
	"max-buffer-size=1m":  {"json-file", "local", "journald", "syslog"}, // given with the mode
	"cache-disabled=true": {"journald", "syslog"}, "cache-max-size=1m": {"journald", "syslog"},
	"cache-max-file=3": {"journald", "syslog"}, "cache-compress=true": {"journald", "syslog"},
	// The cache keeps what the options without cache- choose.
	"cache-labels=x": nil, "cache-labels-regex=x": nil, "cache-env=x": nil, "cache-env-regex=x": nil, "cache-tag=x": nil,
	"syslog-address=tcp+tls://h": {"syslog"}, "syslog-facility=local1": {"syslog"}, "syslog-format=rfc5424": {"syslog"},
	"syslog-tls-ca-cert=/x": {"syslog"}, "syslog-tls-cert=/x": {"syslog"}, "syslog-tls-key=/x": {"syslog"},
	"syslog-tls-skip-verify=true": {"syslog"},
}

// TestEveryLogOptionIsHandledOrRefused: what is handled changes what is kept, and nothing is ignored.
func TestEveryLogOptionIsHandledOrRefused(t *testing.T) {
	// with are options that another one needs.
	with := map[string]map[string]string{"max-buffer-size": {"mode": "non-blocking"},
		"syslog-tls-ca-cert": {"syslog-address": "tcp+tls://h"}, "syslog-tls-skip-verify": {"syslog-address": "tcp+tls://h"},
		"syslog-tls-cert": {"syslog-address": "tcp+tls://h", "syslog-tls-key": "/k"},
		"syslog-tls-key":  {"syslog-address": "tcp+tls://h", "syslog-tls-cert": "/c"}}
	for pair, drivers := range logOptions {
		k, v, _ := strings.Cut(pair, "=")
		for _, driver := range []string{"json-file", "local", "journald", "syslog", "none"} {
			without := maps.Clone(with[k])
			config := map[string]string{k: v}
			maps.Copy(config, without)
			delete(without, "syslog-tls-key")
			delete(without, "syslog-tls-cert")
			o, errs := log.Parse(container.LogConfig{Type: driver, Config: config})
			plain, _ := log.Parse(container.LogConfig{Type: driver, Config: without})
			switch handled := slices.Contains(drivers, driver); {
			case handled && (len(errs) > 0 || reflect.DeepEqual(o, plain)):
				t.Errorf("%s with %s: %+v, %v", pair, driver, o, errs)
			case !handled && (len(errs) == 0 || !strings.Contains(fmt.Sprint(errs), "--log-opt "+k)):
				t.Errorf("%s with %s is not refused by name: %v", pair, driver, errs)
			}
		}
	}
}
