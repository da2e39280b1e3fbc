package image

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

func TestChanges(t *testing.T) {
	for _, tc := range []struct {
		change string
		want   func(c *dockerspec.DockerOCIImageConfig)
	}{
		{`CMD ["a","b c"]`, func(c *dockerspec.DockerOCIImageConfig) { c.Cmd = []string{"a", "b c"} }},
		{`cmd a b`, func(c *dockerspec.DockerOCIImageConfig) { c.Cmd = []string{"/bin/sh", "-c", "a b"} }},
		{`ENTRYPOINT []`, func(c *dockerspec.DockerOCIImageConfig) { c.Entrypoint = []string{} }},
		{`ENV A=1 B="2 3" C=4\ 5 D='x"y'`, func(c *dockerspec.DockerOCIImageConfig) {
			c.Env = []string{"A=1", "B=2 3",
				"C=4 5", `D=x"y`}
		}},
		{`ENV A b  c=d`, func(c *dockerspec.DockerOCIImageConfig) { c.Env = []string{"A=b  c=d"} }},
		{"ENV A=1\n# nothing\nENV A=2", func(c *dockerspec.DockerOCIImageConfig) { c.Env = []string{"A=2"} }},
		{`LABEL a=b "c d"=e`, func(c *dockerspec.DockerOCIImageConfig) {
			c.Labels = map[string]string{"a": "b",
				"c d": "e"}
		}},
		{`EXPOSE 80 53/UDP 1-2`, func(c *dockerspec.DockerOCIImageConfig) {
			c.ExposedPorts = map[string]struct{}{"80/tcp": {}, "53/udp": {}, "1/tcp": {}, "2/tcp": {}}
		}},
		{`VOLUME ["/a b"]`, func(c *dockerspec.DockerOCIImageConfig) { c.Volumes = map[string]struct{}{"/a b": {}} }},
		{`VOLUME /a /b`, func(c *dockerspec.DockerOCIImageConfig) { c.Volumes = map[string]struct{}{"/a": {}, "/b": {}} }},
		{`WORKDIR a/../b`, func(c *dockerspec.DockerOCIImageConfig) { c.WorkingDir = "/b" }},
		{`USER 1:2`, func(c *dockerspec.DockerOCIImageConfig) { c.User = "1:2" }},
		{`HEALTHCHECK NONE`, func(c *dockerspec.DockerOCIImageConfig) {
			c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"NONE"}}
		}},
		{`HEALTHCHECK --interval=5s --timeout=1500ms --start-period=1m --start-interval=2s --retries=4 CMD a | b`,
			func(c *dockerspec.DockerOCIImageConfig) {
				c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"CMD-SHELL", "a | b"}, Interval: 5 * time.Second,
					Timeout: 1500 * time.Millisecond, StartPeriod: time.Minute, StartInterval: 2 * time.Second, Retries: 4}
			}},
		{`HEALTHCHECK CMD ["a","b"]`, func(c *dockerspec.DockerOCIImageConfig) {
			c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"CMD", "a", "b"}}
		}},
		{`STOPSIGNAL SIGQUIT`, func(c *dockerspec.DockerOCIImageConfig) { c.StopSignal = "SIGQUIT" }},
	} {
		var got, want dockerspec.DockerOCIImageConfig
		tc.want(&want)
		if err := applyChanges(&got, []string{tc.change}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", tc.change, got, err)
		}
	}
	for _, bad := range []string{"RUN x", "FROM x", "CMD", "ENV A", `ENV A="b`, "ENV =b", "LABEL a", "EXPOSE x",
		"EXPOSE 0", "EXPOSE 5-3", "EXPOSE 1/icmp",
		"EXPOSE 99999", "HEALTHCHECK CMD", "HEALTHCHECK x", "HEALTHCHECK NONE x", "HEALTHCHECK --retries=0 CMD x",
		"HEALTHCHECK --interval=1us CMD x", "HEALTHCHECK --often CMD x", "ONBUILD RUN x", "USER a\x00b", `VOLUME [""]`} {
		if err := applyChanges(&dockerspec.DockerOCIImageConfig{}, []string{bad}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, s := range []string{`ENV A="b c" D=e`, `CMD ["x"]`, `EXPOSE 1-65535`, `VOLUME ["/a"]`, `LABEL a\`,
		`WORKDIR ../..`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c dockerspec.DockerOCIImageConfig
		if applyChanges(&c, []string{s}) != nil {
			return
		}
		if c.WorkingDir != "" && (c.WorkingDir[0] != '/' || strings.Contains(c.WorkingDir+"/", "/../")) {
			t.Fatalf("%q became the directory %q", s, c.WorkingDir)
		}
		for _, e := range c.Env {
			if strings.Contains(e, "\x00") || strings.HasPrefix(e, "=") || !strings.Contains(e, "=") {
				t.Fatalf("%q became %q", s, e)
			}
		}
	})
}
