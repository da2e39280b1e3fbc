package image_test

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// twoImages loads app:1 (base) and app:2 (base, top), with fixed bytes.
func twoImages(t *testing.T) *world {
	w := newWorld(t)
	w.ok("POST", "/images/load", bytes.NewReader(dockerArchive("app:1", plain(configOf(base)), base)))
	w.ok("POST", "/images/load", bytes.NewReader(dockerArchive("app:2", plain(configOf(base, top)), base, top)))
	return w
}

// plain makes a config that is the same on every machine.
func plain(config []byte) []byte {
	return bytes.Replace(bytes.Replace(config, []byte("arm64"), []byte("amd64"), 1), []byte("riscv64"), []byte("amd64"), 1)
}

func TestGoldenReplies(t *testing.T) {
	w := twoImages(t)
	golden(t, "list.json", indent(w.ok("GET", "/images/json?shared-size=1", nil)))
	inspect := indent(w.ok("GET", "/images/app:2/json", nil))
	var keep []string
	for line := range strings.Lines(inspect) {
		if !strings.Contains(line, "LastTagTime") { // the only line that depends on the clock
			keep = append(keep, line)
		}
	}
	golden(t, "inspect.json", strings.Join(keep, ""))
	golden(t, "history.json", indent(w.ok("GET", "/images/app:2/history", nil)))
}

func TestFiltersOfTheList(t *testing.T) {
	w := twoImages(t)
	one, two := digest.FromBytes(plain(configOf(base))).String(), digest.FromBytes(plain(configOf(base, top))).String()
	for filters, want := range map[string]string{
		`{"reference":{"app":true}}`:             one + two,
		`{"reference":{"app:1":true}}`:           one,
		`{"reference":["*:2"]}`:                  two,
		`{"reference":["nothere"]}`:              "",
		`{"dangling":["true"]}`:                  "",
		`{"dangling":["false"]}`:                 one + two,
		`{"label":["a"]}`:                        one + two,
		`{"label":["a=c"]}`:                      "",
		`{"label!":["a=b"]}`:                     "",
		`{"until":["2020-01-01T00:00:00Z"]}`:     "",
		`{"until":["1h"]}`:                       one + two,
		`{"since":["app:1"]}`:                    "",
		`{"before":["app:1"],"label":["a","a"]}`: "",
		`{"before":["app:1","app:2"]}`:           "",
		`{"until":["1h","2020-01-01"]}`:          "",
	} {
		got := w.ok("GET", "/images/json?filters="+filters, nil)
		for _, id := range []string{one, two} {
			if strings.Contains(got, id) != strings.Contains(want, id) {
				t.Errorf("%s: %s", filters, got)
			}
		}
	}
	for _, filters := range []string{`{"colour":["red"]}`, `{"dangling":["maybe"]}`, `[]`, `{"until":["soon"]}`,
		`{"reference":["["]}`, `{"since":["nothere"]}`} {
		if code, out := w.call("GET", "/images/json?filters="+filters, nil); code != 400 && code != 404 {
			t.Errorf("%s: %d %s", filters, code, out)
		}
	}
}

func TestRemove(t *testing.T) {
	w := twoImages(t)
	one := must(w.store.Lookup("app:1"))
	w.ok("POST", "/images/app:1/tag?repo=other&tag=x", nil)
	if code, out := w.call("DELETE", "/images/"+one.ID, nil); code != 409 || !strings.Contains(out,
		"multiple repositories") {
		t.Errorf("%d %s", code, out)
	}
	steps := []struct {
		path string
		code int
		want string
	}{
		{"nothere", 404, "No such image"},
		{"other:x", 200, `[{"Untagged":"other:x"}]`},
		{"app:1", 409, "container c1"},
		{one.ID + "?force=1", 409, "cannot be forced"},
		{"app:1?force=1", 200, `[{"Untagged":"app:1"}]`},
	}
	if err := w.store.Hold(one.ID, "c1"); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if code, out := w.call("DELETE", "/images/"+s.path, nil); code != s.code || !strings.Contains(out, s.want) {
			t.Errorf("%s: %d %s", s.path, code, out)
		}
	}
	if out := w.ok("POST", `/images/prune?filters={"dangling":["false"]}`, nil); strings.Contains(out, one.ID) ||
		w.store.Count() != 1 {
		t.Errorf("an image in use was pruned, or one that is not was kept: %s", out)
	}
	w.store.Release(one.ID, "c1")
	if out := w.ok("DELETE", "/images/"+one.ID[7:19], nil); out != `[{"Deleted":"`+one.ID+`"}]`+"\n" {
		t.Errorf("removed by id: %s", out)
	}
	if left := w.warden.objects(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	w.restart()
	if w.store.Count() != 0 {
		t.Error("removed images are back after a restart")
	}
	if err := w.store.Hold(one.ID, "c2"); err == nil {
		t.Error("an image that is gone was held")
	}
}

