// Package archive reads and writes archives of images, and makes the tar of a layer again.
//
// Zone: brig-worker, the jobs "load", "export" and "save": no network, no file system; files come from brigd one by
// one.
// Input: for load, a stream that a person gave (docker-archive, OCI archive, plain or compressed): every byte is a
// stranger's. For export and save: sealed blobs, tables of contents that another worker wrote, parameters of brigd.
// Output: blobs, each in a file of its own and named by the digest of what was written; descriptions of the images.
// Names inside an archive are text that is looked up in a table; links between members are followed in that table.
// Spec: OCI image spec (image-layout.md, manifest.md, image-index.md); Docker image specification v1.2
// (manifest.json).
// Answers: A4 (wrong digests, sizes that lie, `..`, duplicate entries, truncated, million entries, PAX bomb, manifest
// and index confusion (CVE-2021-41190), deep or huge index or manifest; foreign layers are never fetched).
package archive
