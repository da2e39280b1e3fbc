// dockerode: what its users do with streams, exec, files, events and progress.
'use strict';
const Docker = require('dockerode');
const fs = require('fs');
const net = require('net');
const zlib = require('zlib');
const { PassThrough, Writable } = require('stream');
const { setTimeout: sleep } = require('timers/promises');

const docker = new Docker(); // DOCKER_HOST
const began = Math.floor(Date.now() / 1000);
let results = 0;

function check(what, good, seen) {
  results++;
  console.log(good ? `ok - ${what}` : `not ok - ${what}: ${JSON.stringify(seen)}`);
}

function equal(what, got, want) {
  check(what, JSON.stringify(got) === JSON.stringify(want), got);
}

async function fails(what, status, promise) {
  try {
    await promise;
    check(what, false, 'no error');
  } catch (e) {
    check(what, [].concat(status).includes(e.statusCode), [e.statusCode, e.message]);
  }
}

// sink collects what is written to it.
function sink() {
  const chunks = [];
  const s = new Writable({ write(chunk, _, done) { chunks.push(chunk); done(); } });
  s.text = () => Buffer.concat(chunks).toString();
  return s;
}

const ended = (stream) => new Promise((resolve, reject) => {
  stream.on('end', resolve).on('close', resolve).on('error', reject);
});

async function whole(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// tar packs one file.
function tar(name, text) {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write('0000640\0', 100);
  head.write('0001750\0', 108);
  head.write('0000000\0', 116);
  head.write(text.length.toString(8).padStart(11, '0') + '\0', 124);
  head.write('00000000000\0', 136);
  head.write('        0', 148);
  head.write('ustar\0' + '00', 257);
  head.write(head.reduce((a, b) => a + b).toString(8).padStart(6, '0') + '\0 ', 148);
  return Buffer.concat([head, Buffer.from(text.padEnd(512, '\0')), Buffer.alloc(1024)]);
}

// firstFile reads the name and the text of the first regular file of a tar.
function firstFile(bytes) {
  for (let at = 0; at < bytes.length;) {
    const size = parseInt(bytes.toString('latin1', at + 124, at + 135), 8);
    if (bytes[at + 156] === 0x30) {
      return [bytes.toString('utf8', at, bytes.indexOf(0, at)), bytes.toString('utf8', at + 512, at + 512 + size)];
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return null;
}

// boxed runs a program to its end and to that of its output: run itself waits for the former alone.
async function boxed(cmd, options = {}) {
  const out = sink(), err = sink();
  const closed = [out, err].map((s) => new Promise((resolve) => s.on('finish', resolve)));
  const [data, container] = await docker.run('box', cmd, [out, err], { Tty: false, ...options });
  await Promise.all(closed);
  return { status: data.StatusCode, out: out.text(), err: err.text(), container };
}

async function running(options) {
  const c = await docker.createContainer({ Image: 'box', StopSignal: 'KILL', ...options });
  await c.start();
  return c;
}

async function images() {
  const stream = await docker.loadImage(process.env.BOX);
  const progress = [];
  const output = await new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (e, all) => e ? reject(e) : resolve(all), (step) => progress.push(step));
  });
  equal('loadImage: what was loaded', output.map((o) => o.stream).filter(Boolean).join('').trim(), 'Loaded image: box:latest');
  check('loadImage: progress', progress.length === output.length && output.length > 0, progress);
  const seen = await docker.getImage('box').inspect();
  equal('image.inspect', [seen.RepoTags, seen.Config.Cmd], [['box:latest'], ['sh']]);
  equal('listImages', (await docker.listImages({ filters: { reference: ['box'] } })).map((i) => i.Id), [seen.Id]);
  const zipped = PassThrough.from([zlib.gzipSync(fs.readFileSync(process.env.BOX))]);
  const again = await docker.loadImage(zipped);
  await new Promise((resolve, reject) => docker.modem.followProgress(again, (e) => e ? reject(e) : resolve()));
  equal('loadImage: compressed, and the same', (await docker.getImage('box:latest').inspect()).Id, seen.Id);
  await docker.getImage('box').tag({ repo: 'example.test/tagged', tag: 'one' });
  equal('image.remove', (await docker.getImage('example.test/tagged:one').remove())[0], { Untagged: 'example.test/tagged:one' });
  await fails('image.inspect: removed', 404, docker.getImage('example.test/tagged:one').inspect());
  equal('image.get', firstFile(await whole(await docker.getImage('box').get())) !== null, true);
  await fails('pull: from nowhere', 404, docker.getImage('nowhere').inspect());
}

