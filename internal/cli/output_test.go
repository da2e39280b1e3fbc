package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// TestHelp pins the help text of every command.
func TestHelp(t *testing.T) {
	var b strings.Builder
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		r := newFake(t).brig("", args...)
		if r.code != 0 || r.err != "" {
			t.Errorf("%v: %+v", args, r)
		}
		fmt.Fprintf(&b, "$ %s --help\n%s\n", cmd.CommandPath(), r.out)
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(testApp(""), nil))
	golden(t, "help.txt", b.String())
	for i, line := range strings.Split(b.String(), "\n") {
		if len([]rune(line)) > 120 {
			t.Errorf("line %d of the help is longer than 120 columns: %s", i+1, line)
		}
	}
}

// TestOutput pins what commands print for replies as an engine gives them.
func TestOutput(t *testing.T) {
	for _, c := range []struct{ name, args string }{
		{"ps", "ps"}, {"ps-all", "ps -a --no-trunc -s"}, {"ps-quiet", "ps -q"}, {"ps-json", "ps --format json"},
		{"ps-template", `ps --format {{.ID}}\t{{.Names}}\t{{.Label("x")}}`},
		{"ps-table", `ps --format table|{{.Names}}\t{{.Ports}}\t{{.Networks}}\t{{.State}}`},
		{"ps-bad-template", "ps --format {{.Nope}}"}, {"ps-unclosed", "ps --format {{.ID"},
		{"container-ls", "container ls -l"},
		{"images", "images"}, {"images-digests", "images --digests --no-trunc"}, {"images-quiet", "image ls -q"},
		{"history", "history alpine"}, {"history-full", "history --no-trunc --format {{.CreatedBy}} alpine"},
		{"volumes", "volume ls"}, {"volumes-json", "volume ls --format json"}, {"volumes-quiet", "volume ls -q"},
		{"networks", "network ls"}, {"networks-template", "network ls --format {{.Name}}={{.Driver}}"},
		{"inspect", "inspect web"}, {"inspect-template", "inspect -f {{.ID}}|{{.State.Pid}}|{{.State.Running}} web"},
		{"inspect-json", "inspect --format json web"}, {"inspect-image", "image inspect alpine"},
		{"inspect-none", "inspect nothing"},
		{"top", "top web"}, {"top-options", "top web -eo pid,args"}, {"top-hostile", "top evil"},
		{"pause", "pause web"}, {"pause-none", "pause none"}, {"unpause", "container unpause web"}, {"update", "update -m 64m --cpus 1.5 web none"},
		{"update-nothing", "update web"}, {"update-bad", "update --memory lots web"},
		{"stats", "stats --no-stream web"}, {"stats-full", "stats --no-stream --no-trunc web"}, {"stats-json", "stats --no-stream --format json web"},
		{"stats-template", "stats --no-stream --format {{.Name}}={{.CPUPerc}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.Container}} web"},
		{"stats-table", `stats --no-stream --format table|{{.Container}}\t{{.PIDs}} web`},
		{"stats-stopped", "stats --no-stream job"}, {"stats-none", "stats --no-stream none"}, {"port", "port web"}, {"port-one", "port web 80"}, {"port-none", "port web 81"},
		{"version", "version"}, {"version-client", "version --client"},
		{"version-template", "version -f {{.Server.Version}}"},
		{"info", "info"}, {"info-template", "info -f {{.ServerVersion}}/{{.NCPU}}"},
		{"rm", "rm -f web"}, {"rm-gone", "rm -f gone"}, {"rmi", "rmi alpine"}, {"stop", "stop -t 5 -s TERM web"}, {"kill", "kill -s HUP web"},
		{"volume-create", "volume create --label a=b v"}, {"wait", "wait web"}, {"rename", "rename web www"},
		{"logs", "logs --since 5m -n 10 -t web"}, {"tag", "tag alpine host:5000/x:y"},
		{"push", "push alpine"}, {"pull", "pull alpine"}, {"pull-digest", "pull -q alpine@sha256:00"},
		{"version-flag", "--version"}, {"stop-time", "stop --time=3 web"}, {"help-topic", "help volume ls"},
		{"policy", "policy"}, {"policy-check", "policy check"}, {"policy-check-what", "policy check ps"}, {"policy-apply", "policy apply /nonexistent.toml"}, {"policy-show", "policy show"}, {"policy-show-json", "policy show --format json"}, {"ps-level", "ps -a --format {{.Names}}:{{.Level}}"},
		{"policy-check-run", "policy check run --privileged -v /:/host -d alpine sh"},
		{"policy-check-json", "policy check create --format json --name x alpine"}, {"policy-check-allowed", "policy check run --rm busybox"},
		{"policy-check-no-image", "policy check run nothing"}, {"policy-check-nonsense", "policy check run --memory lots alpine"}, {"policy-check-idle", "policy check run --pull always alpine"},
		{"explain-run-idle", "explain run --cidfile /tmp/id alpine"}, {"policy-check-attached", "policy check run -d -a stdout alpine"},
		{"explain-run", "explain run --read-only alpine sh"}, {"explain-json", "explain create --format json alpine"},
		{"explain-refused", "explain run --privileged busybox"}, {"explain", "explain web"}, {"explain-all", "explain -a web"},
		{"explain-template", "explain --format {{.Differs}} web"}, {"explain-none", "explain none"}, {"explain-nothing", "explain"},
		{"not-built", "audit --all"}, {"not-built-compose", "compose up -d"}, {"unknown", "runn -d alpine"}, {"unknown-before", "--frobnicate=1 ps"}, {"not-built-below", "volume update -f"}, {"unknown-below", "volume frobnicate -f"},
		{"too-many", "version x"},
		{"events", "events -f type=container --since 10m"}, {"events-json", "system events --format json"},
		{"events-template", "events --format {{.Type}}:{{.Action}}:{{.Actor.Attributes.name}}"},
		{"events-bad-template", "events --format {{.Nope}}"}, {"events-bad-since", "events --since yesterday"},
		{"container-prune", "container prune -f --filter until=24h"}, {"image-prune", "image prune -f"},
		{"image-prune-all", "image prune -af --filter label=a=b"}, {"volume-prune", "volume prune -af"},
		{"volume-prune-twice", "volume prune -af --filter all=1"}, {"network-prune", "network prune -f"},
		{"system-prune", "system prune -af --volumes --filter label!=x"},
		{"system-prune-until", "system prune -f --volumes --filter until=3h"},
		{"container-prune-asks", "container prune"}, {"image-prune-asks", "image prune -a"}, {"volume-prune-asks", "volume prune"},
		{"network-prune-asks", "network prune"}, {"system-prune-asks", "system prune --filter label=b --filter label=a"},
		{"system-prune-all-asks", "system prune -a --volumes"},
		{"df", "system df"}, {"df-verbose", "system df -v"}, {"df-json", "system df --format json"},
		{"df-template", "system df --format table|{{.Type}}\t{{.Size}}"}, {"df-verbose-json", "system df -v --format json"},
		{"system-info", "system info -f {{.ServerVersion}}"}, {"system", "system"}, {"system-check", "system check"},
		{"system-check-repair", "system check --full --repair"}, {"system-check-json", "system check --format json"},
		{"images-json", "images --format json"}, {"images-sizes", "images --format {{.ID}}:{{.SharedSize}}:{{.UniqueSize}}"},
		{"ps-quiet-format", "ps -q --no-trunc --format {{.Names}}"}, {"ps-size-template", "ps --format {{.Size}}"},
		{"inspect-no-field", "inspect -f {{if.State}}{{.Stat}}{{end}} web"}, {"inspect-size", "inspect -s alpine"},
		{"inspect-optional", "inspect -f {{.SizeRw}}{{range.NetworkSettings.Ports}}{{range.}}{{.HostPort}},{{end}}{{end}}{{with.State}}{{.Pid}}{{end}} web"}, {"inspect-type", "inspect --type frob web"},
		{"inspect-type-swarm", "inspect --type secret web"}, {"inspect-platform", "image inspect --platform linux/arm64/v8 alpine"},
		{"inspect-bad-platform", "image inspect --platform linux alpine"},
		{"bad-filter", "ps -f running"}, {"bad-since", "logs --since yesterday web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			layReplies(f)
			args := strings.Fields(c.args)
			for i := range args {
				args[i] = strings.NewReplacer("|", " ", `("x")`, ` "x"`).Replace(args[i])
			}
			if strings.HasPrefix(c.name, "inspect-t") {
				args[2] = strings.ReplaceAll(args[2], " ", "|")
			}
			r := f.brig("", args...)
			out := r.out
			if r.code != 0 || r.err != "" {
				out += fmt.Sprintf("[stderr]\n%s[status %d]\n", r.err, r.code)
			}
			out = strings.ReplaceAll(out, f.host, "HOST")
			for _, line := range f.lines() {
				out += "[sent] " + line + "\n"
			}
			golden(t, filepath.Join("output", c.name+".txt"), normalize(out))
		})
	}
}

