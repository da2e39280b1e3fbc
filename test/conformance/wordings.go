package conformance

import "regexp"

func is(verbs, dockerd, brig string) Wording {
	return Wording{verbs, regexp.MustCompile(dockerd), brig}
}

const (
	instructions = "the instruction is not one of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, VOLUME, " +
		"WORKDIR: invalid argument"
	policies = "unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
	letters  = "letters, digits, _ . - and begins with a letter or digit"
)

var differences = []Difference{
	{Stderr, "A refusal begins with the option and its value, and says what would be allowed", "so that one need not look it up",
		[]Wording{
			is("commit import", `nonsense is not a valid change command`, `--change "NONSENSE x": `+instructions),
			is("commit", `run is not a valid change command`, `--change "RUN true": `+instructions),
			is("create", `Invalid container name \(bad name\), only \[.*\] are allowed`,
				`invalid container name ("bad name"): 2 to 255 letters, digits, _ . - that begin with a letter or digit`),
			is("rename", `Invalid container name \(/bad name\), only \[.*\] are allowed`,
				`invalid container name ("bad name"): 2 to 255 letters, digits, _ . - that begin with a letter or digit`),
			is("rename", `Error when allocating`, `error when allocating`),
			is("create", `create rel/ative: "rel/ative" includes .* use absolute path`, `-v rel/ative: a volume's name has 2 to 255 `+letters),
			is("volume", `create bad name: "bad name" includes .* use absolute path`, `a volume's name has 2 to 255 `+letters),
			is("volume", `create bad: error looking up .* not found`, `--driver nonsense: Brig has the volume driver local only`),
			is("create", `invalid volume specification: 'vol:relative': .* must be absolute`,
				`-v relative: the target is an absolute path inside the container, not / and without ..`),
			is("create", `invalid restart policy 'sometimes'`, `--restart sometimes: invalid restart policy: `+policies),
			is("update", `invalid restart policy 'sometimes'`, `invalid restart policy: `+policies),
			is("create", `invalid CapAdd: unknown capability: "CAP_NONSENSE"`, `--cap-add CAP_NONSENSE: there is no capability of this name`),
			is("create", `Minimum memoryswap limit should be .*`, `--memory-swap 33554432: is memory and swap together, so not less than -m`),
			is("create", `error looking up logging plugin nonsense: .*`,
				`--log-driver nonsense: no log driver named 'nonsense' is registered; Brig has journald, json-file, local, none, syslog`),
			is("create", `invalid IPv4 address: 1.2.3.4.5`, `the body of the request: ParseAddr("1.2.3.4.5"): IPv4 address too long`),
			is("create", `the working directory 'relative' is invalid, .*`, `-w relative: must be an absolute path`),
			is("import", `No command specified`, `COMMAND: no command specified: neither the request nor the image mine names one`),
			is("network", `plugin "nonsense" not found`,
				`--driver nonsense: the one driver is bridge: endpoints of containers, routed and without a shared segment; leave it out`),
			is("network", `Invalid subnet nonsense : .*`, `the body of the request: netip.ParsePrefix("nonsense"): no '/'`),
			is("network", `error while removing network: network net id <id> has active endpoints`,
				`network net has active endpoints, of the containers <short>`),
			is("pull", `"nonsense/nonsense/a/b": cannot parse .*`, `--platform "nonsense/nonsense/a/b": must be os/arch or os/arch/variant`),
			is("run", `unable to find user nobody-knows: no matching entries in passwd file`,
				`-u nobody-knows: unable to find user nobody-knows: no matching entries in the image's passwd file`),
			is("run", `invalid mount config for type "bind": bind source path does not exist: /nowhere/at/all`,
				`mount on /mnt: bind source /nowhere/at/all does not exist on the host. Next: mkdir -p /nowhere/at/all`),
			is("run", `Invalid signal: NONSENSE`, `--stop-signal NONSENSE: invalid signal: NONSENSE`),
			is("run", `Minimum memory limit allowed is <size>`, `-m 1024: the least is 6291456 bytes (6m)`),
			is("update", `Minimum memory limit allowed is <size>`, `-m 1048576: the least is 6291456 bytes (6m)`),
			is("run", `network no-such-network not found`, `--network no-such-network: there is no network of this name. Next: brig network ls`),
			is("run", `daemon: No such container: nobody`, `daemon: --volumes-from nobody: No such container: nobody`),
			is("top", `ps: error: unknown gnu long option`, `ps option "--nonsense": not supported by this version of Brig; -e, -f, aux and -o LIST are`),
			is("kill", `Cannot kill container: two: The linux daemon does not support signal 99`, `invalid signal: 99: the numbers are 1 to 64`),
			is("rmi save", `invalid reference format: repository name must be lowercase`,
				`invalid reference format: repository name (library/BAD) must be lowercase`),
		}},
	{Stderr, "What the engine says of states and filters is in the words of Docker 28", "the dockerd compared with is of release 20.10",
		[]Wording{
			is("container image images network ps system volume", `Invalid filter 'nonsense'`, `invalid filter 'nonsense'`),
			is("ps", `Invalid filter 'status=nonsense'`,
				`invalid value for state (nonsense): must be one of created, running, paused, restarting, removing, exited, dead`),
			is("cp", `in container one`, `in container <id>`),
			is("exec kill pause top", `Container <id> is not running`, `container <id> is not running`),
			is("exec", `Container one is paused`, `Container <id> is paused`),
			is("kill", `Cannot kill`, `cannot kill`),
			is("kill", `Invalid signal`, `invalid signal`),
			is("pause", `Container <id> is already paused`, `container <id> is already paused`),
			is("image", `no such image: nothing: No such`, `No such`),
			is("save", `No such image: nowhere/nothing`, `No such image: nowhere/nothing:latest`),
			is("rm", `You cannot remove a running container <id>\. .*`,
				`cannot remove container "/two": container is running: stop the container before removing or force remove`),
			is("rm", `You cannot remove a paused container <id>\. .*`,
				`cannot remove container "/four": container is paused and must be unpaused first`),
			is("rmi", `repository reference "box"`, `repository reference "box:latest"`),
		}},
	{Stderr, "A program that cannot be started is named first, without the words of an OCI runtime", "there is none between the engine and the program",
		[]Wording{
			is("run start", `failed to create shim task: .* exec: "nothing": executable file not found in \$PATH: unknown`,
				`"nothing": executable file not found in the container (find program nothing in PATH: no such file or directory)`),
			is("run", `failed to create shim task: .* exec: ("/data/hello"): permission denied: unknown`,
				`$1 cannot be executed in the container (find program /data/hello: permission denied)`),
			is("run", `failed to create shim task: .* exec: ("/data"): permission denied: unknown`,
				`$1 cannot be executed in the container (execute /data: permission denied)`),
		}},
	{Stderr, "A failure to reach a registry names the image and the registry", "with several registries one would not know which",
		[]Wording{
			is("login", `Get "http://localhost:1/v2/": dial`, `registry localhost:1: connect: dial`),
			is("pull push", `Get "http://localhost:1/v2/": dial`, `localhost:1/name:latest: registry localhost:1: connect: dial`),
		}},
	{Stderr, "There is no search in registries", "registries other than Docker Hub have none either; its web page has",
		[]Wording{
			is("search", `daemon: (Limit|Invalid filter|invalid registry endpoint) .*`, `daemon: this version of Brig does not have search in registries`),
		}},
	{Stderr, "An archive that cannot be read is called so, with the place", "a confined worker reads it, and says what it saw",
		[]Wording{
			is("cp", `Error processing tar file\(exit status 1\): unexpected EOF`, `the archive cannot be read: unexpected EOF`),
			is("import", `Error response from daemon: Error processing tar file\(exit status 1\): unexpected EOF`,
				`layer sha256:<id>: layer: after entry 0: the archive is cut off`),
			is("load", `Error processing tar file\(exit status 1\): unexpected EOF`,
				`Error response from daemon: load: archive, after entry 0: not a tar, damaged, or cut off: unexpected EOF`),
		}},
	{Stdout, "The removal of an image does not list its layers", "they are parts of the store and have no names of their own in the API",
		[]Wording{
			is("image", `(?m)^deleted: sha256:<id>\n`, ``),
			is("rmi", `(?m)^Deleted: sha256:<id>\n`, ``),
		}},
	{Stdout, "A container has neither /.dockerenv nor a link /etc/mtab", "Brig puts nothing into a root but the files that have a meaning for the program",
		[]Wording{is("export", `(?m)^(\.dockerenv|etc/mtab)\n`, ``)}},
	{Stdout, "create refuses a network that is not there", "a mistake is said at once: dockerd makes the container, and fails when it is started",
		[]Wording{is("create", `^<id>\n$`, ``)}},
	{Stdout, "The kernel's own name (comm) of a program that was found through a link is that of the file", "it is opened before it is executed, and executed by its descriptor",
		[]Wording{is("top", `(?m)^<pid>  sleep  sleep`, `<pid>  busybox  sleep`)}},
}
