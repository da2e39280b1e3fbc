// Package cli is the command line: it turns words into requests to an engine and replies into text.
//
//	Zone:    brig, the caller's own process and ids. Nothing here decides what is allowed; the engine does.
//	Input:   the command line, BRIG_HOST, DOCKER_CONFIG, ~/.docker/config.json (read only), the engine's replies.
//	Output:  requests over a unix socket; text on the two standard outputs; the exit status.
//	Spec:    docs/style.md; Docker's command line for verbs, options and exit statuses; the Docker Engine API 1.50.
//	Answers: none by itself. It starts an engine only for root and only at the default address.
//
// Files are named after what they hold: app.go the frame, root.go the table of commands, run.go what `brig run` does,
// session.go the attached program; the others are one noun each.
package cli
