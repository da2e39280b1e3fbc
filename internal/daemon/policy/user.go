package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire"
)

// maxID is the highest id of a sandbox: its range has 65,536.
const maxID = 65535

// resolved is a user with what belongs to it.
type resolved struct {
	wire.User
	home string
}

// resolveUser reads USER[:GROUP] against the image's users and groups.
//
// A number is an id and is never looked up as a name, and a name is never read as a number (CVE-2016-3697,
// CVE-2026-46680, CVE-2026-30892): an image can hold an entry "1000:x:0:0:…" and gains nothing.
func resolveUser(spec string, img *image.Image) (resolved, error) {
	u := resolved{home: "/"}
	name, group, _ := strings.Cut(spec, ":")
	hasGroup := group != "" // "0:" names none, as in Docker
	if strings.Contains(group, ":") {
		return u, fmt.Errorf("must be NAME|UID[:GROUP|GID]")
	}
	if name == "" {
		name = "0"
	}
	entry, err := findUser(name, img.Users)
	if err != nil {
		return u, err
	}
	u.UID, u.GID = entry.UID, entry.GID
	if entry.Home != "" {
		u.home = entry.Home
	}
	if hasGroup {
		if u.GID, err = findGroup(group, img.Groups); err != nil {
			return u, err
		}
	}
	// Its own group is among the others as well, or a file that this group alone may not read would be read by a program
	// that has changed its group (CVE-2022-36109).
	u.Groups = []uint32{u.GID}
	if entry.Name != "" && !hasGroup {
		for _, g := range img.Groups {
			if slices.Contains(g.Members, entry.Name) && g.GID <= maxID && !slices.Contains(u.Groups, g.GID) {
				u.Groups = append(u.Groups, g.GID)
			}
		}
	}
	return u, nil
}

// findUser gives the entry of a name, or of an id; an id without an entry belongs to group 0, as in Docker.
func findUser(s string, users []image.User) (image.User, error) {
	id, isNumber, err := number(s)
	if err != nil {
		return image.User{}, err
	}
	for _, u := range users {
		if isNumber && u.UID == id || !isNumber && u.Name == s {
			if u.UID > maxID || u.GID > maxID {
				return u, fmt.Errorf("the image gives it the ids %d:%d; ids end at %d", u.UID, u.GID, maxID)
			}
			return u, nil
		}
	}
	if isNumber {
		return image.User{UID: id}, nil
	}
	return image.User{}, NoUser(fmt.Sprintf("unable to find user %s: no matching entries in the image's passwd file", clip(s)))
}

// NoUser says that the image has no user of a name. An exec fails by it when it is started, as in Docker.
type NoUser string

func (n NoUser) Error() string { return string(n) }

func findGroup(s string, groups []image.Group) (uint32, error) {
	id, isNumber, err := number(s)
	if err != nil || isNumber {
		return id, err
	}
	for _, g := range groups {
		if g.Name == s {
			if g.GID > maxID {
				return 0, fmt.Errorf("the image gives group %s the id %d; ids end at %d", clip(s), g.GID, maxID)
			}
			return g.GID, nil
		}
	}
	return 0, fmt.Errorf("unable to find group %s: no matching entries in the image's group file", clip(s))
}

// number tells whether s is written as a number (digits only, or a sign before digits) and reads it.
func number(s string) (uint32, bool, error) {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxID {
		return 0, true, fmt.Errorf("id %s: must be between 0 and %d", clip(s), maxID)
	}
	return uint32(n), true, nil
}

// addGroups appends --group-add.
func (c *collector) addGroups(u *wire.User, add []string, img *image.Image) {
	for _, g := range add {
		id, err := findGroup(g, img.Groups)
		if err != nil {
			c.invalid("--group-add", g, "%v", err)
			continue
		}
		if !slices.Contains(u.Groups, id) {
			u.Groups = append(u.Groups, id)
		}
	}
}
