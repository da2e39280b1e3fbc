// Package request turns the options of `brig run` and `brig create` into the body of a create request: the same body
// that Docker's own command line sends for the same options, so that an engine cannot tell the two apart.
//
//	Zone:    brig, the caller's own process and ids.
//	Input:   the command line, files that it names (env-file, label-file, seccomp profile), the caller's environment.
//	Output:  an engineapi.CreateRequest. Whether it is allowed is decided by the engine alone; what is checked here is
//	         only that a value means something.
//	Spec:    the Docker Engine API 1.50; `docker run` of Docker 28.
//	Answers: none.
package request
