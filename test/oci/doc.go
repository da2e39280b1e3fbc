// Package oci holds brig-oci against what an OCI runtime is asked for: its commands one by one, through the program itself; the
// validation suite of opencontainers/runtime-tools; and Docker and Podman, who start containers with it. The last two are
// of the slow lane.
package oci
