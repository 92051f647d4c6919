package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/camera/jpeg"
)

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

// eraseFreed has C code leave nothing behind in memory that it frees.
func eraseFreed() { jpeg.EraseFreed() }

const (
	// lull is how long after an upload memory is washed: several uploads in a
	// row are one job.
	lull = 10 * time.Second
	// parting is how long connections that were told to close may take.
	parting = 100 * time.Millisecond
)

// wash takes care, after each session and each upload, of what this program's
// own buffers are not: they are erased where they are let go of, but net/http
// keeps parts of an upload in buffers that nobody else can reach. Its idle
// connections to the store are closed, the garbage collector takes what they
// and the pools held, and its pages go back to the kernel, which gives out none
// that is not zeroed. A wash takes some ten milliseconds.
func (d *daemon) wash(ctx context.Context) error {
	var due <-chan time.Time // nil: nothing to wash
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.left:
			due = time.After(0)
		case <-d.sent:
			if due == nil {
				due = time.After(lull)
			}
		case <-due:
			due = nil
			d.client.CloseIdle()
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(parting):
			}
			runtime.GC() // a pool lets go in the second collection after its use
			debug.FreeOSMemory()
		}
	}
}

// hint signals ch, where one signal stands for many.
func hint(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
