"""docker-py: what its users do with containers, files, volumes, networks, events and images."""

import io
import json
import os
import tarfile
import time
import traceback

import docker
import docker.errors

results = 0


def check(what, good, seen=""):
    global results
    results += 1
    print(f"ok - {what}" if good else f"not ok - {what}: {seen!r}", flush=True)


def equal(what, got, want):
    check(what, got == want, got)


def raises(what, kind, action, status=None):
    try:
        action()
    except kind as e:
        got = getattr(e, "status_code", None)
        check(what, status is None or got == status, got)
    except Exception as e:  # pylint: disable=broad-except
        check(what, False, e)
    else:
        check(what, False, "no exception")


def section(action):
    try:
        action()
    except Exception:  # pylint: disable=broad-except
        check(action.__name__, False, traceback.format_exc()[-500:])


def archive(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(text), 0o640, 1000
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


client = docker.from_env(timeout=60)
began = int(time.time())


def engine():
    check("ping", client.ping())
    equal("version: system", client.version()["Os"], "linux")
    check("info", client.info()["Driver"] != "" and "Containers" in client.info())
    check("df", {"Images", "Containers", "Volumes", "LayersSize"} <= set(client.df()), client.df().keys())


def images():
    with open(os.environ["BOX"], "rb") as f:
        loaded = client.images.load(f)
    equal("images.load: tags", [t for i in loaded for t in i.tags], ["box:latest"])
    equal("images.list", [i.id for i in client.images.list(name="box")], [loaded[0].id])
    equal("images.get: short_id", client.images.get("box").short_id, loaded[0].id[:17])
    equal("images.get: attrs", client.images.get("box").attrs["Config"]["Env"], ["PATH=/bin"])
    check("image.tag", client.images.get("box").tag("example.test/other", tag="1"))
    equal("images.list with filter", [sorted(i.tags) for i in client.images.list(filters={"reference": "example.test/other"})],
          [["box:latest", "example.test/other:1"]])
    saved = b"".join(client.images.get("example.test/other:1").save(named="example.test/other:1"))
    client.images.remove("example.test/other:1")
    raises("images.get: removed", docker.errors.ImageNotFound, lambda: client.images.get("example.test/other:1"), 404)
    equal("images.load: what save wrote", [t for i in client.images.load(saved) for t in i.tags if "other" in t][:1],
          ["example.test/other:1"])
    client.images.remove("example.test/other:1")
    check("image.history", len(client.images.get("box").history()) >= 1)
    raises("images.load: junk", docker.errors.DockerException, lambda: list(client.images.load(b"junk" * 4000)))


def run():
    equal("containers.run: output", client.containers.run("box", ["echo", "hello"], remove=True), b"hello\n")
    equal("containers.run: both streams", sorted(client.containers.run(
        "box", ["sh", "-c", "echo out; echo err >&2"], stderr=True, remove=True).split()), [b"err", b"out"])
    try:
        client.containers.run("box", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
        check("containers.run: status", False)
    except docker.errors.ContainerError as e:
        equal("containers.run: status", (e.exit_status, e.stderr), (3, b"bad\n"))
    raises("containers.run: no such program", docker.errors.APIError,
           lambda: client.containers.run("box", ["nothing"], remove=True))
    raises("containers.run: no such image", docker.errors.APIError,
           lambda: client.containers.create("nowhere.invalid/nothing"), 404)
    raises("containers.get: no such container", docker.errors.NotFound, lambda: client.containers.get("nobody"), 404)
    tty = client.containers.run("box", ["sh", "-c", "test -t 1 && echo terminal"], tty=True, remove=True)
    equal("containers.run: terminal", tty, b"terminal\r\n")


def life():
    c = client.containers.run("box", ["sh", "-c", "echo one; echo two >&2; trap 'exit 4' TERM; while :; do sleep 0.1; done"],
                              detach=True, name="life", labels={"purpose": "test"}, environment={"A": "b"}, mem_limit="64m",
                              hostname="host-of-life", init=False, restart_policy={"Name": "on-failure", "MaximumRetryCount": 1})
    equal("containers.run: detached", client.containers.get("life").id, c.id)
    equal("attrs: limits", c.attrs["HostConfig"]["Memory"], 64 << 20)
    equal("containers.list by label", [x.name for x in client.containers.list(filters={"label": "purpose=test"})], ["life"])
    equal("containers.list: others", client.containers.list(filters={"label": "purpose=else"}), [])
    deadline = time.time() + 20
    while c.logs().count(b"\n") < 2 and time.time() < deadline:
        time.sleep(0.1)
    equal("logs: standard output", c.logs(stderr=False), b"one\n")
    equal("logs: standard error", c.logs(stdout=False), b"two\n")
    equal("logs: tail", len(c.logs(tail=1).splitlines()), 1)
    stamp, _, line = c.logs(stderr=False, timestamps=True).partition(b" ")
    equal("logs: timestamps", (stamp[10:11], stamp[-1:], line), (b"T", b"Z", b"one\n"))
    equal("logs: streamed", next(c.logs(stream=True, follow=True, stderr=False)), b"one\n")
    equal("exec_run", tuple(c.exec_run(["sh", "-c", "echo $A; hostname"])), (0, b"b\nhost-of-life\n"))
    equal("exec_run: status", c.exec_run("false").exit_code, 1)
    equal("exec_run: apart", tuple(c.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output), (b"o\n", b"e\n"))
    equal("exec_run: user, directory, environment", c.exec_run(["sh", "-c", "id -u; pwd; echo $V"], user="worker", workdir="/data",
                                                               environment={"V": "w"}).output, b"1000\n/data\nw\n")
    equal("exec_run: streamed", b"".join(c.exec_run(["sh", "-c", "echo 1; sleep 0.2; echo 2"], stream=True).output), b"1\n2\n")
    equal("exec_run: again and again", [c.exec_run(["echo", str(i)]).output for i in range(20)], [b"%d\n" % i for i in range(20)])
    equal("exec_run: terminal", c.exec_run(["test", "-t", "0"], tty=True, stdin=True).exit_code, 0)
    _, sock = c.exec_run(["cat"], stdin=True, socket=True)
    raw = getattr(sock, "_sock", sock)
    raw.sendall(b"through a socket\n")
    head = sock.read(8)
    equal("exec_run: socket", (head[0], sock.read(head[7])), (1, b"through a socket\n"))
    sock.close()
    check("exec_run: detached", not c.exec_run(["touch", "/tmp/touched"], detach=True).output)
    stats = c.stats(stream=False)
    check("stats: memory", 0 < stats["memory_stats"]["usage"] <= stats["memory_stats"]["limit"] == 64 << 20, stats["memory_stats"])
    check("stats: processor", stats["cpu_stats"]["system_cpu_usage"] > stats["precpu_stats"]["system_cpu_usage"] > 0)
    check("stats: streamed", next(c.stats(decode=True))["pids_stats"]["current"] >= 1)
    top = c.top()
    check("top", "PID" in top["Titles"] and len(top["Processes"]) >= 1, top)
    equal("pause", (c.pause(), c.reload(), c.status)[2], "paused")
    equal("unpause", (c.unpause(), c.reload(), c.status)[2], "running")
    c.update(mem_limit="80m", memswap_limit="160m")
    c.reload()
    equal("update", c.attrs["HostConfig"]["Memory"], 80 << 20)
    c.rename("lively")
    equal("rename", client.containers.get("lively").id, c.id)
    raises("remove: runs", docker.errors.APIError, c.remove, 409)
    c.stop(timeout=20)
    c.reload()
    equal("stop", (c.status, c.attrs["State"]["ExitCode"]), ("exited", 4))
    equal("wait", c.wait(), {"StatusCode": 4, **({"Error": None} if "Error" in c.wait() else {})})
    c.start()
    c.restart(timeout=1)
    c.kill()
    equal("kill", c.wait(condition="not-running")["StatusCode"], 137)
    raises("kill: ended", docker.errors.APIError, c.kill, 409)
    raises("exec_run: ended", docker.errors.APIError, lambda: c.exec_run("true"), 409)
    c.remove()
    raises("remove: removed", docker.errors.NotFound, c.remove, 404)


def files():
    c = client.containers.create("box", ["sleep", "1000"], name="files")
    check("put_archive: before the start", c.put_archive("/data", archive(note="a note")))
    c.start()
    check("put_archive: running", c.put_archive("/tmp", archive(one="1", two="22")))
    equal("put_archive: as it was", c.exec_run(["sh", "-c", "cat /data/note; stat -c ' %u %a' /data/note"]).output, b"a note 1000 640\n")
    bits, stat = c.get_archive("/data/note")
    with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
        equal("get_archive: entries", [(m.name, m.size, m.uid) for m in tar], [("note", 6, 1000)])
    equal("get_archive: stat", (stat["name"], stat["size"], stat["linkTarget"]), ("note", 6, ""))
    bits, _ = c.get_archive("/tmp")
    with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
        equal("get_archive: directory", sorted(m.name for m in tar), ["tmp", "tmp/one", "tmp/two"])
    raises("get_archive: nothing there", docker.errors.NotFound, lambda: c.get_archive("/nothing"), 404)
    raises("put_archive: nowhere", docker.errors.NotFound, lambda: c.put_archive("/nowhere", archive(x="")), 404)
    changes = {d["Path"]: d["Kind"] for d in c.diff()}
    equal("diff", (changes.get("/data"), changes.get("/data/note")), (0, 1))
    with tarfile.open(fileobj=io.BytesIO(b"".join(c.export()))) as tar:
        check("export", "data/note" in tar.getnames())
    image = c.commit("noted", tag="1", changes='CMD ["cat", "/data/note"]')
    # Not run(remove=True): docker.io loses what a program writes that ends before somebody asks for its log.
    made = client.containers.create("noted:1")
    made.start()
    made.wait()
    equal("commit", made.logs(), b"a note")
    made.remove()
    c.remove(force=True)
    client.images.remove(image.id, force=True)


def volumes():
    v = client.volumes.create("goods", labels={"kind": "goods"})
    equal("volumes.create", (v.name, v.attrs["Driver"], v.attrs["Labels"]), ("goods", "local", {"kind": "goods"}))
    equal("volumes.list", [x.name for x in client.volumes.list(filters={"label": "kind=goods"})], ["goods"])
    client.containers.run("box", ["sh", "-c", "echo kept > /goods/file"], volumes={"goods": {"bind": "/goods", "mode": "rw"}}, remove=True)
    mount = docker.types.Mount("/again", "goods", read_only=True)
    equal("volumes: kept", client.containers.run("box", ["cat", "/again/file"], mounts=[mount], remove=True), b"kept\n")
    holder = client.containers.create("box", ["true"], volumes=["goods:/goods"])
    raises("volume.remove: in use", docker.errors.APIError, v.remove, 409)
    holder.remove()
    v.remove()
    raises("volumes.get: removed", docker.errors.NotFound, lambda: client.volumes.get("goods"), 404)
    check("volumes.prune", "SpaceReclaimed" in client.volumes.prune())


def networks():
    n = client.networks.create("yard", labels={"kind": "yard"}, check_duplicate=True)
    equal("networks.list", [x.name for x in client.networks.list(names=["yard"])], ["yard"])
    server = client.containers.run("box", ["httpd", "-f", "-h", "/data"], detach=True, name="server", network="yard",
                                   stop_signal="KILL", ports={"80/tcp": ("127.0.0.1", None)})
    equal("networks: by name", client.containers.run("box", ["wget", "-q", "-O", "-", "http://server/hello"], network="yard", remove=True),
          b"from the image\n")
    n.reload()
    equal("network.containers", [x.name for x in n.containers], ["server"])
    server.reload()
    check("ports", server.ports["80/tcp"][0]["HostIp"] == "127.0.0.1" and int(server.ports["80/tcp"][0]["HostPort"]) > 0, server.ports)
    other = client.containers.run("box", ["sleep", "1000"], detach=True, name="other", stop_signal="KILL")
    n.connect(other, aliases=["friend"])
    equal("network.connect: alias", server.exec_run(["nslookup", "friend"]).exit_code, 0)
    raises("network.remove: in use", docker.errors.APIError, n.remove, 403)
    n.disconnect(other)
    other.reload()
    equal("network.disconnect", list(other.attrs["NetworkSettings"]["Networks"]), ["bridge"])
    for c in (server, other):
        c.remove(force=True)
    n.remove()
    raises("networks.get: removed", docker.errors.NotFound, lambda: client.networks.get("yard"), 404)


def attach():
    c = client.containers.create("box", ["sh", "-c", "read line; echo got $line"], stdin_open=True)
    sock = c.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    c.start()
    getattr(sock, "_sock", sock).sendall(b"this\n")
    head = sock.read(8)
    equal("attach_socket", (head[0], sock.read(head[7])), (1, b"got this\n"))
    sock.close()
    c.wait()
    equal("attach_socket: logs", c.logs(), b"got this\n")
    c.remove()


def health():
    c = client.containers.run("box", ["sleep", "1000"], detach=True, stop_signal="KILL", healthcheck={
        "test": ["CMD", "true"], "interval": 200_000_000, "timeout": 5_000_000_000, "retries": 3})
    deadline = time.time() + 20
    while c.attrs["State"].get("Health", {}).get("Status") != "healthy" and time.time() < deadline:
        time.sleep(0.1)
        c.reload()
    equal("healthcheck", c.attrs["State"]["Health"]["Status"], "healthy")
    c.remove(force=True)


def events():
    seen = [json.dumps(e) and e for e in client.events(since=began, until=int(time.time()) + 1, decode=True)]
    life = [e["Action"] for e in seen if e["Type"] == "container" and e["Actor"]["Attributes"].get("purpose") == "test"]
    wanted = ["create", "start", "pause", "unpause", "update", "rename", "kill", "die", "stop", "start", "restart", "destroy"]
    for action in wanted:
        check(f"events: {action}", action in life, life)
    equal("events: order", [a for a in life if a in ("create", "destroy")], ["create", "destroy"])
    check("events: exec", any(a.startswith("exec_start: sh -c echo $A") for a in life), life)
    for kind in ("volume", "network", "image"):
        check(f"events: of the {kind}", any(e["Type"] == kind for e in seen))
    filtered = client.events(since=began, until=int(time.time()) + 1, decode=True, filters={"event": "rename"})
    equal("events: filtered", {e["Action"] for e in filtered}, {"rename"})
    live = client.events(decode=True, filters={"type": "volume"})
    client.volumes.create("watched").remove()
    equal("events: live", next(live)["Actor"]["ID"], "watched")
    live.close()


for part in (engine, images, run, life, files, volumes, networks, attach, health, events):
    section(part)
print(f"1..{results}")