// normalize hides what depends on the machine.
func normalize(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Client:") {
			lines[i] = "Client:  1.2.3 (API 1.50, GOVERSION, OS/ARCH)"
		}
	}
	return strings.Join(lines, "\n")
}

func layReplies(f *fakeEngine) {
	f.json("GET /brig/policy", 200, `{"level":"strict","strict":true,"grants":[{"line":4,"users":[1000],"groups":[7],"images":["docker.io/*"],
		"allow":["capabilities=12","ports=*","levels=standard"]},{"everyone":true,"allow":["ulimits=nice"]}]}`)
	f.on("POST /brig/policy/check", func(w http.ResponseWriter, r *http.Request) {
		asked := f.last("POST /brig/policy/check").Body
		switch {
		case strings.Contains(asked, `"Image":"nothing"`):
			w.WriteHeader(404)
			io.WriteString(w, `{"message":"No such image: nothing:latest"}`)
		case strings.Contains(asked, `"Image":"busybox"`):
			io.WriteString(w, `{"Allowed":true,"Level":"strict","Refusals":[],"Granted":[{"Rule":"ports = [80]","Line":7},
				{"Rule":"devices = [\"/dev/fuse\"]","Line":0}],"Warnings":["it is small"]}`)
		default:
			io.WriteString(w, `{"Allowed":false,"Refusals":[{"Option":"--privileged","Reason":"it would own the host","Allow":"use --device","Status":403},
				{"Option":"-v","Value":"/:/host","Reason":"is the host","Status":403}],"Warnings":[]}`)
		}
	})
	f.on("POST /brig/explain", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(f.last("POST /brig/explain").Body, `"Privileged":true`):
			w.WriteHeader(403)
			io.WriteString(w, `{"message":"--privileged: the rule no-privileged forbids it"}`)
		case r.FormValue("format") == "text":
			io.WriteString(w, "birth of a container: sh\n     1 prctl(PR_SET_DUMPABLE, 0)\n")
		default:
			io.WriteString(w, `{"Title":"birth of a container: sh","Steps":[{"Stage":"stage 0"},{"First":1,"Last":1,"Call":"prctl(PR_SET_DUMPABLE, 0)","Why":"secrets","Answers":["A3"]}]}`)
		}
	})
	f.json("GET /brig/explain/none", 404, `{"message":"No such container: none"}`)
	f.json("GET /brig/explain/web", 200, `{"Name":"web","Differs":true,"Findings":[
		{"What":"CapBnd","Asked":"at most 00","Found":"00","Differs":false,"Answers":["A1","A3"]},
		{"What":"mount on \"/\"","Asked":"ro","Found":"ro,nosuid","Differs":false,"Answers":["A3"]},
		{"What":"mount on \"/proc/sys\"","Asked":"there","Found":"nothing is mounted there","Differs":true,"Answers":["A3"]}]}`)
	f.json("GET /containers/json", 200, `[{"Id":"aaaaaaaaaaaaaaaaaaaa","Names":["/web","/proxy/web"],"Image":"nginx:1.27",
		"ImageID":"sha256:11","Command":"nginx -g 'daemon off;' \u001b[2J","Created":1699990000,"State":"running",
		"Status":"Up 2 hours","Labels":{"x":"y","b":"c"},"SizeRw":1200,"SizeRootFs":190000000,
		"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
			{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
			{"IP":"0.0.0.0","PrivatePort":81,"PublicPort":8081,"Type":"tcp"},{"PrivatePort":443,"Type":"tcp"}],
		"Mounts":[{"Type":"volume","Name":"data","Driver":"local"},{"Type":"bind","Source":"/srv/a/long/path/indeed"}],
		"NetworkSettings":{"Networks":{"bridge":{}}},"HostConfig":{"NetworkMode":"bridge","Annotations":{"brig.level":"strict"}}},
		{"Id":"bbbbbbbbbbbbbbbbbbbb","Names":["/job"],"Image":"sha256:2222222222222222222222222222","ImageID":"sha256:2222222222222222222222222222","Command":"true",
		"Created":1699000000,"State":"exited","Status":"Exited (0) 3 days ago"}]`)
	f.json("GET /images/json", 200, `[{"Id":"sha256:1111111111111111111111","RepoTags":["alpine:3.20","host:5000/a/b:x"],
		"RepoDigests":["alpine@sha256:`+strings.Repeat("ab", 32)+`"],"Created":1690000000,"Size":7800000,"Containers":1},
		{"Id":"sha256:2222222222222222222222","RepoTags":[],"RepoDigests":[],"Created":0,"Size":12,"Containers":-1}]`)
	f.json("GET /images/alpine/history", 200, `[{"Id":"sha256:1111111111111111111111","Created":1690000000,
		"CreatedBy":"CMD [\"/bin/sh\"] # and a long comment that does not fit on the line","Size":0,"Comment":"buildkit"},
		{"Id":"<missing>","Created":1690000000,"CreatedBy":"ADD file","Size":7800000}]`)
	f.json("GET /volumes", 200, `{"Volumes":[{"Name":"data","Driver":"local","Mountpoint":"/var/lib/brig/volumes/data",
		"Scope":"local","Labels":{"a":"b"}}],"Warnings":["one warning"]}`)
	f.json("GET /networks", 200, `[{"Name":"bridge","Id":"nnnnnnnnnnnnnnnnnnnn","Driver":"bridge",
		"Scope":"local","EnableIPv4":true}]`)
	web := `{"Id":"aaaaaaaaaaaaaaaaaaaa","State":{"Running":true,"Pid":4194304},"Config":{"Image":"nginx <1>"},
		"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],
		"443/tcp":null}}}`
	f.json("GET /containers/web/json", 200, web)
	f.json("GET /images/alpine/json", 200, `{"Id":"sha256:11","RepoTags":["alpine:3.20"]}`)
	for _, path := range strings.Fields("containers/nothing/json containers/alpine/json images/nothing/json networks/nothing volumes/nothing") {
		f.json("GET /"+path, 404, `{"message":"no such thing"}`)
	}
	f.json("GET /containers/web/top", 200, `{"Titles":["PID","CMD"],"Processes":[["1","nginx"],["7","worker"]]}`)
	f.json("GET /containers/evil/top", 200, `{"Titles":["PID","CMD"],"Processes":[["1","a\nb\tc\u001b[2J\u202e"],["7"]]}`)
	const none = `{"message":"No such container: none"}`
	f.json("POST /containers/web/pause", 204, "")
	f.json("POST /containers/web/unpause", 204, "")
	f.json("POST /containers/web/update", 200, `{"Warnings":["a warning\u001b[2J"]}`)
	f.json("POST /containers/none/pause", 404, none)
	f.json("POST /containers/none/update", 404, none)
	f.json("GET /containers/none/stats", 404, none)
	f.json("GET /containers/web/stats", 200, reading("aaaaaaaaaaaaaaaaaaaa", "/web"))
	f.json("GET /containers/job/stats", 200, `{"id":"bbbbbbbbbbbbbbbbbbbb","name":"/job","memory_stats":{},"cpu_stats":{},"precpu_stats":{}}`)
	f.json("GET /version", 200, `{"Version":"1.2.4","ApiVersion":"1.50","MinAPIVersion":"1.24","Os":"linux",
		"Arch":"amd64","KernelVersion":"6.18.0"}`)
	f.json("GET /info", 200, `{"ServerVersion":"1.2.4","Containers":3,"ContainersRunning":1,"ContainersStopped":2,
		"Images":4,"Driver":"erofs",
		"LoggingDriver":"json-file","CgroupVersion":"2","CgroupDriver":"cgroupfs","DefaultRuntime":"brig",
		"KernelVersion":"6.18.0",
		"SecurityOptions":["name=seccomp,profile=builtin","name=userns"],"OperatingSystem":"Debian","Architecture":"x86_64",
		"NCPU":2,"MemTotal":25769803776,"Name":"host","DockerRootDir":"/var/lib/brig","DriverStatus":[["Backing","file"]],
		"Warnings":["no swap limit"]}`)
	f.json("DELETE /containers/web", 204, "")
	f.json("DELETE /containers/gone", 404, `{"message":"no such container: gone"}`)
	f.json("DELETE /images/alpine", 200, `[{"Untagged":"alpine:3.20"},{"Deleted":"sha256:11"}]`)
	for _, verb := range []string{"stop", "kill", "rename"} {
		f.json("POST /containers/web/"+verb, 204, "")
	}
	f.json("POST /containers/web/wait", 200, `{"StatusCode":3}`)
	f.json("POST /volumes/create", 201, `{"Name":"v"}`)
	f.json("POST /images/alpine/tag", 201, "")
	progress := `{"status":"Pulling","id":"l1"}{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"l1"}
		{"status":"Downloading","progressDetail":{"current":2,"total":2},"id":"l1"}{"status":"done \u001b[31mred"}`
	f.json("POST /images/alpine/push", 200, progress)
	f.json("POST /images/create", 200, progress)
	layUsage(f)
	f.on("GET /containers/web/logs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
		fmt.Fprint(w, frame(1, "a line\n")+frame(2, "an error\n"))
	})
}

