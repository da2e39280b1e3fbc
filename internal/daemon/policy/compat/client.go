package compat

// What never leaves the client, or goes beside the body of the request.
var client = []Entry{
	{Field: "?name", Flags: []string{"--name"}, State: Works},
	{Field: "Name", State: Works, Kept: true, Note: "that of the query once more"},
	{Field: "?platform", Flags: []string{"--platform"}, State: Works, Note: "the host's own platform"},
	{Flags: []string{"-d", "--detach"}, State: Works},
	{Flags: []string{"--detach-keys"}, State: Works},
	{Flags: []string{"--env-file"}, State: Works},
	{Flags: []string{"--help"}, State: Works},
	{Flags: []string{"--label-file"}, State: Works},
	{Flags: []string{"--pull"}, State: Works},
	{Flags: []string{"-q", "--quiet"}, State: Works},
	{Flags: []string{"--sig-proxy"}, State: Works},
	{Flags: []string{"--disable-content-trust"}, State: Works, Note: "true, which is the default and changes nothing"},
	{Value: "--disable-content-trust=false", Flags: []string{"--disable-content-trust"}, State: Missing,
		Reason:  "Brig checks digests, and no signatures of images",
		Instead: "name the image by its digest"},
	{Value: "--use-api-socket", Flags: []string{"--use-api-socket"}, State: Missing,
		Reason:  "who has the engine's socket owns the engine",
		Instead: "bind the socket with -v, where the container may"},
}
