//go:build !amd64

package filters

func callI386() {}