async function run() {
  const one = await boxed(['sh', '-c', 'echo out; echo err >&2; exit 6']);
  equal('run: status and streams', [one.status, one.out, one.err], [6, 'out\n', 'err\n']);
  await one.container.remove();
  const tty = sink();
  const shown = new Promise((resolve) => tty.on('finish', resolve));
  // It lasts until dockerode waits for it, which it does after the start: what is gone by then cannot be waited for.
  const [, t] = await docker.run('box', ['sh', '-c', 'test -t 1 && echo terminal; sleep 1'], tty, { HostConfig: { AutoRemove: true } });
  await shown;
  equal('run: terminal', tty.text(), 'terminal\r\n');
  for (let i = 0; i < 100 && await t.inspect().catch(() => null); i++) await sleep(100);
  await fails('run: removes itself', 404, t.inspect());
  await fails('run: no such image', 404, docker.run('nobodys:image', ['true'], sink()));
  const many = await boxed(['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done']);
  equal('run: all that was written', many.out.length, 220000);
  await many.container.remove();
}

async function attach() {
  const c = await docker.createContainer({ Image: 'box', Cmd: ['sh', '-c', 'cat; echo end >&2'], OpenStdin: true, StdinOnce: true,
    AttachStdin: true, AttachStdout: true, AttachStderr: true, Labels: { purpose: 'attach' } });
  const stream = await c.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const out = sink(), err = sink(), end = ended(stream);
  c.modem.demuxStream(stream, out, err);
  await c.start();
  stream.write('typed\n');
  stream.end();
  equal('attach: status', (await c.wait()).StatusCode, 0);
  await end;
  equal('attach: apart', [out.text(), err.text()], ['typed\n', 'end\n']);
  const logs = await c.logs({ stdout: true, stderr: true });
  equal('logs: framed', [1, 2].includes(logs[0]) && logs.length, 8 + 6 + 8 + 4);
  await c.remove();
  const tty = await docker.createContainer({ Image: 'box', Cmd: ['sh'], Tty: true, OpenStdin: true, Env: ['PS1=> '] });
  const terminal = await tty.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const screen = sink(), closed = ended(terminal);
  terminal.pipe(screen);
  await tty.start();
  await tty.resize({ w: 100, h: 30 });
  equal('resize', (await tty.inspect()).State.Running, true);
  terminal.write('test -t 0 && echo $((40+2))-\nexit 9\n');
  equal('attach: terminal, status', (await tty.wait()).StatusCode, 9);
  await closed;
  check('attach: terminal', screen.text().includes('42-\r\n'), screen.text());
  await tty.remove();
}

async function exec() {
  const c = await running({ Cmd: ['sleep', '1000'], name: 'base', Env: ['A=b'] });
  const one = await c.exec({ Cmd: ['sh', '-c', 'cat; echo $A$B >&2; exit 5'], AttachStdin: true, AttachStdout: true, AttachStderr: true,
    Env: ['B=c'] });
  const stream = await one.start({ hijack: true, stdin: true });
  const out = sink(), err = sink();
  docker.modem.demuxStream(stream, out, err);
  stream.end('to exec\n');
  await ended(stream);
  equal('exec: hijacked and apart', [out.text(), err.text()], ['to exec\n', 'bc\n']);
  const seen = await one.inspect();
  equal('exec.inspect', [seen.ExitCode, seen.Running, seen.ProcessConfig.entrypoint, seen.ContainerID === c.id], [5, false, 'sh', true]);
  const plain = await c.exec({ Cmd: ['echo', 'plain'], AttachStdout: true });
  const framed = await whole(await plain.start({}));
  equal('exec: not hijacked', [framed[0], framed.toString('utf8', 8)], [1, 'plain\n']);
  const tty = await c.exec({ Cmd: ['sh', '-c', 'sleep 0.5; test -t 0 && echo yes'], AttachStdin: true, AttachStdout: true, Tty: true });
  const terminal = await tty.start({ hijack: true, stdin: true, Tty: true });
  await tty.resize({ w: 90, h: 20 });
  equal('exec: terminal', (await whole(terminal)).toString(), 'yes\r\n');
  const detached = await c.exec({ Cmd: ['touch', '/tmp/touched'] });
  await detached.start({ Detach: true });
  await fails('exec: nobody', 404, docker.getExec('0123456789abcdef').inspect());
  await fails('exec: in nobody', 404, docker.getContainer('nobody').exec({ Cmd: ['true'] }));
  await c.remove({ force: true });
}

