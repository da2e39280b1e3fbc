// Package oci is brig-oci: an OCI runtime for engines that bring their own images, networks and policies, made of what gives
// birth to Brig's own containers.
//
// Zone: brig-oci, a root process of its own that lives as long as one command. Input: a command line and files from the
// engine that calls it, which is as trusted as root; the root file system of a container, which is a stranger's, and is
// touched through openat2 alone. Output: containers as the configuration wants them, with no defence of Brig's own added.
// Spec: OCI runtime-spec 1.3; the command line, exit statuses and texts of runc, which engines read.
// Answers: A3.
package oci
