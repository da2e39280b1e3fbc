package e2e

import "testing"

func TestCopyTry(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "cc", "-v", "vol:/data", "box", "sh", "-c", "echo hi > /x; rm /etc/hostname2 /bin/wget; mkdir -p /a/b; echo z > /a/b/f; sleep 1000")
	t.Log(e.docker("diff", "cc"))
	t.Log(e.run(e.dockerCommand("cp", "cc:/x", e.dir+"/x")))
	t.Log(e.run(e.dockerCommand("cp", "cc:/a", e.dir+"/a")))
	t.Log(e.run(e.dockerCommand("cp", e.dir+"/x", "cc:/a/y")))
	t.Log(e.run(e.dockerCommand("exec", "cc", "ls", "-laR", "/a")))
	t.Log(e.run(e.dockerCommand("cp", e.dir+"/a", "cc:/data/")))
	t.Log(e.run(e.dockerCommand("exec", "cc", "ls", "-laR", "/data")))
	t.Log(e.run(e.dockerCommand("cp", "cc:/none", e.dir+"/x")))
	t.Log(e.run(e.dockerCommand("export", "-o", e.dir+"/e.tar", "cc")))
	t.Log(e.run(e.dockerCommand("commit", "-m", "msg", "-a", "me", "-c", "CMD [\"cat\",\"/x\"]", "cc", "new:1")))
	t.Log(e.run(e.dockerCommand("run", "--rm", "new:1")))
	t.Log(e.run(e.dockerCommand("run", "--rm", "new:1", "ls", "/bin/wget")))
	t.Log(e.run(e.dockerCommand("history", "new:1")))
	e.brig("kill", "cc")
	t.Log(e.run(e.dockerCommand("cp", "cc:/x", e.dir+"/x2")))
	t.Log(e.run(e.dockerCommand("cp", e.dir+"/x", "cc:/data/x2")))
	t.Log(e.run(e.dockerCommand("diff", "cc")))
	t.Log(e.run(e.dockerCommand("start", "cc")))
	t.Log(e.run(e.dockerCommand("exec", "cc", "ls", "-laR", "/data")))
	t.Log(e.run(e.dockerCommand("create", "--name", "dd", "box", "cat", "/new")))
	t.Log(e.run(e.dockerCommand("cp", e.dir+"/x", "dd:/new")))
	t.Log(e.run(e.dockerCommand("start", "-a", "dd")))
	e.brig("rm", "-f", "cc", "dd")
}
