package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// try is one use of an option of docker run: what the program prints, or the beginning of the refusal. A program that
// prints nothing shows that the option is taken; what such options do is tested where it can be seen.
type try struct {
	options string
	program string
	want    string
}

// refused is the part of a refusal that names the option.
func (t try) refused() bool { return t.program == "" }

// everyOption has one or more uses for each option of docker run. Words in capitals are replaced: see the test.
var everyOption = map[string][]try{
	"--add-host":              {{"--add-host a:10.1.2.3", "grep -c 10.1.2.3 /etc/hosts", "1"}},
	"--annotation":            {{"--annotation a=b", "echo ok", "ok"}, {"--annotation brig.level=x", "", "--annotation brig.level=x: "}},
	"--attach":                {{"-a stderr", "echo out; echo err >&2", "err"}},
	"--blkio-weight":          {{"--blkio-weight 500", "echo ok", "ok"}, {"--blkio-weight 5", "", "--blkio-weight 5: "}},
	"--blkio-weight-device":   {{"--blkio-weight-device /dev/a:100", "", "--blkio-weight-device /dev/a:100: not supported"}},
	"--cap-add":               {{"--cap-add NET_RAW", "grep CapBnd /proc/self/status", "CapBnd:\t00000000000425fb"}, {"--cap-add CAP_SYS_ADMIN", "", "SYS_ADMIN: the rule"}},
	"--cap-drop":              {{"--cap-drop ALL", "grep CapBnd /proc/self/status", "CapBnd:\t0000000000000000"}},
	"--cgroup-parent":         {{"--cgroup-parent /x", "", "--cgroup-parent /x: the rule"}},
	"--cgroupns":              {{"--cgroupns private", "tail -n 1 /proc/self/cgroup", "0::/"}, {"--cgroupns host", "", "--cgroupns host: the rule"}},
	"--cidfile":               {{"--cidfile NEWFILE", "echo ok", "ok"}},
	"--cpu-count":             {{"--cpu-count 1", "", "--cpu-count"}},
	"--cpu-percent":           {{"--cpu-percent 1", "", "--cpu-percent"}},
	"--cpu-period":            {{"--cpu-period 50000 --cpu-quota 25000", "echo ok", "ok"}, {"--cpu-period 5", "", "--cpu-period 5: "}},
	"--cpu-quota":             {{"--cpu-quota 25000", "echo ok", "ok"}, {"--cpu-quota 5", "", "--cpu-quota 5: "}},
	"--cpu-rt-period":         {{"--cpu-rt-period 1000", "", "--cpu-rt-period 1000: not supported"}},
	"--cpu-rt-runtime":        {{"--cpu-rt-runtime 1000", "", "--cpu-rt-runtime 1000: not supported"}},
	"--cpu-shares":            {{"-c 100", "echo ok", "ok"}},
	"--cpus":                  {{"--cpus 0.5", "echo ok", "ok"}, {"--cpus 1000", "", "--cpus 1000: "}},
	"--cpuset-cpus":           {{"--cpuset-cpus 0", "grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list:\t0"}},
	"--cpuset-mems":           {{"--cpuset-mems 0", "grep Mems_allowed_list /proc/self/status", "Mems_allowed_list:\t0"}},
	"--detach":                {{"-d --cidfile NEWFILE", "true", "ID"}},
	"--detach-keys":           {{"--detach-keys ctrl-a", "echo ok", "ok"}},
	"--device":                {{"--device /dev/null:/dev/x", "[ -c /dev/x ] && echo ok", "ok"}, {"--device brig.test/none=d", "", "--device brig.test/none=d: "}},
	"--device-cgroup-rule":    {{"--device-cgroup-rule a", "", "--device-cgroup-rule"}},
	"--device-read-bps":       {{"--device-read-bps /dev/a:1m", "", "/dev/a is no disk"}},
	"--device-read-iops":      {{"--device-read-iops /dev/a:10", "", "/dev/a is no disk"}},
	"--device-write-bps":      {{"--device-write-bps /dev/a:1m", "", "/dev/a is no disk"}},
	"--device-write-iops":     {{"--device-write-iops /dev/a:10", "", "/dev/a is no disk"}},
	"--disable-content-trust": {{"--disable-content-trust", "echo ok", "ok"}},
	"--dns":                   {{"--dns 10.1.2.3", "cat /etc/resolv.conf", "nameserver 10.1.2.3"}},
	"--dns-option":            {{"--dns-option ndots:3", "grep -c ndots:3 /etc/resolv.conf", "1"}},
	"--dns-search":            {{"--dns-search x.example", "grep -c x.example /etc/resolv.conf", "1"}},
	"--domainname":            {{"--domainname x.example", "cat /proc/sys/kernel/domainname", "x.example"}},
	"--entrypoint":            {{"--entrypoint /bin/echo", "x", "-c x"}},
	"--env":                   {{"-e A=b", "echo $A", "b"}},
	"--env-file":              {{"--env-file ENV", "echo $FROM", "file"}},
	"--expose":                {{"--expose 80", "echo ok", "ok"}},
	"--gpus":                  {{"--gpus all", "", "--gpus all,capabilities=gpu: no specification"}},
	"--group-add":             {{"--group-add 77", "id -G", "0 77"}},
	"--health-cmd":            {{"--health-cmd true", "echo ok", "ok"}},
	"--health-interval":       {{"--health-cmd true --health-interval 5s", "echo ok", "ok"}},
	"--health-retries":        {{"--health-cmd true --health-retries 2", "echo ok", "ok"}, {"--health-retries -1", "", "--health-retries"}},
	"--health-start-interval": {{"--health-cmd true --health-start-interval 1s", "echo ok", "ok"}},
	"--health-start-period":   {{"--health-cmd true --health-start-period 1s", "echo ok", "ok"}},
	"--health-timeout":        {{"--health-cmd true --health-timeout 1s", "echo ok", "ok"}},
	"--help":                  {{"--help", "", "Usage:"}},
	"--hostname":              {{"-h web", "hostname", "web"}},
	"--init":                  {{"--init", "head -c 5 /proc/1/comm", "init"}},
	"--interactive":           {{"-i", "cat; echo ok", "ok"}},
	"--io-maxbandwidth":       {{"--io-maxbandwidth 1", "", "--io-maxbandwidth"}},
	"--io-maxiops":            {{"--io-maxiops 1", "", "--io-maxiops"}},
	"--ip":                    {{"--ip 10.0.0.9", "", "--ip 10.0.0.9: not supported"}},
	"--ip6":                   {{"--ip6 fd00::9", "", "--ip6 fd00::9: not supported"}},
	"--ipc":                   {{"--ipc none", "grep -c /dev/shm /proc/mounts; true", "0"}, {"--ipc container:peer", "grep -c /dev/shm /proc/mounts", "2"}, {"--ipc host", "", "--ipc host: the rule"}},
	"--isolation":             {{"--isolation default", "echo ok", "ok"}, {"--isolation hyperv", "", "--isolation hyperv: not supported"}},
	"--kernel-memory":         {}, // docker's client of this version says nothing to the engine; brig refuses it
	"--label":                 {{"-l a=b", "echo ok", "ok"}},
	"--label-file":            {{"--label-file ENV", "echo ok", "ok"}},
	"--link":                  {{"--link peer", "", "--link peer: not supported"}},
	"--link-local-ip":         {{"--link-local-ip 169.254.1.1", "", "--link-local-ip 169.254.1.1: not supported"}},
	"--log-driver":            {{"--log-driver none", "echo ok", "ok"}, {"--log-driver fluentd", "", "--log-driver fluentd: "}},
	"--log-opt":               {{"--log-opt max-size=1m", "echo ok", "ok"}, {"--log-opt a=b", "", "--log-opt a: "}},
	"--mac-address":           {{"--mac-address 02:00:00:00:00:01", "", "--mac-address 02:00:00:00:00:01: not supported"}},
	"--memory":                {{"-m 64m", "echo ok", "ok"}, {"-m 5m", "", "-m 5242880: "}},
	"--memory-reservation":    {{"--memory-reservation 10m", "echo ok", "ok"}, {"-m 10m --memory-reservation 20m", "", "--memory-reservation 20971520: "}},
	"--memory-swap":           {{"-m 64m --memory-swap 128m", "echo ok", "ok"}, {"-m 64m --memory-swap -1", "", "--memory-swap -1: the rule"}},
	"--memory-swappiness":     {{"--memory-swappiness 10", "", "--memory-swappiness 10: not supported"}},
	"--mount":                 {{"--mount type=tmpfs,dst=/x", "grep -c ' /x tmpfs' /proc/mounts", "1"}, {"--mount type=npipe,dst=/x", "", "--mount type=npipe,target=/x: not supported"}},
	"--name":                  {{"--name called", "echo ok", "ok"}, {"--name -x", "", `invalid container name ("-x")`}},
	"--network":               {{"--network none", "ls /sys/class/net", "lo"}, {"--network container:peer", "hostname", "peerhost"}, {"--network host", "", "--network host: the rule"}},
	"--network-alias":         {{"--network net --network-alias x", "echo ok", "ok"}},
	"--no-healthcheck":        {{"--no-healthcheck", "echo ok", "ok"}},
	"--oom-kill-disable":      {{"--oom-kill-disable", "", "--oom-kill-disable: the rule"}},
	"--oom-score-adj":         {{"--oom-score-adj 5", "cat /proc/self/oom_score_adj", "5"}, {"--oom-score-adj -5", "", "--oom-score-adj -5: the rule"}},
	"--pid":                   {{"--pid container:peer", "tr '\\0' ' ' < /proc/1/cmdline", "sleep 1000 "}, {"--pid host", "", "--pid host: the rule"}},
	"--pids-limit":            {{"--pids-limit 50", "echo ok", "ok"}, {"--pids-limit -1", "", "--pids-limit -1: the rule"}},
	"--platform":              {{"--platform linux", "echo ok", "ok"}},
	"--privileged":            {{"--privileged", "", "--privileged: the rule"}},
	"--publish":               {{"-p 41234:80", "echo ok", "ok"}, {"-p 80/sctp", "", "-p 80/sctp: not supported"}},
	"--publish-all":           {{"-P", "echo ok", "ok"}},
	"--pull":                  {{"--pull never", "echo ok", "ok"}, {"--pull sometimes", "", "sometimes"}},
	"--quiet":                 {{"-q", "echo ok", "ok"}},
	"--read-only":             {{"--read-only", "touch /x 2>/dev/null || echo ok", "ok"}},
	"--restart":               {{"--restart no", "echo ok", "ok"}},
	"--rm":                    {{"--rm", "echo ok", "ok"}},
	"--runtime":               {{"--runtime brig", "echo ok", "ok"}, {"--runtime kata", "", "--runtime kata: the administrator's policy names no such runtime"}},
	"--security-opt":          {{"--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"}, {"--security-opt apparmor=x", "", "AppArmor"}},
	"--shm-size":              {{"--shm-size 1m", "df -k /dev/shm | tail -n 1 | while read a b c; do echo $b; done", "1024"}},
	"--sig-proxy":             {{"--sig-proxy=false", "echo ok", "ok"}},
	"--stop-signal":           {{"--stop-signal INT", "echo ok", "ok"}, {"--stop-signal NONE", "", "--stop-signal NONE: "}},
	"--stop-timeout":          {{"--stop-timeout 3", "echo ok", "ok"}, {"--stop-timeout -2", "", "--stop-timeout -2: "}},
	"--storage-opt":           {}, // sizes have tests of their own
	"--sysctl":                {{"--sysctl net.ipv4.ip_default_ttl=33", "cat /proc/sys/net/ipv4/ip_default_ttl", "33"}},
	"--tmpfs":                 {{"--tmpfs /x:uid=5", "stat -c %u /x", "5"}, {"--tmpfs /x:suid", "", "--tmpfs /x:suid: the rule"}},
	"--tty":                   {{"-t", "tty", "/dev/pts/0"}},
	"--ulimit":                {{"--ulimit nofile=64:64", "ulimit -n", "64"}, {"--ulimit core=-1", "", "--ulimit core=-1:-1: the rule"}},
	"--use-api-socket":        {}, // docker's client binds the socket, which is allowed as any other; brig refuses it
	"--user":                  {{"-u 5:6", "id -u; id -g", "5\n6"}, {"-u 70000", "", "-u 70000: "}},
	"--userns":                {{"--userns host", "", "--userns host: the rule"}},
	"--uts":                   {{"--uts host", "", "--uts host: the rule"}},
	"--volume":                {{"-v vol:/x", "touch /x/y && echo ok", "ok"}, {"-v vol:/dev/x", "", "-v /dev/x: the rule"}},
	"--volume-driver":         {{"--volume-driver local -v /x", "echo ok", "ok"}},
	"--volumes-from":          {{"--volumes-from peer", "grep -c ' /peer ' /proc/mounts", "1"}},
	"--workdir":               {{"-w /new/dir", "pwd", "/new/dir"}, {"-w dir", "", "-w dir: "}},
}

