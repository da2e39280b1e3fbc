package code

import "embed"

//go:embed arm64
var files embed.FS
