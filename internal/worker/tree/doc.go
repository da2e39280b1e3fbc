// Package tree copies files from and to a container, packs its root and finds what it has changed.
//
// Zone: brig-worker, as root of the container's own user namespace and with the container's own root directory: nothing
// of the host is in its reach, whatever a name or a link says. Programs of the container may run beside it and change
// every name between two calls; what is opened is looked at again after it was opened.
// Input: a tree that a stranger made, an archive that a stranger packed. Output: an archive, a list, files in the tree.
// Spec: Docker's /containers/{id}/archive, /changes and /export; the OCI layer format.
// Answers: A3, A4 (CVE-2018-15664: names that are swapped while they are copied; CVE-2019-14271 and CVE-2026-41567:
// libraries and programs of the container that are run; CVE-2026-17106: links that an archive brings).
package tree
