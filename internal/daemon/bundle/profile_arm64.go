package bundle

import _ "embed"

// profile is the default filter as a linux.seccomp: the runtime loads it above the floor that it has itself.
//
//go:embed seccomp_arm64.json
var profile []byte
