package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
)

func TestHealthChecksOfImageAndRequestAreLaidTogether(t *testing.T) {
	image := &dockerspec.HealthcheckConfig{Test: []string{"CMD", "img"}, Interval: time.Minute, Retries: 9,
		StartInterval: time.Second}
	for _, c := range []struct {
		name, request string
		image         *dockerspec.HealthcheckConfig
		want          string
	}{
		{"none", ``, nil, `null`},
		{"the image's", ``, image, `{"Test":["CMD","img"],"Interval":60000000000,"StartInterval":1000000000,"Retries":9}`},
		{"switched off", `"Healthcheck":{"Test":["NONE"]}`, image,
			`{"Test":["NONE"],"Interval":60000000000,"StartInterval":1000000000,"Retries":9}`},
		{"another command", `"Healthcheck":{"Test":["CMD-SHELL","x"]}`, image,
			`{"Test":["CMD-SHELL","x"],"Interval":60000000000,"StartInterval":1000000000,"Retries":9}`},
		{"other times", `"Healthcheck":{"Interval":2000000000,"Timeout":3000000000,"Retries":1}`, image,
			`{"Test":["CMD","img"],"Interval":2000000000,"Timeout":3000000000,"StartInterval":1000000000,"Retries":1}`},
		{"times without a command", `"Healthcheck":{"Interval":2000000000}`, nil, `{"Interval":2000000000}`},
		{"an image that talks nonsense", ``, &dockerspec.HealthcheckConfig{Test: []string{"MAGIC"}}, `null`},
		{"nonsense below a request", `"Healthcheck":{"Test":["CMD","x"]}`,
			&dockerspec.HealthcheckConfig{Test: []string{"CMD"}, Interval: 1}, `{"Test":["CMD","x"]}`},
	} {
		r, err := Decode([]byte(strings.Replace(`{"Image":"i",`+c.request+`}`, ",}", "}", 1)))
		if err != nil {
			t.Fatal(err)
		}
		img := testImage()
		img.Config.Config.Healthcheck = c.image
		e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: img, Host: testHost()})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(e.Config.Healthcheck); string(got) != c.want {
			t.Errorf("%s:\n %s, want\n %s", c.name, got, c.want)
		}
	}
}

func TestRestartOfUnhealthyContainersIsAskedForByALabel(t *testing.T) {
	for _, c := range []struct {
		body, imageLabel string
		want             bool
		warns            bool
	}{
		{`"Healthcheck":{"Test":["CMD","x"]}`, "", false, false},
		{`"Healthcheck":{"Test":["CMD","x"]},"Labels":{"dev.brig.restart-unhealthy":"true"}`, "", true, false},
		{`"Healthcheck":{"Test":["CMD","x"]},"Labels":{"dev.brig.restart-unhealthy":"false"}`, "", false, false},
		{`"Labels":{"dev.brig.restart-unhealthy":"1"}`, "", true, true},
		{`"Healthcheck":{"Test":["CMD","x"]}`, "true", false, false}, // an image cannot ask
	} {
		r, err := Decode([]byte(`{"Image":"i",` + c.body + `}`))
		if err != nil {
			t.Fatal(err)
		}
		img := testImage()
		if c.imageLabel != "" {
			img.Config.Config.Labels = map[string]string{RestartUnhealthyLabel: c.imageLabel}
		}
		e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: img, Host: testHost()})
		if err != nil {
			t.Fatal(err)
		}
		if warned := len(e.Warnings) > 0; e.RestartUnhealthy != c.want || warned != c.warns {
			t.Errorf("%s, image %q: %v, warnings %q", c.body, c.imageLabel, e.RestartUnhealthy, e.Warnings)
		}
	}
}

func TestNewRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy, want string
		most         int
		remove       bool
	}{
		{"always", "", 0, false}, {"no", "", 0, true}, {"on-failure", "", 3, false},
		{"sometimes", "unknown policy 'sometimes'", 0, false}, {"always", "can only be used with 'on-failure'", 1, false},
		{"always", "AutoRemove is enabled", 0, true},
	} {
		p := container.RestartPolicy{Name: container.RestartPolicyMode(c.policy), MaximumRetryCount: c.most}
		err := CheckUpdate(p, &container.HostConfig{AutoRemove: c.remove})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c, err, c.want)
		}
	}
}