// usageReply has sizes that are known and sizes that are not.
const usageReply = `{"LayersSize":9000,"Images":[{"Id":"sha256:1111111111111111111111","RepoTags":["alpine:3.20",
		"a:b"],"RepoDigests":[],"Created":1690000000,"Size":7000,"SharedSize":1000,"Containers":1},{"Id":"sha256:22222222222222",
		"RepoTags":[],"RepoDigests":[],"Created":1690000000,"Size":3000,"SharedSize":1000,"Containers":0}],
		"Containers":[{"Id":"aaaaaaaaaaaaaaaaaaaa","Names":["/web"],"Image":"alpine","ImageID":"sha256:11","Command":"sh",
		"Created":1699990000,"State":"running","Status":"Up 2 hours","SizeRw":-1,"Labels":{},"Ports":[],
		"Mounts":[{"Type":"volume","Name":"data","Driver":"local"}]}],
		"Volumes":[{"Name":"data","Driver":"local","Scope":"local","Mountpoint":"/data","Labels":null,
		"UsageData":{"RefCount":1,"Size":-1}},{"Name":"old","Driver":"local","Scope":"local","Mountpoint":"/old","Labels":null,
		"UsageData":{"RefCount":0,"Size":2000}}],
		"BuildCache":[{"ID":"cccccccccccccccccccc","Type":"regular","Size":500,"InUse":false,"Shared":false,
		"CreatedAt":"2023-11-01T00:00:00Z","UsageCount":2}]}`

