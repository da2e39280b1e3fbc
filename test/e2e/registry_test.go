package e2e

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The registry that most of the world runs, in a fixed version.
const (
	registryModule  = "github.com/distribution/distribution/v3/cmd/registry"
	registryVersion = "v3.1.2"
	registryAddress = "127.0.0.1:5000"
)

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: %s}
`

// registryProgram builds the registry once and keeps it.
func registryProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(cacheDir(t), "registry-"+registryVersion)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "install", registryModule+"@"+registryVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	keep(t, filepath.Join(dir, "registry"), path)
	return path
}

// withRegistry runs a registry on the loopback of the engine's network namespace and returns its directory.
func (e *engine) withRegistry() string {
	e.t.Helper()
	program := registryProgram(e.t)
	dir := e.t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(registryConfig, filepath.Join(dir, "storage"), registryAddress)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		e.t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := e.within(cmd.Start); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // it was killed
		log.Close()
		if text, _ := os.ReadFile(log.Name()); e.t.Failed() {
			e.t.Logf("registry's log:\n%s", text)
		}
	})
	e.eventually("the registry", func() bool { _, ok := e.get(registryAddress, "/v2/"); return ok })
	return dir
}

// registryDigest asks the registry what digest a name has.
func (e *engine) registryDigest(repository, tag string) string {
	e.t.Helper()
	c, err := e.dial("tcp", registryAddress)
	if err != nil {
		e.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "GET /v2/%s/manifests/%s HTTP/1.0\r\nHost: %s\r\nAccept: application/vnd.oci.image.manifest.v1+json, "+
		"application/vnd.docker.distribution.manifest.v2+json\r\n\r\n", repository, tag, registryAddress)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, res.Body); err != nil || res.StatusCode != http.StatusOK {
		e.t.Fatalf("%s:%s in the registry: %s, %v", repository, tag, res.Status, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// layerSums saves an image and returns the sha256 of each of its layers' tar, uncompressed.
func (e *engine) layerSums(image string) []string {
	e.t.Helper()
	archive := filepath.Join(e.t.TempDir(), "saved.tar")
	e.brig("save", "-o", archive, image)
	f, err := os.Open(archive)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	sums := map[string]string{}
	var index []struct{ Layers []string }
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			e.t.Fatal(err)
		}
		if h.Name == "manifest.json" {
			if err := json.NewDecoder(r).Decode(&index); err != nil {
				e.t.Fatal(err)
			}
			continue
		}
		sums[h.Name] = plainSum(e.t, r)
	}
	if len(index) != 1 {
		e.t.Fatalf("%d images in the archive of %s", len(index), image)
	}
	var out []string
	for _, l := range index[0].Layers {
		out = append(out, sums[l])
	}
	return out
}

// plainSum is the sha256 of what r holds when it is not compressed any more.
func plainSum(t testing.TB, r io.Reader) string {
	t.Helper()
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	} else {
		r = b
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func fileSum(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return plainSum(t, f)
}

// throughRegistry pushes an image, forgets it, pulls it, and compares all that must be the same.
func (e *engine) throughRegistry(image, rootfs, hello string) {
	e.t.Helper()
	want := []string{fileSum(e.t, rootfs)}
	remote := registryAddress + "/test/" + image + ":v1"
	e.brig("tag", image, remote)
	id := e.brig("inspect", "--type", "image", "--format", "{{.Id}}", image)
	if got := e.layerSums(image); fmt.Sprint(got) != fmt.Sprint(want) {
		e.t.Errorf("the layer of %s as saved after import: %v, want %v", image, got, want)
	}
	e.brig("push", remote)
	digest := e.registryDigest("test/"+image, "v1")
	full := registryAddress + "/test/" + image + "@" + digest
	what := []string{"inspect", "--type", "image", "--format", "{{.Id}} {{index .RepoDigests 0}}", remote}
	if got := e.brig(what...); got != id+" "+full {
		e.t.Errorf("after push: %s, want %s %s", got, id, full)
	}
	e.brig("rmi", image, remote)
	if out, code := e.run(e.brigCommand("inspect", "--type", "image", id)); code == 0 {
		e.t.Errorf("%s is still here after rmi: %s", image, out)
	}
	if out := e.brig("pull", remote); !strings.Contains(out, digest) {
		e.t.Errorf("pull does not say the digest %s:\n%s", digest, out)
	}
	if got := e.brig(what...); got != id+" "+full {
		e.t.Errorf("after pull: %s, want %s %s", got, id, full)
	}
	if got := e.layerSums(remote); fmt.Sprint(got) != fmt.Sprint(want) {
		e.t.Errorf("the layer of %s as saved after pull: %v, want %v", image, got, want)
	}
	if out := e.brig("run", "--rm", "--entrypoint", "/bin/sh", remote, "-c", "echo "+hello); out != hello {
		e.t.Errorf("%s after pull: %q", image, out)
	}
	e.brig("rmi", remote)
	e.brig("pull", full)
	e.brig("rmi", full)
}

func TestImagesThroughARegistry(t *testing.T) {
	slow(t)
	e := startEngine(t).settled()
	e.withRegistry()
	before := e.brig("images", "-aq")
	for name := range recipes {
		t.Run(name, func(t *testing.T) {
			e := e.with(t)
			e.withDebian(name)
			e.throughRegistry(name, debianTar(t, name), "here")
		})
	}
	t.Run("compressed", func(t *testing.T) {
		e := e.with(t)
		rootfs := filepath.Join(t.TempDir(), "box.tar.gz")
		f, err := os.Create(rootfs)
		if err != nil {
			t.Fatal(err)
		}
		z := gzip.NewWriter(f)
		if _, err := z.Write(busyboxTar(t)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		e.brig("import", "--change", "ENV PATH=/bin", rootfs, "compressed")
		e.throughRegistry("compressed", rootfs, "here")
	})
	if out := e.brig("images", "-aq"); out != before {
		t.Errorf("left behind: %q, before %q", out, before)
	}
}

// TestDockerPushesAndPulls is throughRegistry for the unmodified docker client.
func TestDockerPushesAndPulls(t *testing.T) {
	slow(t)
	e := startEngine(t).withBusybox()
	e.withRegistry()
	remote := registryAddress + "/test/docker:v1"
	e.docker("tag", "box", remote)
	id := e.docker("images", "-q", "--no-trunc", "box")
	out := e.docker("push", remote)
	digest := e.registryDigest("test/docker", "v1")
	if !strings.Contains(out, "digest: "+digest) {
		t.Errorf("push does not say the digest %s:\n%s", digest, out)
	}
	e.docker("rmi", "box", remote)
	out = e.docker("pull", remote)
	for _, want := range []string{"Digest: " + digest, "Downloaded newer image"} {
		if !strings.Contains(out, want) {
			t.Errorf("pull does not say %q: %s", want, out)
		}
	}
	if out := e.docker("pull", "-q", remote); out != remote {
		t.Errorf("pull -q: %q", out)
	}
	const format = "{{.ID}} {{.Digest}}"
	list := e.docker("images", "--digests", "--no-trunc", "--format", format, registryAddress+"/test/docker")
	if list != id+" "+digest {
		t.Errorf("images: %q, want %s %s", list, id, digest)
	}
	if out := e.docker("run", "--rm", remote, "echo", "pulled"); out != "pulled" {
		t.Errorf("%q", out)
	}
	e.docker("rmi", remote)
	if out := e.docker("run", "--rm", remote, "echo", "pulled again"); !strings.HasSuffix(out, "pulled again") {
		t.Errorf("run of an image that must be pulled first: %q", out)
	}
	out, code := e.run(e.dockerCommand("pull", registryAddress+"/test/none:v1"))
	if code != 1 || !strings.Contains(out, "not found") {
		t.Errorf("an image that the registry does not have: %d %s", code, out)
	}
}
