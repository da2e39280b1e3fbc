package main

const haveInt80 = true

// int80Getpid is getpid through the 32-bit entry: the process id, or a negative error number.
func int80Getpid() int64