// layUsage lays down what there is, what was removed, and what has happened.
func layUsage(f *fakeEngine) {
	f.json("GET /system/df", 200, usageReply)
	f.json("GET /brig/check", 200, `{"checked":{"images":2,"containers":1,"volumes":0,"networks":0},"contents":false,"damages":[`+
		`{"kind":"container","object":"c","what":"its image is gone","next":"brig pull a\u001b[31m","mended":false}]}`)
	f.json("POST /brig/check", 200, `{"checked":{"images":2,"containers":1,"volumes":3,"networks":4},"contents":true,"damages":[`+
		`{"kind":"volume","object":"v","what":"its record is missing","mended":true},`+
		`{"kind":"file","object":"/f","what":"nothing refers to it","mended":false,"error":"not mended: it is read-only"}]}`)
	f.json("POST /containers/prune", 200, `{"ContainersDeleted":["aaa","bbb\u001b"],"SpaceReclaimed":1234567}`)
	f.json("POST /images/prune", 200, `{"ImagesDeleted":[{"Untagged":"a:1"},{"Deleted":"sha256:11"}],"SpaceReclaimed":7654321}`)
	f.json("POST /volumes/prune", 200, `{"VolumesDeleted":["v1"],"SpaceReclaimed":0}`)
	f.json("POST /networks/prune", 200, `{"NetworksDeleted":["n1"]}`)
	f.json("POST /build/prune", 200, `{"CachesDeleted":null,"SpaceReclaimed":0}`)
	f.json("GET /events", 200, `{"status":"start","id":"aa","from":"box","Type":"container","Action":"start","Actor":{"ID":"aa",
		"Attributes":{"image":"box","name":"web","label":"\u001b[2J"}},"scope":"local","time":1700000000,
		"timeNano":1700000000123456789}
		{"Type":"network","Action":"connect","Actor":{"ID":"nn","Attributes":{}},"scope":"local","time":1700000000}`)
}

