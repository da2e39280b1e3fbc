// Package birth turns an OCI configuration into lists of system calls that a child executes: the birth of a container,
// the entry of a process into one, and the entry of a hook. The lists are those of package plan, carried out by package
// clone; what the engine's own containers do not have (hooks, a start in a second process, mounts, devices and namespaces
// as somebody else wants them, containers without a user namespace) is why the composition is another.
//
// Zone: brig-oci (root). Making a list is pure. Input: a configuration that package config has checked, and the file system
// of a container, which is a stranger's: names in it are resolved by openat2 below its root and nowhere else.
// Output: a list; by [Begin], a child that carries it out, gate by gate.
//
//	stage 0   unreadable; cgroups; limits above the caller's; namespaces by path; the user namespace; clone3
//	stage 1   session, keyring; the root on its own path, where hooks look for it; mounts; devices; terminal
//	  gate    "built": the mounts are looked at; hooks prestart, createRuntime, createContainer; the terminal is taken
//	          sysctls; masks; pivot; working directory; ids; the program is found
//	  gate    "ready": create ends here, and the child waits at the FIFO of start; run goes on
//	          labels, no_new_privs, seccomp; execve
//
// Spec: OCI runtime-spec 1.3.
// Answers: A3 (CVE-2019-5736, CVE-2021-30465, CVE-2024-21626, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
package birth
