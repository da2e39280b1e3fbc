// Package registry speaks the distribution protocol with registries: manifests, blobs, tokens, uploads.
//
// Zone: brigd.
// Input: references and credentials of the person who asked; every byte that a registry, a token server or whoever
// answers in their place sends: size-capped JSON that is decoded here, and blobs that are counted, hashed and written
// to a file, never interpreted. HTTP compression is off: brigd decompresses nothing.
// Output: manifests and configs that were held against a list of what is allowed; verified blobs; requests.
// Spec: OCI distribution-spec 1.1, OCI image-spec 1.1, Docker image manifest version 2 schema 2, Docker token
// authentication.
// Answers: A4: wrong digests, truncated blobs, lies about sizes; plain HTTP and certificates nobody vouches for;
// redirects and token servers that point at the metadata address or at this machine; foreign layers (SSRF);
// a document that is both manifest and index (CVE-2021-41190), or that two readers understand differently; huge
// documents; endless and stalled replies.
//
// It is our own client of the protocol because the libraries that exist import archive, compression and os/exec
// packages, which brigd must not have.
package registry
