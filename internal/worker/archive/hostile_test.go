package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/archive"
	"github.com/containerd/errdefs"
)

// change gives the sound archive with one file changed, or left out where the body is "".
func change(files []file, name, body string) []file {
	var out []file
	for _, f := range files {
		if f.name == name {
			f.body = body
		}
		if f.body != "" || f.name != name {
			out = append(out, f)
		}
	}
	return out
}

func indexOf(descs ...m) string { return marshal(m{"schemaVersion": 2, "manifests": descs}) }

// hostile has archives that must be refused, each with a piece of the reason.
func hostile(t testing.TB) map[string]struct {
	blob []byte
	want string
} {
	type c = struct {
		blob []byte
		want string
	}
	sound := tarOf(t, oci()...)
	both := marshal(m{"schemaVersion": 2, "mediaType": ociManifest, "config": desc(ociConfig, config),
		"layers": []m{}, "manifests": []m{desc(ociManifest, manifest)}})
	v1 := marshal(m{"schemaVersion": 1, "fsLayers": []m{}, "history": []m{}})
	lying := desc(ociManifest, manifest)
	lying["size"] = 5
	noLayers := change(oci(), at(large), "")
	foreign := marshal(m{"schemaVersion": 2, "mediaType": ociManifest, "config": desc(ociConfig, config),
		"layers": []m{{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 1,
			"digest": digest([]byte("foreign")), "urls": []string{"http://169.254.169.254/"}}}})
	sparse := bytes.Replace(tarWith(t, tar.Header{Name: "s", Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"GNU.sparse_comment": "1"}}), []byte("sparse_"), []byte("sparse."), 1)
	nested := []string{indexOf(desc(ociManifest, manifest))}
	files := oci()
	for range 6 {
		inner := marshal(m{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []m{desc(kindOf(nested),
			nested[len(nested)-1])}})
		files = append(files, file{at(inner), inner})
		nested = append(nested, inner)
	}
	files = append(files, file{at(nested[0]), nested[0]})
	return map[string]c{
		"nothing":             {nil, "no image"},
		"a root file system":  {tarOf(t, file{"etc/passwd", "root"}), "import"},
		"no tar":              {bytes.Repeat([]byte("text"), 1000), "not a tar"},
		"xz":                  {[]byte("\xfd7zXZ\x00......"), "xz"},
		"cut off":             {sound[:len(sound)/2], "cut off"},
		"cut off in a header": {sound[:100], "cut off"},
		"dotdot":              {tarOf(t, file{"../index.json", index}), "leaves the root"},
		"link out":            {tarOf(t, file{"a/layer.tar", "-> ../../x"}), "leaves the root"},
		"device":              {tarWith(t, tar.Header{Name: "d", Typeflag: tar.TypeChar}), "no place"},
		"duplicate":           {tarOf(t, file{"index.json", index}, file{"index.json", index + " "}), "twice"},
		"duplicate as link":   {tarOf(t, file{"index.json", index}, file{"index.json", "-> x"}), "twice"},
		"blob changed":        {tarOf(t, change(oci(), at(small), "other bytes")...), "changed or damaged"},
		"config changed": {tarOf(t, change(docker(), digest([]byte(config))[7:]+".json", "{}")...),
			"changed or damaged"},
		"layer missing":        {tarOf(t, noLayers...), "lacks the blob"},
		"Docker layer missing": {tarOf(t, change(docker(), "x/layer.tar", "")...), "lacks"},
		"links in a circle":    {tarOf(t, change(docker(), "z/layer.tar", "-> ../y/layer.tar")...), "lacks"},
		"no oci-layout":        {tarOf(t, change(oci(), "oci-layout", "")...), "no oci-layout"},
		"JSON":                 {tarOf(t, change(oci(), "index.json", "{")...), "index.json"},
		"JSON of another type": {tarOf(t, change(oci(), "index.json", "[]")...), "index.json"},
		"deep JSON":            {tarOf(t, change(oci(), "index.json", strings.Repeat("[", 100_000))...), "index.json"},
		"index with layers":    {tarOf(t, change(oci(), "index.json", both)...), "both"},
		"manifest and index": {tarOf(t, append(change(oci(), "index.json", indexOf(desc(ociManifest, both))),
			file{at(both), both})...), "both"},
		"listed as index":     {tarOf(t, change(oci(), "index.json", indexOf(desc(ociIndex, manifest)))...), "not the"},
		"listed without type": {tarOf(t, change(oci(), "index.json", indexOf(desc("", manifest)))...), "not the"},
		"schema 1": {tarOf(t, append(change(oci(), "index.json", indexOf(desc(ociManifest, v1))), file{at(v1),
			v1})...), "schema version"},
		"size that lies": {tarOf(t, change(oci(), "index.json", indexOf(lying))...), "not 5"},
		"digest of another kind": {tarOf(t, change(oci(), "index.json",
			indexOf(m{"mediaType": ociManifest, "digest": "md5:1", "size": 1}))...), "digest"},
		"digest as a path": {tarOf(t, change(oci(), "index.json",
			indexOf(m{"mediaType": ociManifest, "digest": "sha256:../../../oci-layout", "size": 1}))...), "digest"},
		"foreign layer": {tarOf(t, append(change(oci(), "index.json", indexOf(desc(ociManifest, foreign))),
			file{at(foreign), foreign})...), "lacks the blob"},
		"only other platforms": {tarOf(t, change(oci(), "index.json", indexOf(desc(ociManifest, "x")))...), "no image"},
		"deep indexes": {tarOf(t, change(files, "index.json", indexOf(desc(ociIndex, nested[len(nested)-1])))...),
			"levels of indexes"},
		"many entries": {bytes.Repeat(tarOf(t, file{"a/", ""})[:512], 50_001), "entries"},
		"long name": {tarOf(t, change(oci(), "index.json", indexOf(named(desc(ociManifest, manifest),
			strings.Repeat("n", 600))))...), "name of an image"},
		"sparse":    {sparse, "sparse file has no place"},
		"too large": {bomb(t), "bytes in the uncompressed archive"},
	}
}

func kindOf(list []string) string { return ociIndex }

func tarWith(t testing.TB, h tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

func bomb(t testing.TB) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: 65 << 20})
	io.CopyN(w, zeros{}, 65<<20)
	w.Close()
	z.Close()
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestHostileArchivesAreRefused, with a sentence and a class.
func TestHostileArchivesAreRefused(t *testing.T) {
	for name, c := range hostile(t) {
		_, err := load(t, c.blob)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		} else if !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: %v has no class", name, err)
		}
	}
}

// TestARefusalEndsTheJob: where brigd gives no file, nothing is loaded.
func TestARefusalEndsTheJob(t *testing.T) {
	_, err := archive.Load(bytes.NewReader(tarOf(t, oci()...)), jobs.LoadParams{}, limits,
		func(int, int64) (*os.File, error) { return nil, errdefs.ErrResourceExhausted }, nil)
	if !errdefs.IsResourceExhausted(err) {
		t.Error(err)
	}
}
