// Package image is the life cycle of images: they are taken in, named, looked up, held, handed out and forgotten.
//
// Zone: brigd.
// Input: what people ask for; manifests and configs (strangers' JSON, size-capped by package registry); results of
// workers, which may have been conquered by the archive that they read; replies of the warden.
// Output: operations of internal/wire on sealed objects; jobs for workers; records; names; progress for clients.
// Spec: design sections 3 and 7; OCI image-spec 1.1; docker-archive.
// Answers: A4: a blob is complete, verified and sealed before a worker decompresses it (traps 22); each layer's diffID
// is held against the config; derived files are found again by the digest of the blob that they were made of, never by
// what a worker claims (traps 1); nothing of an archive is read or created as a path here. A name is given only after
// the registry has answered for it to the credentials of this very request (traps 33).
//
// How a set of blobs becomes an image, and who vouches for each step:
//
//	manifest, config ──▶ checked and sealed (registry, warden)
//	layer blob ──▶ sealed under its digest (the warden hashes) ──▶ worker "layer" ──▶ data file, table, diffID
//	                                                        diffID must be the config's ──▶ sealed
//	all tables ──▶ worker "merge" ──▶ index ──▶ a second worker checks it (the warden's doing) ──▶ sealed
//	record of the image ──▶ record of the name: only now does anybody find it
//
// Locks, in this order: Store.change, one change of records at a time; Store.gate, which separates "seal and pin" from
// "remove what nobody needs"; Store.mu, which is held for moments and never during a call.
package image