// TestEveryOptionOfDockerRun: each option does something that is seen, or is taken, or is refused by name, through both
// command lines. None is missing from the table.
func TestEveryOptionOfDockerRun(t *testing.T) {
	b, err := os.ReadFile("../../internal/daemon/policy/compat/testdata/docker-run-28.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		name, _, _ := strings.Cut(line[strings.Index(line, "--"):], " ")
		if _, ok := everyOption[name]; !ok {
			t.Errorf("%s of docker run is not tried", name)
		}
		known++
	}
	if known != len(everyOption) {
		t.Errorf("docker run has %d options, and %d are tried", known, len(everyOption))
	}
	e := startEngine(t).withBusybox()
	env := filepath.Join(e.dir, "env")
	if err := os.WriteFile(env, []byte("FROM=file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.brig("network", "create", "net")
	e.brig("run", "-d", "--name", "peer", "--hostname", "peerhost", "--ipc", "shareable", "-v", "/peer", "box", "sleep", "1000")
	for _, c := range e.bothClients() {
		for option, tries := range everyOption {
			for _, x := range tries {
				id := filepath.Join(e.dir, "id")
				os.Remove(id)
				args := []string{"run"}
				if option != "--detach" && option != "--restart" {
					args = append(args, "--rm")
				}
				args = append(args, strings.Fields(strings.NewReplacer("ENV", env, "NEWFILE", id).Replace(x.options))...)
				program := x.program
				if x.refused() {
					program = "echo it runs"
				}
				if option == "--entrypoint" {
					args = append(args, "box", "-c", program)
				} else {
					args = append(args, "box", "sh", "-c", program)
				}
				out, code := c.run(c.cmd(args...))
				out = strings.ReplaceAll(out, "\r", "")
				want := x.want
				if want == "ID" {
					text, _ := os.ReadFile(id)
					want = string(text)
				}
				switch {
				case option == "--cidfile":
					if text, err := os.ReadFile(id); err != nil || len(text) != 64 || out != want {
						t.Errorf("%s %s: %q, in the file %q (%v)", c.name, x.options, out, text, err)
					}
				case x.refused() && (!strings.Contains(out, want) || strings.Contains(out, "it runs") || code == 0 && option != "--help"):
					t.Errorf("%s %s: is not refused by its name: exit code %d, %s", c.name, x.options, code, out)
				case !x.refused() && (out != want || code != 0):
					t.Errorf("%s %s: exit code %d, %q, not %q", c.name, x.options, code, out, want)
				}
			}
		}
	}
	e.refused(125, []string{"--kernel-memory 10m: not supported"}, "run", "--kernel-memory", "10m", "box", "true")
	e.refused(125, []string{"--use-api-socket: not supported"}, "run", "--use-api-socket", "box", "true")
	e.brig("rm", "-f", "peer")
}
