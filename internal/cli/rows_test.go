package cli

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/volume"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// TestRowsAreDockers: with --format json both command lines show the same fields with the same values.
func TestRowsAreDockers(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	for _, args := range []string{"ps -a", "ps -a --no-trunc", "images", "images --digests --no-trunc", "volume ls", "network ls",
		"network ls --no-trunc", "system df", "system df -v", "history alpine", "events"} {
		t.Run(args, func(t *testing.T) {
			f := newFake(t)
			layReplies(f)
			// Where a size is not known, docker adds -1 bytes, or leaves the object out of the sum.
			f.json("GET /system/df", 200, strings.ReplaceAll(usageReply, `":-1`, `":5`))
			words := append(strings.Fields(args), "--format", "json")
			r := f.brig("", words...)
			cmd := exec.Command(docker, append([]string{"-H", f.host}, words...)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent", "LANG=C", "TZ=UTC"}
			out, err := cmd.Output()
			if err != nil || r.code != 0 {
				t.Fatalf("docker: %v: %s; brig: %+v", err, out, r)
			}
			ours, theirs := jsonLines(t, r.out), jsonLines(t, string(out))
			if !slices.Equal(ours, theirs) {
				t.Errorf("brig prints\n%s\ndocker\n%s", r.out, out)
			}
		})
	}
}

// jsonLines gives the objects of lines in one form, without what depends on the time of day or is said better here. They
// are sorted: docker prints the names of an image in any order.
func jsonLines(t *testing.T, s string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(s) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		b, err := json.Marshal(withoutAges(v))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

func withoutAges(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"RunningFor", "CreatedSince", "LastUsedSince"} {
			delete(v, k)
		}
		if v["Names"] != nil && v["Size"] == "N/A" { // was not asked for, which docker says with 0B
			v["Size"] = "0B"
		}
		for k := range v {
			v[k] = withoutAges(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutAges(v[i])
		}
	case string:
		return strings.ReplaceAll(v, "\u001b", "\ufffd")
	}
	return v
}

// TestPruneReportIsMobys: our one answer has every field of moby's, with its type.
func TestPruneReportIsMobys(t *testing.T) {
	for _, theirs := range []any{container.PruneReport{}, image.PruneReport{}, volume.PruneReport{}} {
		of := reflect.TypeOf(theirs)
		for i := range of.NumField() {
			f, ok := reflect.TypeFor[engineapi.PruneReport]().FieldByName(of.Field(i).Name)
			if !ok || f.Type.Kind() != of.Field(i).Type.Kind() {
				t.Errorf("%v.%s is %v here", of, of.Field(i).Name, f.Type)
			}
		}
	}
}

// TestRemovalsSpeakAsDocker: both ask the same question, take the same answers, and print the same.
func TestRemovalsSpeakAsDocker(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	for _, args := range []string{"container prune", "image prune", "image prune -a", "volume prune", "volume prune -a", "network prune",
		"system prune", "system prune -a --volumes", "system prune --filter label=b --filter label=a"} {
		for _, answer := range []string{"n\n", "", "yes\n", "Y\n"} {
			t.Run(args+" "+strings.TrimSpace(answer), func(t *testing.T) {
				f := newFake(t)
				layUsage(f)
				r := f.brig(answer, strings.Fields(args)...)
				cmd := exec.Command(docker, append([]string{"-H", f.host}, strings.Fields(args)...)...)
				cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent", "LANG=C"}
				cmd.Stdin = strings.NewReader(answer)
				theirs, err := cmd.CombinedOutput()
				if err != nil || r.code != 0 {
					t.Fatalf("docker: %v: %s; brig: %+v", err, theirs, r)
				}
				// Brig's question does not go where a script reads the answer.
				ours := strings.TrimRight(r.err+r.out, "\n")
				if want := strings.TrimRight(strings.ReplaceAll(string(theirs), "\x1b", "\ufffd"), "\n"); ours != want {
					t.Errorf("brig says\n%s\ndocker\n%s", ours, want)
				}
			})
		}
	}
}