func TestUnreachableEngineSaysWhatToDo(t *testing.T) {
	a := testApp("unix:///nonexistent/brig.sock")
	var errs strings.Builder
	a.Err = &errs
	if code := a.Run(t.Context(), []string{"ps"}); code != 1 {
		t.Errorf("status %d", code)
	}
	golden(t, "unreachable.txt", errs.String())
}

func TestCredentialsGoToTheirRegistryOnly(t *testing.T) {
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	config := `{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth + `"},
		"ghcr.io":{"identitytoken":"tok"}},"credHelpers":{"ecr.example.org":"ecr-login"}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ image, user, password, token, err string }{
		{image: "alpine", user: "me", password: "secret"},
		{image: "docker.io/library/alpine:3", user: "me", password: "secret"},
		{image: "ghcr.io/a/b", token: "tok"},
		{image: "quay.io/a/b"},
		{image: "localhost/x"},
		{image: "ecr.example.org/a", err: "docker-credential-ecr-login"},
	} {
		a := testApp("")
		var errs strings.Builder
		a.Err = &errs
		a.Getenv = func(string) string { return dir }
		header := a.registryAuth(strings.Split(c.image, ":")[0])[authHeader]
		data, err := base64.URLEncoding.DecodeString(header)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{c.user, c.password, c.token} {
			if want != "" && !strings.Contains(string(data), `"`+want+`"`) {
				t.Errorf("%s: %s lacks %q", c.image, data, want)
			}
		}
		if c.user == "" && c.token == "" && len(data) > 0 {
			t.Errorf("%s gets %s", c.image, data)
		}
		if !strings.Contains(errs.String(), c.err) || c.err == "" && errs.Len() > 0 {
			t.Errorf("%s: said %q", c.image, errs.String())
		}
	}
}

// Who asks for names alone is sent nothing else, by an engine that knows how.
func TestQuietListsAskForIDsAlone(t *testing.T) {
	f := newFake(t)
	layReplies(f)
	for args, want := range map[string]string{"ps -q": "Id", "ps": ""} {
		if r := f.brig("", strings.Fields(args)...); r.code != 0 {
			t.Errorf("%s: %s", args, r.err)
		}
		if got := f.last("GET /containers/json").Header.Get("Brig-Fields"); got != want {
			t.Errorf("%s asks for the fields %q, want %q", args, got, want)
		}
	}
}
