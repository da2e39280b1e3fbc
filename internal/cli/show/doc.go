// Package show prints: tables, templates, JSON and the progress of transfers.
//
//	Zone:    brig, the caller's own process and ids.
//	Input:   texts of the engine, many of which come from images: names, commands, labels, comments.
//	Output:  the person's terminal or a pipe. Control characters of such texts never reach it: an image must not be
//	         able to move the cursor or to rewrite what the person has read.
//	Spec:    text/template; Docker's --format (fields, "table", "json").
//	Answers: A4, as far as the eyes of the person are concerned.
package show
