package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brig-engine/brig/test/room"
)

// slow leaves what takes minutes, or Debian's mirror, to the slow lane.
func slow(t testing.TB) {
	t.Helper()
	if os.Getenv("BRIG_SLOW") != "1" {
		t.Skip("missing: the slow lane (make test-all)")
	}
}

// cacheDir keeps what is dear to make and the same in every run: root file systems, the registry's program.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir, err := room.Cache("brig-test")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// recipe is an image made of Debian's packages, with the config that the program's official image has.
type recipe struct {
	packages string            // besides the minimal system
	files    map[string]string // programs to add, by path
	early    []string          // shell commands before the packages are configured; "$1" is the root
	late     []string          // shell commands when all is installed; "$1" is the root
	changes  []string          // instructions for brig import
}

// stepDown is the start of an entry script: as root it gives the directory to the user and becomes that user.
const stepDown = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
	mkdir -p %[2]s
	chown -R %[1]s:%[1]s %[2]s
	exec setpriv --reuid=%[1]s --regid=%[1]s --init-groups -- "$0" "$@"
fi
`

const startPostgres = `if [ ! -s "$PGDATA/PG_VERSION" ]; then
	mkdir -p -m 0700 "$PGDATA"
	initdb --auth-local=trust --auth-host=scram-sha-256
fi
exec "$@"
`

var recipes = map[string]recipe{
	"nginx": {
		packages: "nginx-light",
		late: []string{
			`ln -sf /dev/stdout "$1/var/log/nginx/access.log"`,
			`ln -sf /dev/stderr "$1/var/log/nginx/error.log"`,
		},
		changes: []string{"EXPOSE 80", "STOPSIGNAL SIGQUIT", `CMD ["nginx", "-g", "daemon off;"]`},
	},
	"redis": {
		packages: "redis-server",
		files:    map[string]string{"entrypoint": fmt.Sprintf(stepDown, "redis", "/data") + "exec \"$@\"\n"},
		late:     []string{`mkdir "$1/data"`, `chroot "$1" chown redis:redis /data`},
		changes: []string{"EXPOSE 6379", "VOLUME /data", "WORKDIR /data", `ENTRYPOINT ["entrypoint"]`,
			`CMD ["redis-server", "--protected-mode", "no"]`},
	},
	"postgres": {
		packages: "postgresql",
		files: map[string]string{"entrypoint": fmt.Sprintf(stepDown, "postgres",
			"/var/lib/postgresql/data /run/postgresql") + startPostgres},
		early: []string{`mkdir -p "$1/etc/postgresql-common"`,
			`echo create_main_cluster = false > "$1/etc/postgresql-common/createcluster.conf"`},
		late: []string{
			`for p in postgres initdb psql pg_isready; do ` +
				`chroot "$1" sh -c "ln -sf /usr/lib/postgresql/*/bin/$p /usr/local/bin/$p"; done`,
			`chroot "$1" install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data`,
		},
		changes: []string{"EXPOSE 5432", "VOLUME /var/lib/postgresql/data", "STOPSIGNAL SIGINT", "ENV LANG=C.UTF-8",
			"ENV PGDATA=/var/lib/postgresql/data", `ENTRYPOINT ["entrypoint"]`, `CMD ["postgres"]`},
	},
	"python": {
		packages: "python3",
		changes:  []string{"ENV LANG=C.UTF-8", `CMD ["python3"]`},
	},
}

// debianTar is the path of a recipe's root file system. The first run makes it from Debian's mirror; it is kept until
// the recipe changes.
func debianTar(t testing.TB, name string) string {
	t.Helper()
	r, ok := recipes[name]
	if !ok {
		t.Fatalf("there is no recipe %q", name)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", r.packages, r.files, r.early, r.late))
	path := filepath.Join(cacheDir(t), fmt.Sprintf("%s-%x.tar", name, sum[:6]))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	program, err := exec.LookPath("mmdebstrap")
	if err != nil {
		t.Fatalf("%v. Next: apt-get install mmdebstrap", err)
	}
	part := filepath.Join(t.TempDir(), "rootfs.tar")
	cmd := exec.Command(program, r.arguments(t, part)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	keep(t, part, path)
	return path
}

func (r recipe) arguments(t testing.TB, target string) []string {
	args := []string{"--quiet", "--mode=root", "--variant=minbase", "--include=" + r.packages,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"}
	for _, c := range r.early {
		args = append(args, "--essential-hook="+c)
	}
	for name, text := range r.files {
		local := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(local, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--customize-hook=upload "+local+" /usr/local/bin/"+name,
			`--customize-hook=chmod 0755 "$1/usr/local/bin/`+name+`"`)
	}
	for _, c := range r.late {
		args = append(args, "--customize-hook="+c)
	}
	return append(args, "bookworm", target)
}

// keep moves a file into the cache whole or not at all, also from another file system.
func keep(t testing.TB, from, to string) {
	t.Helper()
	part := fmt.Sprintf("%s.%d", to, os.Getpid())
	if out, err := exec.Command("cp", from, part).CombinedOutput(); err != nil {
		os.Remove(part)
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Rename(part, to); err != nil {
		t.Fatal(err)
	}
}

// withDebian imports a recipe's image under its name.
func (e *engine) withDebian(name string) {
	e.t.Helper()
	args := []string{"import"}
	for _, c := range recipes[name].changes {
		args = append(args, "--change", c)
	}
	e.brig(append(args, debianTar(e.t, name), name)...)
}