func TestSharedLayersSurviveTheRemovalOfOneImage(t *testing.T) {
	w := twoImages(t)
	w.ok("DELETE", "/images/app:1", nil)
	two := must(w.store.Lookup("app:2"))
	have := strings.Join(w.warden.objects(), " ")
	for _, d := range []string{two.Index, two.ID, two.Manifest, two.Layers[0].Data, two.Layers[0].TOC,
		two.Layers[0].Blob} {
		if !strings.Contains(have, d[7:]) {
			t.Errorf("%s is gone", d)
		}
	}
}

func TestNotBuiltIsRefusedByName(t *testing.T) {
	w := twoImages(t)
	for _, q := range []string{"GET /images/search?term=x", "GET /images/app:1/attestations",
		"POST /images/load?platform=x",
		"GET /images/get?names=app&platform=x", "DELETE /images/app:1?platforms=x", "GET /images/app:1/history?platform=x"} {
		method, path, _ := strings.Cut(q, " ")
		if code, out := w.call(method, path, nil); code != http.StatusNotImplemented {
			t.Errorf("%s: %d %s", q, code, out)
		}
	}
	for _, q := range []string{"GET /images/", "PUT /images/json", "GET /images/app:1", "POST /images/app:1/rename",
		"GET /distribution/x"} {
		method, path, _ := strings.Cut(q, " ")
		if code, out := w.call(method, path, nil); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", q, code, out)
		}
	}
}

func TestLoginAndDistribution(t *testing.T) {
	w := newWorld(t)
	w.reg.Token, w.reg.User, w.reg.Password = "tok", "ann", "pw"
	d := w.publish("team/app", "1", base)
	auth := `{"username":"ann","password":"pw","serveraddress":"` + w.reg.Host + `"}`
	if out := w.ok("POST", "/auth", strings.NewReader(auth)); !strings.Contains(out, "Login Succeeded") {
		t.Error(out)
	}
	if code, out := w.call("POST", "/auth", strings.NewReader(strings.Replace(auth, "pw", "no", 1))); code != 403 {
		t.Errorf("%d %s", code, out)
	}
	header := "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoicHcifQ=="
	if out := w.ok("GET", "/distribution/"+w.reg.Host+"/team/app:1/json", nil, "X-Registry-Auth",
		header); !strings.Contains(out, d.Digest.String()) {
		t.Error(out)
	}
}

// The unmodified Docker client understands what it gets.
func TestDockerClient(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	w := newWorld(t)
	w.publish("team/app", "1", base, top)
	run := func(want string, args ...string) string {
		t.Helper()
		cmd := exec.Command(docker, append([]string{"--config", t.TempDir(), "-H", "unix://" + w.socket}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	ref := w.reg.Host + "/team/app:1"
	file := t.TempDir() + "/a.tar"
	run("Downloaded newer image", "pull", ref)
	run(w.reg.Host+"/team/app", "images", "--digests")
	run("", "tag", ref, "hello:1")
	run("COPY 1", "history", "--no-trunc", "hello:1")
	run("", "save", "-o", file, "hello:1")
	run("Untagged: hello:1", "rmi", "hello:1")
	run("Loaded image: hello:1", "load", "-i", file)
	run(w.reg.Host, "push", ref)
	run("sha256:", "import", "-c", "CMD true", file, "imported:1")
	run(`"Author": "ann"`, "image", "inspect", "hello:1")
	run("Total reclaimed space", "image", "prune", "-af")
}
