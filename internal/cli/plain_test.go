//go:build linux

package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"
)

// hostile is a name that moves the cursor, turns around what follows and hides a part of itself, as JSON writes it.
const hostile = `x\u001b[2J\u009b1A\u202egpj\u2066\u200f\u200b\u00ad`

// obeyed finds what a terminal does not show as it is.
func obeyed(r rune) bool {
	return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// layHostile lays down a container that has such a name wherever it can choose one.
func layHostile(f *fakeEngine) {
	container := fmt.Sprintf(`{"Id":"%s","Name":"/web","Image":"sha256:1","State":{"Running":true},"Config":{"Image":"%s","Labels":{"l":"%s\nmore"}},"HostConfig":{},`+
		`"Mounts":[],"NetworkSettings":{}}`, oldID, hostile, hostile)
	for line, body := range map[string]string{
		"containers/web/json":    container,
		"containers/web/stats":   reading(oldID, hostile),
		"containers/web/changes": fmt.Sprintf(`[{"Path":"/%s/f","Kind":1},{"Path":"/home/%s","Kind":1}]`, hostile, hostile),
		"containers/web/top":     fmt.Sprintf(`{"Titles":["UID","GID","COMMAND"],"Processes":[["7","7","%s"],["0","0","%s"]]}`, hostile, hostile),
		"containers/json":        fmt.Sprintf(`[{"Id":"%s","Names":["/web"],"Image":"%s","Command":"%s","Labels":{"l":"%s"}}]`, oldID, hostile, hostile, hostile),
		"images/app/history":     fmt.Sprintf(`[{"Id":"1","CreatedBy":"%s","Comment":"%s"}]`, hostile, hostile),
		"brig/explain/web":       fmt.Sprintf(`{"Name":"web","Findings":[{"What":"mount on /%s","Found":"%s","Asked":"%s","Differs":true}]}`, hostile, hostile, hostile),
		"brig/check":             fmt.Sprintf(`{"damages":[{"kind":"file","object":"%s","what":"%s"}]}`, hostile, hostile),
		"events":                 fmt.Sprintf(`{"Type":"container","Action":"%s","Actor":{"ID":"%s","Attributes":{"%s":"%s"}}}`, hostile, hostile, hostile, hostile),
	} {
		f.json("GET /"+line, 200, body)
	}
	f.json("GET /containers/web/archive", 404, fmt.Sprintf(`{"message":"no %s"}`, hostile))
	f.json("DELETE /images/app", 200, fmt.Sprintf(`[{"Untagged":"%s"},{"Deleted":"%s"}]`, hostile, hostile))
	f.json("POST /brig/policy/check", 200, fmt.Sprintf(`{"Level":"%s","Granted":[{"Rule":"%s"}],"Refusals":[{"Option":"%s","Value":"%s","Reason":"%s","Allow":"%s"}],"Warnings":["%s"]}`,
		hostile, hostile, hostile, hostile, hostile, hostile, hostile))
	f.on("POST /brig/explain", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") == "text" {
			io.WriteString(w, "execve(x\x1b[2J\u202egpj)\n")
			return
		}
		fmt.Fprintf(w, `{"Title":"%s"}`, hostile)
	})
}

// Whatever a container, an image or its files are called, no command tells the terminal anything by it.
func TestNamesAreShownAndNotObeyed(t *testing.T) {
	for _, args := range []string{
		"diff web", "top web", "tighten web", "tighten --apply web", "tighten --format json web", "ps -a", "ps --format json", "ps --no-trunc --format {{.Command}}{{.Label|\"l\"}}",
		"stats --no-stream web", "history app", "explain web", "explain --format json web", "explain run app", "explain run --format json app",
		"policy check run app", "policy check run --format json app", "system check", "system check --format json", "events", "events --format json",
		"inspect web", "inspect --format json web", "inspect --format {{json|.Config}} web", "rmi app",
	} {
		f := newFake(t)
		layHostile(f)
		words := strings.Fields(args)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "|", " ")
		}
		r := f.brig("", words...)
		if at := strings.IndexFunc(r.out+r.err, obeyed); at >= 0 {
			t.Errorf("%s: %q", args, r.out+r.err)
		}
		if !strings.Contains(r.out+r.err, "gpj") {
			t.Errorf("%s shows nothing of it: %+v", args, r)
		}
	}
}

// What a template takes from an image is for a program as it is, and plain text on a terminal.
func TestATemplateOnATerminalIsPlain(t *testing.T) {
	args := []string{"inspect", "--format", "{{index .Config.Labels \"l\"}}", "web"}
	f := newFake(t)
	layHostile(f)
	if r := f.brig("", args...); r.code != 0 || r.out != "x\x1b[2J\u009b1A\u202egpj\u2066\u200f\u200b\u00ad\nmore\n" {
		t.Errorf("%+v", r)
	}
	var seen strings.Builder
	r := terminalSession(t, f, args, func(keyboard *os.File) {
		for b := make([]byte, 100); !strings.Contains(seen.String(), "more"); {
			n, err := keyboard.Read(b)
			if seen.Write(b[:n]); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if got := strings.ReplaceAll(seen.String(), "\r\n", "\n"); r.code != 0 || !strings.Contains(got, "gpj") || strings.ContainsFunc(got, obeyed) {
		t.Errorf("%+v %q", r, got)
	}
}
