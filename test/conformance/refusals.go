package conformance

// Refusal is a command line of a verb that Brig does not have, and what the client prints then.
type Refusal struct {
	Verb string
	Line string
	Code int
	Says string // a part of standard error
	Why  string
	// Plugin: the verb is a program of its own, which the machine may have; the line is left out there.
	Plugin bool
}

// Refusals returns all of them.
func Refusals() []Refusal { return refusals }

const (
	noBuild  = "images are built elsewhere for now, and pulled or loaded"
	noSwarm  = "Brig is the engine of one machine"
	noPlugin = "code of others inside an engine that holds privilege; volumes, networks and logs are built in"
)

var refusals = []Refusal{
	{"build", "printf 'FROM box' > Dockerfile; DOCKER_BUILDKIT=0 docker build .", 1, "image builds: not supported by this version of Brig", noBuild, false},
	{"build", "docker build .", 1, "image builds: not supported by this version of Brig", noBuild, false},
	{"builder", "docker builder build .", 1, "image builds: not supported by this version of Brig", noBuild, false},
	{"buildx", "docker buildx version", 1, "unknown command: docker buildx", noBuild, true},
	{"compose", "docker compose version", 1, "unknown command: docker compose", "it is a program of its own, which talks to the engine's API", true},
	{"checkpoint", "docker create --name one box > /dev/null; docker checkpoint create one two", 1, "only supported on a Docker daemon with experimental features enabled", "frozen processes would have to be restored with privilege", false},
	{"checkpoint", "docker checkpoint ls one", 1, "only supported on a Docker daemon with experimental features enabled", "frozen processes would have to be restored with privilege", false},
	{"config", "docker config ls", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"node", "docker node ls", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"secret", "docker secret ls", 1, "secrets: not supported by this version of Brig", noSwarm, false},
	{"service", "docker service ls", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"stack", "docker stack services x", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"swarm", "docker swarm init", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"swarm", "docker swarm leave", 1, "swarm mode: not supported by this version of Brig", noSwarm, false},
	{"plugin", "docker plugin install localhost:1/name", 1, "plugins: not supported by this version of Brig", noPlugin, false},
	{"plugin", "docker plugin ls", 1, "plugins: not supported by this version of Brig", noPlugin, false},
	{"manifest", "docker manifest inspect localhost:1/name", 1, "error pinging v2 registry", "the client asks the registry itself; the engine has no part in it", false},
	{"trust", "docker trust inspect localhost:1/name", 1, "no signatures or cannot access localhost:1/name", "the client asks a notary itself; Brig checks digests, and no signatures", false},
}
