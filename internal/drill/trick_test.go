package drill

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// script is an engine that runs nothing: start says what becomes of a container, and what it prints.
type script struct {
	Engine // what is not below is not asked for
	start  func(Spec) (output string, err error)
	loaded int
	live   int
}

func (s *script) Unload(context.Context, string) error            { return nil }
func (s *script) Load(_ context.Context, archive io.Reader) error { s.loaded++; return nil }
func (s *script) Start(_ context.Context, spec Spec) (Box, error) {
	out, err := s.start(spec)
	if err != nil {
		return nil, err
	}
	s.live++
	return &scriptBox{s, out}, nil
}

type scriptBox struct {
	engine *script
	out    string
}

func (b *scriptBox) Wait(context.Context) (int, error)               { return 0, nil }
func (b *scriptBox) Output(context.Context) ([]byte, error)          { return []byte(b.out), nil }
func (b *scriptBox) Exec(context.Context, ...string) ([]byte, error) { return []byte(b.out), nil }
func (b *scriptBox) ExecDetached(context.Context, ...string) error   { return nil }
func (b *scriptBox) ExecAs(context.Context, string, ...string) ([]byte, error) {
	return []byte("uid=1 gid=0\n"), nil
}
func (b *scriptBox) CopyIn(context.Context, string, io.Reader) error { return nil }
func (b *scriptBox) CopyOut(context.Context, string) ([]byte, error) { return nil, nil }
func (b *scriptBox) Info(context.Context) (Info, error)              { return Info{}, nil }
func (b *scriptBox) Remove(context.Context) error                    { b.engine.live--; return nil }

func scripted(t *testing.T, start func(Spec) (string, error)) *run {
	t.Helper()
	dir, err := plantDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.remove)
	return &run{ctx: t.Context(), engine: &script{start: start}, dir: dir}
}

func line(verdict string) string { return `{"verdict":"` + verdict + `","detail":"d"}` + "\n" }

var errRefused = errors.New("refused")

// A refusal is a defence only where the same engine starts the same without the trick.
func TestARefusedStartIsBlockedIfOthersStart(t *testing.T) {
	for _, x := range []struct {
		name  string
		start func(Spec) (string, error)
		want  string
	}{
		{"the trick is refused", func(s Spec) (string, error) {
			if s.WorkDir != "" {
				return "", errRefused
			}
			return "", nil
		}, Blocked},
		{"everything is refused", func(Spec) (string, error) { return "", errRefused }, CouldNotTry},
		{"one of thirteen gets through", func(s Spec) (string, error) {
			if s.WorkDir == "/proc/self/fd/9" {
				return line(Exposed), nil
			}
			return line(Blocked), nil
		}, Exposed},
		{"one of thirteen says nothing", func(s Spec) (string, error) {
			if s.WorkDir == "/proc/self/fd/9" {
				return "", nil
			}
			return line(Blocked), nil
		}, CouldNotTry},
	} {
		r := scripted(t, x.start)
		if v := tryWorkdir(r); v.Verdict != x.want {
			t.Errorf("%s: %+v", x.name, v)
		}
		if live := r.engine.(*script).live; live != 0 {
			t.Errorf("%s: %d containers were left behind", x.name, live)
		}
	}
}

// An engine that cannot run anything as that user has not refused the trick.
func TestAUserThatIsRefusedEverywhereProvesNothing(t *testing.T) {
	r := scripted(t, func(s Spec) (string, error) {
		if s.User != "" {
			return "", errRefused
		}
		return "", nil
	})
	if v := tryUserNumber(r); v.Verdict != CouldNotTry {
		t.Errorf("%+v", v)
	}
}

// What the hog says of itself does not decide: the neighbour does.
func TestWhoIsRefusedDecidesAboutAHog(t *testing.T) {
	for _, x := range []struct{ hog, before, during, want string }{
		{line(lookOutside), "ok", "ok", Blocked},
		{line(lookOutside), "ok", "inotify → EMFILE", Exposed},
		{line(Exposed), "ok", "ok", Exposed},
		{line(lookOutside), "inotify → EMFILE", "ok", CouldNotTry},
		{line(Blocked), "ok", "ok", Blocked},
		{"noise\n", "ok", "ok", CouldNotTry},
	} {
		near := &scriptBox{&script{live: 1}, x.before}
		r := scripted(t, func(Spec) (string, error) {
			near.out = x.during
			return x.hog, nil
		})
		r.neighbour = near
		if v := tryInotify(r); v.Verdict != x.want {
			t.Errorf("%+v: %+v", x, v)
		}
		if live := r.engine.(*script).live; live != 0 {
			t.Errorf("%+v: %d hogs were left behind", x, live)
		}
	}
}