async function files() {
  const c = await running({ Cmd: ['sleep', '1000'] });
  await c.putArchive(tar('note', 'a note'), { path: '/data' });
  equal('getArchive', firstFile(await whole(await c.getArchive({ path: '/data/note' }))), ['note', 'a note']);
  const head = await c.infoArchive({ path: '/data/note' });
  const stat = JSON.parse(Buffer.from(head.headers['x-docker-container-path-stat'], 'base64'));
  equal('infoArchive', [stat.name, stat.size, stat.mode & 0o777], ['note', 6, 0o640]);
  await c.putArchive(zlib.gzipSync(tar('zipped', 'z')), { path: '/tmp' });
  equal('putArchive: compressed', firstFile(await whole(await c.getArchive({ path: '/tmp/zipped' }))), ['zipped', 'z']);
  await fails('getArchive: nothing there', 404, c.getArchive({ path: '/nothing' }));
  await fails('putArchive: nowhere', 404, c.putArchive(tar('a', 'b'), { path: '/nowhere' }));
  await fails('putArchive: below a file', [400, 500], c.putArchive(tar('hello/below', 'x'), { path: '/data' })); // dockerd: 500
  check('changes', (await c.changes()).some((d) => d.Path === '/data/note' && d.Kind === 1));
  check('export', firstFile(await whole(await c.export())) !== null);
  await c.remove({ force: true });
}

async function logs() {
  const c = await running({ Cmd: ['sh', '-c', 'echo one; echo two >&2; sleep 1; echo three'] });
  const stream = await c.logs({ follow: true, stdout: true, stderr: true });
  const out = sink(), err = sink();
  c.modem.demuxStream(stream, out, err);
  await ended(stream);
  equal('logs: followed to the end', [out.text(), err.text()], ['one\nthree\n', 'two\n']);
  equal('logs: tail', (await c.logs({ stdout: true, tail: 1 })).toString('utf8', 8), 'three\n');
  await c.remove();
}

async function stats() {
  const c = await running({ Cmd: ['sleep', '1000'], HostConfig: { Memory: 64 << 20 } });
  const once = await c.stats({ stream: false });
  equal('stats: limit', once.memory_stats.limit, 64 << 20);
  check('stats: processes', once.pids_stats.current >= 1, once.pids_stats);
  const stream = await c.stats({ stream: true });
  const first = await new Promise((resolve) => stream.once('data', (d) => resolve(JSON.parse(d))));
  equal('stats: streamed', first.id, c.id);
  stream.destroy();
  const [words, rows] = await c.top({ ps_args: '-eo pid,args' }).then((t) => [t.Titles, t.Processes]);
  check('top', words.includes('PID') && rows.some((r) => r.join(' ').includes('sleep 1000')), [words, rows]);
  await c.remove({ force: true });
}

async function networks() {
  const n = await docker.createNetwork({ Name: 'lane', CheckDuplicate: true, Labels: { purpose: 'test' } });
  const server = await running({ Cmd: ['httpd', '-f', '-h', '/data'], name: 'page', ExposedPorts: { '80/tcp': {} },
    HostConfig: { NetworkMode: 'lane', PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] } },
    NetworkingConfig: { EndpointsConfig: { lane: { Aliases: ['www'] } } } });
  const visit = await boxed(['sh', '-c', 'wget -q -O - http://www/hello; sleep 1'], { HostConfig: { NetworkMode: 'lane', AutoRemove: true } });
  equal('network: by alias', visit.out, 'from the image\n');
  const port = (await server.inspect()).NetworkSettings.Ports['80/tcp'][0].HostPort;
  const answer = await new Promise((resolve, reject) => {
    const s = net.connect(+port, '127.0.0.1', () => s.end('GET /hello HTTP/1.0\r\n\r\n'));
    let text = '';
    s.on('data', (d) => { text += d; }).on('close', () => resolve(text)).on('error', reject);
  });
  check('a published port', answer.endsWith('from the image\n'), answer);
  equal('network.inspect', Object.values((await n.inspect()).Containers).map((c) => c.Name), ['page']);
  await fails('network.remove: in use', 403, n.remove());
  await fails('createNetwork: twice', 409, docker.createNetwork({ Name: 'lane', CheckDuplicate: true }));
  await n.disconnect({ Container: server.id, Force: true });
  await n.connect({ Container: server.id });
  await server.remove({ force: true });
  await n.remove();
}

