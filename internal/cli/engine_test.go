package cli

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/cli/api"
)

func TestEngineStatus(t *testing.T) {
	f := newFake(t)
	layReplies(f)
	run := t.TempDir()
	socket := strings.TrimPrefix(f.host, "unix://")
	r := f.brig("", "engine", "status", "--run", run, "--socket", socket)
	if r.code != 0 || r.err != "" {
		t.Errorf("got %+v", r)
	}
	out := strings.ReplaceAll(r.out, f.host, "HOST")
	r = f.brig("", "engine", "status", "--run", run, "--socket", socket, "--format", "json")
	out += strings.ReplaceAll(r.out, f.host, "HOST")
	r = f.brig("", "engine", "status", "--run", run)
	if r.code != 1 {
		t.Errorf("without an engine: %+v", r)
	}
	golden(t, "status.txt", strings.ReplaceAll(out+r.out, run, "RUN"))
}

func TestTheStatusOfAnEngineThatHangs(t *testing.T) {
	f := newFake(t)
	host := serve(t, hang{})
	r := f.brig("", "engine", "status", "--run", t.TempDir(), "--socket", strings.TrimPrefix(host, "unix://"))
	if r.code != 1 || !strings.Contains(r.out, "no answer within 3 seconds") {
		t.Errorf("got %+v", r)
	}
}

// What the survey tells dockerd to do is heeded or refused by name, and starts nothing.
func TestTheSurveysOptionsOfTheEngine(t *testing.T) {
	f := newFake(t)
	run := t.TempDir()
	for _, c := range []struct {
		option string
		says   []string
	}{
		{"-e=lxc", []string{`--exec-driver "lxc"`, "Brig makes containers itself"}},
		{"-e=runsc", []string{`--exec-driver "runsc"`, "there are brig.", "[runtimes.NAME]"}},
		{"--default-runtime=runsc", []string{`--default-runtime "runsc"`, "there are brig.", "[runtimes.NAME]"}},
		{"--add-runtime=runc=/usr/sbin/runc", []string{"--add-runtime", "[runtimes.NAME]"}},
		{"--log-driver=syslog", []string{`--log-driver "syslog"`, "5 files of 10 MB"}},
		{"--log-opt=max-size=1m", []string{`--log-opt "max-size=1m"`, "create or run"}},
		{"--icc", []string{"--icc", "do not reach each other"}},
	} {
		r := f.brig("", "engine", "start", "--run", run, "--root", run, c.option)
		for _, words := range append(c.says, "Next: ") {
			if r.code != 125 || r.out != "" || !strings.Contains(r.err, words) {
				t.Errorf("%s does not say %q: %+v", c.option, words, r)
			}
		}
	}
	if err := (&dockerd{}).refuse(); err != nil {
		t.Errorf("--icc=false: %v", err)
	}
}

func TestDoctorSpeaks(t *testing.T) {
	f := newFake(t)
	if r := f.brig("", "doctor"); !strings.Contains(r.out, "Brig") || strings.Contains(r.out, "\x1b") {
		t.Errorf("got %+v", r)
	}
	if r := f.brig("", "doctor", "--format", "{{.OS}}"); r.out != "linux\n" {
		t.Errorf("got %+v", r)
	}
}

func TestTheNextStepDependsOnWhy(t *testing.T) {
	for _, c := range []struct {
		host, want string
		err        error
	}{
		{DefaultHost, "Next: sudo brig engine start", fs.ErrNotExist},
		{DefaultHost, "The socket belongs to root. Next: repeat the command with sudo.", fs.ErrPermission},
		{"unix:///x", "Next: check the address (--host, BRIG_HOST)", fs.ErrNotExist},
	} {
		if got := describe(&api.Unreachable{Host: c.host, Err: c.err}); !strings.Contains(got, c.want) {
			t.Errorf("%s, %v: %s", c.host, c.err, got)
		}
	}
	if got := describe(errors.New("the engine's own words")); got != "the engine's own words" {
		t.Errorf("got %s", got)
	}
}

// TestTheThirdRequestToEndIsObeyed: in a process of its own, because it ends that process.
func TestTheThirdRequestToEndIsObeyed(t *testing.T) {
	if host := os.Getenv("BRIG_TEST_THIRD"); host != "" {
		a := testApp(host)
		a.Out, a.Err = os.Stdout, os.Stderr
		os.Exit(a.Run(t.Context(), []string{"run", "alpine"}))
	}
	f := newFake(t)
	block, answer := make(chan struct{}), make(chan struct{})
	f.on("POST /containers/0123456789abcdef/kill", func(http.ResponseWriter, *http.Request) { <-block })
	f.program(func(s io.ReadWriter) int {
		io.WriteString(s, frame(1, "up\n"))
		<-block
		return 0
	})
	const path = "POST /containers/0123456789abcdef/start"
	start := f.answers[path]
	f.on(path, func(w http.ResponseWriter, r *http.Request) {
		start(w, r)
		<-answer
	})
	defer close(block)
	cmd := exec.Command(os.Args[0], "-test.run=TestTheThirdRequestToEndIsObeyed$")
	cmd.Env = append(os.Environ(), "BRIG_TEST_THIRD="+f.host)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 3))
	time.Sleep(20 * settling)
	// One request comes before the start is over, and is passed on to an engine that does not answer.
	cmd.Process.Signal(os.Interrupt)
	time.Sleep(50 * time.Millisecond)
	close(answer)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, out)
		close(ended)
	}()
	// Three are enough; signals that are not yet taken melt into one, so a busy machine may need more.
	for n := 0; n < 200; n++ {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
			n = 200
		case <-time.After(50 * time.Millisecond):
		}
	}
	cmd.Process.Kill() // does nothing to one that has ended
	<-ended
	var exit *exec.ExitError
	err = cmd.Wait()
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.Contains(errs.String(), "brig kill") {
		t.Errorf("%v: %s", err, errs.String())
	}
}

// TestTheCommandLineStaysLean: what is linked is initialised at every `brig run`, and a command line that can neither
// execute programs nor open TLS connections cannot be made to.
func TestTheCommandLineStaysLean(t *testing.T) {
	const format = `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-f", format, "github.com/brig-engine/brig/cmd/brig").Output()
	if err != nil {
		t.Skip("missing: the go command")
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		switch dep := words[0]; dep {
		case "net/http", "crypto/tls", "crypto/x509", "os/exec", "html/template", "encoding/xml",
			"github.com/moby/moby/client", "github.com/distribution/reference", "github.com/sirupsen/logrus",
			"github.com/opencontainers/go-digest", "github.com/opencontainers/image-spec/specs-go/v1":
			t.Errorf("cmd/brig depends on %s", dep)
		case "github.com/brig-engine/brig/internal/cli/single":
			if len(words) != 2 {
				t.Errorf("%s is not initialised first: it imports %q", dep, words[1:])
			}
		case "github.com/spf13/cobra": // compiles one small expression
		default:
			if slices.Contains(words[1:], "regexp") {
				t.Errorf("cmd/brig depends on %s, which imports regexp", dep)
			}
		}
	}
}
