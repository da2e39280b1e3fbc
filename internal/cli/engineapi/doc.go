// Package engineapi holds the requests and replies of the Docker Engine API as far as the command line has a use for them.
//
//	Zone:    brig, the caller's own process. Data only, nothing is done here.
//	Input:   –
//	Output:  –
//	Spec:    the Docker Engine API 1.50; field names, JSON names and JSON forms are those of
//	         github.com/moby/moby/api/types, of which drift_test.go reminds.
//	Answers: none.
//
// Moby's own packages container, image, volume and system are not linked: through image-spec and go-digest they bring
// regular expressions that are compiled whenever the program starts, which was a tenth of what a short `brig run` cost.
// Those of moby's packages that bring nothing (network, mount, jsonstream, common) are used as they are.
//
// A request has the fields that an option sets, since a field that is not set is not sent. A reply has the fields that are
// read, except for Info and VersionResponse, which people's templates look into: those are whole.
package engineapi