async function volumes() {
  const v = await docker.createVolume({ Name: 'goods-js', Labels: { purpose: 'test' } });
  equal('volume.inspect', (await v.inspect()).Labels, { purpose: 'test' });
  await boxed(['sh', '-c', 'echo kept > /goods/file'], { HostConfig: { Binds: ['goods-js:/goods'] } });
  const again = await boxed(['cat', '/goods/file'],
    { HostConfig: { Mounts: [{ Type: 'volume', Source: 'goods-js', Target: '/goods', ReadOnly: true }] } });
  equal('volumes: kept', again.out, 'kept\n');
  equal('listVolumes', (await docker.listVolumes({ filters: { label: ['purpose=test'] } })).Volumes.map((x) => x.Name), ['goods-js']);
  await fails('volume.remove: in use', 409, v.remove());
  check('pruneContainers', (await docker.pruneContainers()).ContainersDeleted.length >= 1);
  await v.remove();
  await fails('volume.inspect: removed', 404, v.inspect());
}

async function errors() {
  await fails('create: no such image', 404, docker.createContainer({ Image: 'nobodys:image' }));
  await fails('create: not a name', 400, docker.createContainer({ Image: 'box', name: '-' }));
  const c = await docker.createContainer({ Image: 'box', Cmd: ['nothing'], name: 'taken' });
  await fails('create: taken', 409, docker.createContainer({ Image: 'box', name: 'taken' }));
  await fails('start: no such program', 400, c.start());
  await c.remove();
  const once = await running({ Cmd: ['sleep', '1000'] });
  await fails('start: runs', 304, once.start());
  await fails('unpause: not paused', 500, once.unpause());
  await fails('remove: runs', 409, once.remove());
  await fails('resize: no number', 400, once.resize({ w: 'x', h: 1 }));
  await once.stop();
  await fails('stop: ended', 304, once.stop());
  await fails('pause: ended', 409, once.pause());
  await once.remove();
}

async function events() {
  const until = Math.floor(Date.now() / 1000) + 1;
  const lines = (await whole(await docker.getEvents({ since: began, until, filters: { label: ['purpose=attach'] } }))).toString();
  const seen = lines.trim().split('\n').map((l) => JSON.parse(l));
  const order = seen.map((e) => e.Action).filter((a) => ['create', 'attach', 'start', 'die', 'destroy'].includes(a));
  equal('getEvents: order', order, ['create', 'attach', 'start', 'die', 'destroy']);
  check('getEvents: scope and time', seen.every((e) => e.scope === 'local' && e.timeNano > 0), seen[0]);
  const old = await whole(await new Docker({ version: 'v1.41' }).getEvents({ since: began, until, filters: { event: ['destroy'], type: ['container'] } }));
  const last = JSON.parse(old.toString().split('\n')[0]);
  equal('getEvents: the names of an older version', [last.status, last.id === last.Actor.ID], ['destroy', true]);
  const live = await docker.getEvents({ filters: { type: ['volume'] } });
  const next = new Promise((resolve) => live.once('data', (d) => resolve(JSON.parse(d.toString().split('\n')[0]))));
  const v = await docker.createVolume({ Name: 'watched-js' });
  equal('getEvents: live', (await next).Actor.ID, 'watched-js');
  live.destroy();
  await v.remove();
}

(async () => {
  check('ping', (await docker.ping()).toString() === 'OK');
  check('version', (await docker.version()).Os === 'linux');
  check('info', typeof (await docker.info()).Containers === 'number');
  for (const part of [images, run, attach, exec, files, logs, stats, networks, volumes, errors, events]) {
    await part().catch((e) => check(part.name, false, e.stack));
  }
  console.log(`1..${results}`);
  process.exit(0);
})();
