package index

import (
	"encoding/binary"
	"sort"
	"strings"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// prefixOf gives the number that stands for the start of an attribute's name, and the rest. ok is false for names
// that no index may hold.
func prefixOf(name string) (prefix byte, rest string, ok bool) {
	switch {
	case name == aclAccess:
		return erofs.PrefixACLAccess, "", true
	case name == aclDefault:
		return erofs.PrefixACLDefault, "", true
	case strings.HasPrefix(name, "user."):
		prefix, rest = erofs.PrefixUser, name[len("user."):]
	case strings.HasPrefix(name, "trusted."):
		prefix, rest = erofs.PrefixTrusted, name[len("trusted."):]
	default:
		return 0, "", false
	}
	// CVE-2021-3493 and its kin: overlayfs acts on these, and an image must not be able to write them.
	return prefix, rest, rest != "" && !strings.HasPrefix(rest, "overlay.")
}

// kept tells whether an attribute goes into the index: see the package comment.
func kept(mode uint16, x toc.Xattr) bool {
	prefix, _, ok := prefixOf(x.Name)
	switch prefix {
	case erofs.PrefixACLDefault:
		return ok && mode&erofs.ModeType == erofs.ModeDir && isACL(x.Value)
	case erofs.PrefixACLAccess:
		return ok && mode&erofs.ModeType != erofs.ModeSymlink && isACL(x.Value)
	}
	return ok
}

// isACL tells whether a value has the form of an ACL: version 2 and entries of eight bytes. What the entries mean, the
// kernel checks.
func isACL(v string) bool {
	return len(v) >= 4 && len(v) <= 4+8*1024 && len(v)%8 == 4 && v[:4] == "\x02\x00\x00\x00"
}

// encodeXattrs gives the bytes that follow an inode: none, or the header and the entries in ascending order.
func encodeXattrs(xs []toc.Xattr) []byte {
	if len(xs) == 0 {
		return nil
	}
	sort.Slice(xs, func(i, j int) bool {
		pi, ri, _ := prefixOf(xs[i].Name)
		pj, rj, _ := prefixOf(xs[j].Name)
		return pi < pj || pi == pj && ri < rj
	})
	b := make([]byte, erofs.XattrHeaderSize)
	for _, x := range xs {
		prefix, rest, _ := prefixOf(x.Name)
		b = append(b, byte(len(rest)), prefix)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(x.Value)))
		b = append(b, rest...)
		b = append(b, x.Value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}
