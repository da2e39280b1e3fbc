package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/archive"
	"github.com/brig-engine/brig/internal/worker/layer"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var limits = jobs.Limits{MaxBytes: 64 << 20}.WithDefaults()

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// file is one member of an archive: a body, or "-> target" and "= target" for links.
type file struct{ name, body string }

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := tar.Header{Name: f.name, Typeflag: tar.TypeReg, Size: int64(len(f.body)), Mode: 0o644}
		if to, ok := strings.CutPrefix(f.body, "-> "); ok {
			h.Typeflag, h.Linkname = tar.TypeSymlink, to
		} else if to, ok := strings.CutPrefix(f.body, "= "); ok {
			h.Typeflag, h.Linkname = tar.TypeLink, to
		} else if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if h.Typeflag != tar.TypeReg {
			h.Size, f.body = 0, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// loaded is what Load gave, with the blobs by digest.
type loaded struct {
	*jobs.LoadResult
	blobs map[string]string
}

func load(t testing.TB, b []byte) (*loaded, error) {
	t.Helper()
	dir := t.TempDir()
	r, err := archive.Load(bytes.NewReader(b), jobs.LoadParams{Size: int64(len(b))}, limits,
		func(n int, _ int64) (*os.File, error) { return os.Create(fmt.Sprintf("%s/%d", dir, n)) }, nil)
	if err != nil {
		return nil, err
	}
	out := &loaded{r, map[string]string{}}
	for n, blob := range r.Blobs {
		body, err := os.ReadFile(fmt.Sprintf("%s/%d", dir, n))
		if err != nil || digest(body) != blob.Digest || int64(len(body)) != blob.Size {
			t.Errorf("blob %d: %d bytes, %s (%v); the result says %+v", n, len(body), digest(body), err, blob)
		}
		out.blobs[blob.Digest] = string(body)
	}
	for _, image := range r.Images {
		for _, d := range append([]string{image.Config}, image.Layers...) {
			if _, ok := out.blobs[d]; !ok {
				t.Errorf("the blob %s of an image was not handed out", d)
			}
		}
	}
	return out, nil
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

type m = map[string]any

func desc(kind, body string) m {
	return m{"mediaType": kind, "digest": digest([]byte(body)), "size": len(body)}
}

func at(body string) string { return "blobs/sha256/" + digest([]byte(body))[7:] }

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	config      = `{"architecture":"amd64","os":"linux"}`
	layout      = `{"imageLayoutVersion":"1.0.0"}`
)

var (
	small    = strings.Repeat("layer one ", 10)
	large    = strings.Repeat("layer two ", 500_000) // beyond what waits in memory
	manifest = marshal(m{"schemaVersion": 2, "mediaType": ociManifest, "config": desc(ociConfig, config),
		"layers": []m{desc(ociLayer, small), desc(ociLayer, large)}})
	index = marshal(m{"schemaVersion": 2, "manifests": []m{named(desc(ociManifest, manifest), "example.com/a:1")}})
)

func named(d m, name string) m {
	d["annotations"] = m{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"}
	return d
}

// oci is a sound OCI archive, as the parts of it that tests change.
func oci() []file {
	return []file{{"oci-layout", layout}, {"index.json", index}, {at(manifest), manifest}, {at(config), config},
		{at(small), small}, {at(large), large}}
}

// docker is a sound docker-archive of the old kind, with layers that are links to one another.
func docker() []file {
	list := marshal([]m{{"Config": digest([]byte(config))[7:] + ".json", "RepoTags": []string{"a:1", "b:2"},
		"Layers": []string{"x/layer.tar", "y/layer.tar", "z/layer.tar"}}})
	return []file{{"x/", ""}, {"x/VERSION", "1.0"}, {"x/json", "{}"}, {"x/layer.tar", large},
		{"y/layer.tar", "-> ../z/layer.tar"}, {"z/layer.tar", "-> ../x/layer.tar"},
		{digest([]byte(config))[7:] + ".json", config}, {"manifest.json", list}, {"repositories", "{}"}}
}

func reversed(files []file) []file {
	var out []file
	for _, f := range files {
		out = append([]file{f}, out...)
	}
	return out
}

// TestLoadReadsBothFormats, in any order of members, plain and compressed.
func TestLoadReadsBothFormats(t *testing.T) {
	wantOCI := []jobs.LoadedImage{{Names: []string{"example.com/a:1"}, Config: digest([]byte(config)),
		Layers: []string{digest([]byte(small)), digest([]byte(large))}, Manifest: digest([]byte(manifest)),
		MediaTypes: []string{ociLayer, ociLayer}}}
	d := digest([]byte(large))
	wantDocker := []jobs.LoadedImage{{Names: []string{"a:1", "b:2"}, Config: digest([]byte(config)), Layers: []string{d,
		d, d}}}
	for name, c := range map[string]struct {
		files []file
		want  []jobs.LoadedImage
	}{
		"OCI": {oci(), wantOCI}, "OCI, reversed": {reversed(oci()), wantOCI},
		"Docker": {docker(), wantDocker}, "Docker, reversed": {reversed(docker()), wantDocker},
	} {
		plain := tarOf(t, c.files...)
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		z.Write(plain)
		z.Close()
		for kind, b := range map[string][]byte{"plain": plain, "gzip": zipped.Bytes()} {
			l, err := load(t, b)
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			if diff := cmp.Diff(c.want, l.Images); diff != "" {
				t.Errorf("%s, %s: %s", name, kind, diff)
			}
		}
	}
}

// TestLoadJoinsBothTables: an archive with index.json and manifest.json has each image once.
func TestLoadJoinsBothTables(t *testing.T) {
	list := marshal([]m{{"Config": at(config), "RepoTags": []string{"a:1", "example.com/a:1"},
		"Layers": []string{at(small), at(large)}},
		{"Config": at(config), "RepoTags": []string{"other:1"}, "Layers": []string{at(small)}}})
	l, err := load(t, tarOf(t, append(oci(), file{"manifest.json", list})...))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Images) != 2 || strings.Join(l.Images[0].Names, " ") != "example.com/a:1 a:1" ||
		l.Images[1].Names[0] != "other:1" {
		t.Errorf("%+v", l.Images)
	}
}

// TestLoadWalksIndexes: nested indexes are followed, other platforms that are not there and attestations are passed
// over.
func TestLoadWalksIndexes(t *testing.T) {
	missing := desc(ociManifest, "another platform's manifest")
	attest := desc(ociManifest, manifest)
	attest["annotations"] = m{"vnd.docker.reference.type": "attestation-manifest"}
	inner := marshal(m{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []m{desc(ociManifest, manifest), missing,
		attest}})
	outer := marshal(m{"schemaVersion": 2, "manifests": []m{named(desc(ociIndex, inner), "n:1")}})
	files := append(oci(), file{at(inner), inner})
	files[1].body = outer
	l, err := load(t, tarOf(t, files...))
	if err != nil || len(l.Images) != 1 || strings.Join(l.Images[0].Names, " ") != "n:1" {
		t.Errorf("%+v, %v", l, err)
	}
}

// made is a layer as the store has it.
type made struct {
	r         *jobs.LayerResult
	toc, data string
}

func makeLayer(t testing.TB, tar []byte) made {
	t.Helper()
	dir := t.TempDir()
	data, err1 := os.Create(dir + "/data")
	toc, err2 := os.Create(dir + "/toc")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	defer data.Close()
	defer toc.Close()
	r, err := layer.Build(bytes.NewReader(tar), data, toc, jobs.LayerParams{}, limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made{r, toc.Name(), data.Name()}
}

// TestExportNoticesChangedData: what does not give the digest of its table is an error.
func TestExportNoticesChangedData(t *testing.T) {
	l := makeLayer(t, tarOf(t, file{"f", strings.Repeat("x", 10_000)}))
	table, _ := os.ReadFile(l.toc)
	data, _ := os.ReadFile(l.data)
	export := func(data []byte, size int64) error {
		_, err := archive.Export(io.Discard, bytes.NewReader(table), bytes.NewReader(data),
			jobs.ExportParams{DataSize: size},
			limits, nil)
		return err
	}
	if err := export(data, l.r.DataSize); err != nil {
		t.Fatal(err)
	}
	if err := export(data[:4096], l.r.DataSize); err == nil {
		t.Error("cut data passed")
	}
	if err := export(data, l.r.DataSize-4096); err == nil {
		t.Error("another size passed")
	}
	data[100] ^= 1
	if err := export(data, l.r.DataSize); err == nil || !strings.Contains(err.Error(), "digest differs") {
		t.Errorf("changed data: %v", err)
	}
}

// saved runs Save over an image of two layers, regenerated from tables of contents or with its own manifest.
func saved(t testing.TB, withManifest bool) ([]byte, error) {
	image := jobs.SaveImage{Names: []string{"docker.io/library/a:1", "example.com:5000/b:2"}, Architecture: "amd64",
		OS:     "linux",
		Config: digest([]byte(config)), ConfigSize: int64(len(config))}
	dir := t.TempDir()
	files := map[string]string{}
	put := func(name, body string) {
		files[name] = fmt.Sprintf("%s/%d", dir, len(files))
		if err := os.WriteFile(files[name], []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("config/"+image.Config, config)
	for _, tar := range [][]byte{tarOf(t, file{"a", "one"}), tarOf(t, file{"b", strings.Repeat("two", 9999)}), tarOf(t,
		file{"a", "one"})} {
		l := makeLayer(t, tar)
		files["toc/"+l.r.DiffID], files["data/"+l.r.DiffID] = l.toc, l.data
		image.Layers = append(image.Layers, jobs.SaveLayer{DiffID: l.r.DiffID, Size: l.r.Size, DataSize: l.r.DataSize})
	}
	if withManifest {
		image.Manifest, image.ManifestType = []byte(manifest), ociManifest
		image.Layers = nil
		for _, b := range []string{small, large} {
			put("blob/"+digest([]byte(b)), b)
			image.Layers = append(image.Layers, jobs.SaveLayer{Blob: digest([]byte(b)), BlobSize: int64(len(b))})
		}
	}
	var out bytes.Buffer
	r, err := archive.Save(&out, jobs.SaveParams{Images: []jobs.SaveImage{image}}, limits,
		func(name string) (*os.File, error) {
			if files[name] == "" {
				return nil, fmt.Errorf("no %s: %w", name, errdefs.ErrNotFound)
			}
			return os.Open(files[name])
		}, nil)
	if err == nil && r.Size != int64(out.Len()) {
		t.Errorf("the result says %d bytes of %d", r.Size, out.Len())
	}
	return out.Bytes(), err
}

// TestSavedArchivesLoadAgain, with the same config, layers and, where it was given, manifest.
func TestSavedArchivesLoadAgain(t *testing.T) {
	for _, with := range []bool{false, true} {
		b, err := saved(t, with)
		if err != nil {
			t.Fatal(err)
		}
		l, err := load(t, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Images) != 1 {
			t.Errorf("%d images", len(l.Images))
		}
		names := map[string]bool{}
		for _, i := range l.Images {
			for _, n := range i.Names {
				names[n] = true
			}
			if i.Config != digest([]byte(config)) || len(i.Layers) != map[bool]int{false: 3, true: 2}[with] ||
				with && i.Manifest != digest([]byte(manifest)) {
				t.Errorf("%+v", i)
			}
		}
		for _, n := range []string{"docker.io/library/a:1", "example.com:5000/b:2", "a:1"} {
			if !names[n] {
				t.Errorf("the name %s is lost: %v", n, names)
			}
		}
	}
}

// TestSaveGolden shows the members of an archive and its tables.
func TestSaveGolden(t *testing.T) {
	b, err := saved(t, false)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		body, _ := io.ReadAll(r)
		fmt.Fprintf(&got, "%s %o %d %d\n", h.Name, h.Mode, h.Size, h.ModTime.Unix())
		if len(body) < 2000 && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) || strings.HasSuffix(h.Name, ".json") {
			var pretty bytes.Buffer
			json.Indent(&pretty, body, "    ", "  ")
			fmt.Fprintf(&got, "    %s\n", &pretty)
		}
	}
	const name = "testdata/saved.txt"
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-update writes it anew)\n%s", diff)
	}
}

// FuzzLoad: whatever is accepted hands out blobs that are what the result says (load checks that).
func FuzzLoad(f *testing.F) {
	f.Add(tarOf(f, docker()[1:3]...))
	f.Add(tarOf(f, oci()[:5]...))
	for _, c := range hostile(f) {
		if len(c.blob) < 64<<10 {
			f.Add(c.blob)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { load(t, b) })
}