// An image with a link gets a canary of its own, which is gone afterwards, and is not the one of other probes.
func TestLinkedImagesHaveTheirOwnCanary(t *testing.T) {
	var asked []string
	r := scripted(t, func(s Spec) (string, error) {
		asked = s.Args
		return line(Blocked), nil
	})
	r.probe.ID = "volume-link"
	if v := r.linked("v", "", true, "/v"); v.Verdict != Blocked || !strings.HasPrefix(v.Detail, "/v: ") {
		t.Errorf("%+v", v)
	}
	if got := asked[len(asked)-1]; got != "/v/secret" || asked[2] == r.dir.secret.hash() {
		t.Errorf("%v", asked)
	}
}

func TestVolumeOfAnImageIsDeclared(t *testing.T) {
	for _, volume := range [][]string{nil, {"/v"}} {
		files := unpackImage(t, writeImage("x:latest", []layer{{tar: programLayer(nil)}}, volume...))
		var docker []struct{ Config string }
		decode(t, files["manifest.json"], &docker)
		var config struct {
			Config struct{ Volumes map[string]any }
		}
		decode(t, files[docker[0].Config], &config)
		if len(config.Config.Volumes) != len(volume) {
			t.Errorf("%v became %v", volume, config.Config.Volumes)
		}
	}
}

func TestLayerOfRightsKeepsThem(t *testing.T) {
	var archive []byte
	r := scripted(t, func(Spec) (string, error) { return line(Blocked), nil })
	r.engine = loader{r.engine.(*script), &archive}
	trySetuid(r)
	files := unpackImage(t, archive)
	var docker []struct{ Layers []string }
	decode(t, files["manifest.json"], &docker)
	found := 0
	for reader := tar.NewReader(strings.NewReader(string(files[docker[0].Layers[1]]))); ; {
		h, err := reader.Next()
		if err != nil {
			break
		}
		if h.Mode == 0o4755 || h.PAXRecords["SCHILY.xattr.security.capability"] == fileCapability {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of two programs with rights", found)
	}
}

// loader keeps what is loaded.
type loader struct {
	*script
	archive *[]byte
}

func (l loader) Load(_ context.Context, archive io.Reader) (err error) {
	*l.archive, err = io.ReadAll(archive)
	return err
}

// A switch of the whole machine that an engine takes is exposed whatever came of it; one that it refuses is not.
func TestASwitchOfTheMachineMustBeRefused(t *testing.T) {
	for _, x := range []struct{ taken, want string }{{"vm.stat_interval", Exposed}, {"none", Blocked}} {
		r := scripted(t, func(s Spec) (string, error) {
			if _, ok := s.Sysctls[x.taken]; len(s.Sysctls) > 0 && !ok {
				return "", errRefused
			}
			return "", nil
		})
		if v := trySysctls(r); v.Verdict != x.want {
			t.Errorf("%s: %+v", x.taken, v)
		}
	}
}

// Who an image's odd user is, the kernel says from inside.
func TestAnOddUserIsWhoRuns(t *testing.T) {
	for who, want := range map[string]string{"uid=0 gid=0": Exposed, "uid=1000 gid=0": Exposed, "uid=1000 gid=1000": Blocked} {
		r := scripted(t, func(Spec) (string, error) { return who + "\n", nil })
		if v := r.oddUser("1000:4294967296"); v.Verdict != want {
			t.Errorf("%s: %+v", who, v)
		}
	}
}

// A spelling is a way to one directory: each names it, and none twice.
func TestEverySpellingNamesTheDirectory(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range spellings("/canary-dir") {
		text := string(encode(s.host)) + string(encode(s.more))
		if seen[text] || !strings.Contains(text, "/canary-dir") {
			t.Errorf("%s: %.200s", s.name, text)
		}
		seen[text] = true
		if s.name == "Binds behind 1 MiB" && len(text) < 1<<20 {
			t.Errorf("%d bytes are not more than 1 MiB", len(text))
		}
	}
}
