package code

import "embed"

//go:embed amd64
var files embed.FS
