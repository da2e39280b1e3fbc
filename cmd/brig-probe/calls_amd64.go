package main

import "golang.org/x/sys/unix"

// onlyHere are requests that amd64 alone has: ports of the hardware, and code of 16 bits (CVE-2015-5157). A child makes
// those that would succeed.
func onlyHere() []request {
	return []request{
		{"iopl", unix.SYS_IOPL, [6]uintptr{nonsense}, e(unix.EINVAL), noCap, false},
		{"ioperm", unix.SYS_IOPERM, [6]uintptr{minusOne, 1, 1}, e(unix.EINVAL), noCap, false},
		{"modify_ldt", unix.SYS_MODIFY_LDT, [6]uintptr{0, 0, 0}, e(0), noCap, true},
	}
}
