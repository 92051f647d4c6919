package main

import "golang.org/x/sys/unix"

// forbidDumps sees to it that no crash writes this process's memory, which
// holds faces and keys, to a disk: no core file, no program that is piped one,
// and nobody but root who attaches. Whether it worked, dumps tells.
//
// The mark is lost by an exec, so every child that is this program sets it for
// itself; the limit is inherited.
func forbidDumps() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// dumps says what of a crash may come to lie on a disk, as the kernel has it.
func dumps() string {
	if on, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err == nil && on == 0 {
		return "none" // whatever the limit: the kernel looks here first
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err == nil && limit.Cur == 0 {
		return "piped only" // to the system's handler, if there is one
	}
	return "possible"
}
