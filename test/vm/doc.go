// Package vm boots a machine that the host may not be: Debian's kernel 6.1, the oldest that Brig supports, with control groups
// of version 2 and all controllers, AppArmor or SELinux (with Debian's policy and the types of dist/selinux), and ext4 with project quotas and fs-verity, in QEMU without hardware support.
// The tests that run in there are those of package guest; each is a subtest of the test that boots.
//
// A machine has two disks besides its root: /dev/vdb, plain ext4 at /data, where the engines' directories are, and
// /dev/vdc, ext4 with its features project (quotas on) and verity, at /quota. TMPDIR says where an engine of a test has its directory.
//
// One machine has Debian's systemd as process 1, in a root file system of mmdebstrap's (apt-get install mmdebstrap).
//
// To add a test, write one in package guest with a name that a machine's pattern has (vm_test.go), and run it alone:
//
//	BRIG_VM_RUN=TestKernel61Life make test-vm
package vm
