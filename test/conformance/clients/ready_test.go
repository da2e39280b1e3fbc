package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compose is Docker Compose, built from its source: the plugin of the docker client, or a command where there is none.
func compose(t *testing.T, dir string) scenario {
	copyTestdata(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "cli-plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := build(t, dir, "cli-plugins/docker-compose", "github.com/docker/compose/v5/cmd")
	if client, err := exec.LookPath("docker"); err == nil {
		text := "#!/bin/sh\nexec " + client + " --config " + dir + " compose \"$@\"\n"
		program = filepath.Join(dir, "compose")
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return scenario{command: []string{"sh", filepath.Join(dir, "scenario.sh")}, env: []string{"COMPOSE=" + program}}
}

// dockerPy is the distribution's package.
func dockerPy(t *testing.T, dir string) scenario {
	const python = "/usr/bin/python3" // it has the distribution's packages; another one in PATH has not
	if out, err := exec.Command(python, "-c", "import docker").CombinedOutput(); err != nil {
		t.Fatalf("%v %s. Next: apt-get install python3-docker", err, out)
	}
	copyTestdata(t, dir)
	return scenario{command: []string{python, filepath.Join(dir, "scenario.py")}}
}

// testcontainers is a program of ours on the module. Its reaper is an image of a registry, and does not run here.
func testcontainers(t *testing.T, dir string) scenario {
	copyTestdata(t, dir)
	return scenario{command: []string{build(t, dir, "testcontainers", ".")}, env: []string{"TESTCONTAINERS_RYUK_DISABLED=true",
		// Or it takes a machine that is itself a container for one whose ports are at the gateway.
		"TESTCONTAINERS_HOST_OVERRIDE=localhost"}}
}

// dockerode is the package of the lock file, without the native code that it can do without.
func dockerode(t *testing.T, dir string) scenario {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v. Next: apt-get install nodejs npm", err)
		}
	}
	copyTestdata(t, dir)
	command(t, dir, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	return scenario{command: []string{"node", filepath.Join(dir, "scenario.js")}}
}

// copyTestdata copies the folder of a client to where it may be written.
func copyTestdata(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", filepath.Base(dir)))); err != nil {
		t.Fatal(err)
	}
}

// build compiles a package of the module in dir.
func build(t *testing.T, dir, name, pkg string) (program string) {
	t.Helper()
	program = filepath.Join(dir, name)
	command(t, dir, []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"}, "go", "build", "-ldflags", "-s -w", "-o", program, pkg)
	return program
}

func command(t *testing.T, dir string, env []string, words ...string) {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}
