//go:build !linux

package check

// gather: there is no engine here whose needs could be looked at.
func gather() Facts { return Facts{} }
