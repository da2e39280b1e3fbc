package compat

import "strings"

// State says what Brig does with an option.
type State string

// The states.
const (
	Works   State = "works"
	Refused State = "refused by policy"
	Missing State = "not supported"
)

// Entry is one field of the create request, one kind of value of it, or one option that never leaves the client.
type Entry struct {
	// Field is the path in the request as in JSON, with [] for what is in a list or a map; "?name" is a parameter of its
	// query; "" is an option of the client.
	Field string
	// Below are the fields inside Field that this entry covers, too. They are listed so that a new one is noticed.
	Below []string
	// Value says which values the entry is about; "" is every value that no other entry of the field is about.
	Value string
	// Flags set the field; the first is the one that refusals name.
	Flags []string
	// As is how a person writes it, where that is not the flag and the value.
	As    string
	State State
	// Kept marks a field that works without being part of what the warden is asked for: brigd acts on it, or shows it.
	Kept bool
	// Note says what is different from Docker where it works.
	Note string
	// Rule is the name of the rule that forbids it; Reason is a sentence without a capital; Instead is what to do.
	Rule, Reason, Instead string
}

// Key is what Lookup finds the entry by: FIELD, or FIELD=VALUE.
func (e *Entry) Key() string {
	if e.Value == "" {
		return e.Field
	}
	return e.Field + "=" + e.Value
}

// Option is the entry's option as a person writes it, or the name of its field.
func (e *Entry) Option() string {
	if len(e.Flags) > 0 {
		return e.Flags[0]
	}
	return strings.TrimPrefix(strings.TrimPrefix(e.Field, "HostConfig."), "NetworkingConfig.")
}

// Written is the entry as a person writes it.
func (e *Entry) Written() string {
	switch {
	case e.As != "":
		return e.As
	case e.Value == "" || len(e.Flags) == 0:
		return e.Option()
	case strings.HasPrefix(e.Value, "--"):
		return e.Value
	}
	return e.Option() + " " + e.Value
}

// Why is the reason of a refusal, with the rule if it is one.
func (e *Entry) Why() string {
	if e.State == Refused {
		return "the rule " + e.Rule + " forbids it: " + e.Reason
	}
	return "not supported: " + e.Reason
}

// Entries are all entries, by subject.
func Entries() []*Entry {
	var all []*Entry
	for _, list := range [][]Entry{program, files, networks, resources, namespaces, security, client} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// Lookup finds an entry by its key.
func Lookup(key string) (*Entry, bool) {
	for _, e := range Entries() {
		if e.Key() == key {
			return e, true
		}
	}
	return nil, false
}
