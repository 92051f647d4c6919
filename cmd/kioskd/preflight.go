package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
)

// preflightFlag, as the only argument, makes this program the child that reads
// an outbox before the daemon does: see preflight.
const preflightFlag = "-preflight"

// What the child says by its exit code. 2 is Go's own, of a panic or a fault.
const (
	preflightSound = 0
	preflightFault = 1
	preflightCrash = 2
	preflightBad   = 65
	preflightNewer = 76
)

// How long the child may take. The slowest flash that a kiosk is built with
// reads 20 MiB in a second.
const (
	preflightPatience = 10 * time.Second
	preflightSpeed    = 20 << 20 // bytes per second
	preflightMost     = 100 * time.Second
	preflightEnd      = time.Second // for a child that was killed to end
)

// preflightStack is how deep the child may go, in bytes: one that goes in
// circles ends before it takes the memory that the daemon has, too.
const preflightStack = 16 << 20

// A preflight has a child process read an outbox, which bbolt maps and trusts,
// before the daemon does: whatever a damaged file does to the child, the
// daemon stays up.
type preflight struct {
	program string   // to run
	args    []string // its arguments
	limit   func(size int64) time.Duration
}

// newPreflight runs this program, also where the file that it was started from
// has been replaced since.
func newPreflight() preflight {
	return preflight{program: "/proc/self/exe", args: []string{preflightFlag}, limit: func(size int64) time.Duration {
		return min(preflightPatience+time.Duration(size/preflightSpeed)*time.Second, preflightMost)
	}}
}

// run implements queue.Options.Preflight: nil for a file that the child could
// read, kiosk.ErrQueueBad if it found damage or was brought down by it,
// kiosk.ErrQueueNewer as the child says. Another error says nothing about the
// file: the child did not start, was killed or took too long.
//
// The child shares the open file description of f, and so the lock on it. It
// must not unlock, and ends without closing the database.
func (p preflight) run(ctx context.Context, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("outbox pre-flight: %w", err)
	}
	limit := p.limit(info.Size())
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := &head{most: 8 << 10}
	cmd := exec.CommandContext(within, p.program, p.args...)
	cmd.ExtraFiles = []*os.File{f} // becomes descriptor 3
	cmd.Stderr = said
	cmd.WaitDelay = preflightEnd
	cmd.Env = append(os.Environ(), "GOTRACEBACK=single")               // by whose words a crash is known
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a child left over would hold the lock
	ended := make(chan error, 1)
	go func() {
		// The signal comes when this thread ends, so it stays until the child has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- cmd.Run()
	}()
	select {
	case err = <-ended:
	case <-within.Done():
		// One that waits for a dying disk cannot even be killed.
		t := time.NewTimer(2 * preflightEnd)
		defer t.Stop()
		select {
		case err = <-ended:
		case <-t.C:
			return fmt.Errorf("outbox pre-flight: the process that reads the file hangs and cannot be ended: %w", context.Cause(within))
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("outbox pre-flight: %w", context.Cause(ctx))
	case within.Err() != nil && err != nil:
		return fmt.Errorf("outbox pre-flight: reading %d bytes took longer than %v: is the disk failing?", info.Size(), limit)
	}
	if err = verdict(err, said.String()); err != nil {
		return fmt.Errorf("outbox pre-flight: %w", err)
	}
	return nil
}

// verdict says what the end of a child, and what it said, mean for the file.
func verdict(end error, said string) error {
	exit, ran := errors.AsType[*exec.ExitError](end)
	if !ran {
		return end // nil, or it did not start
	}
	why := last(said)
	status, _ := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		s := status.Signal()
		switch {
		case slices.Contains([]syscall.Signal{syscall.SIGBUS, syscall.SIGSEGV, syscall.SIGFPE}, s):
			return fmt.Errorf("%w: reading it ended a process with signal %d (%s)", kiosk.ErrQueueBad, int(s), s)
		case s == syscall.SIGKILL:
			return errors.New("the process that reads the file was killed: is memory short?")
		default:
			return fmt.Errorf("the process that reads the file ended with signal %d (%s)", int(s), s)
		}
	}
	switch code := exit.ExitCode(); code {
	case preflightBad:
		return fmt.Errorf("%w: %s", kiosk.ErrQueueBad, why)
	case preflightNewer:
		return fmt.Errorf("%w: %s", kiosk.ErrQueueNewer, why)
	case preflightCrash:
		first, _, _ := strings.Cut(said, "\n")
		if crashed(said) {
			return fmt.Errorf("%w: reading it crashed a process: %s", kiosk.ErrQueueBad, first)
		}
		return fmt.Errorf("the process that reads the file could not go on: %s", first)
	default:
		return fmt.Errorf("the process that reads the file ended with code %d: %s", code, cmp.Or(why, "it said nothing"))
	}
}

// crashed reports whether what a Go process said last is a panic or a fault,
// which a file can bring about, and not a lack of memory or of threads.
func crashed(said string) bool {
	for _, word := range []string{"panic: ", "[signal SIG", "SIGBUS: ", "SIGSEGV: ", "fatal error: stack overflow", "fatal error: fault"} {
		if strings.Contains(said, word) {
			return true
		}
	}
	return false
}

// last returns the last line of what was said.
func last(said string) string {
	said = strings.TrimSpace(said)
	return said[strings.LastIndexByte(said, '\n')+1:]
}

// A head keeps the first bytes that are written to it.
type head struct {
	bytes.Buffer

	most int
}

func (h *head) Write(b []byte) (int, error) {
	if room := h.most - h.Len(); room > 0 {
		h.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// preflighting reports whether this process was started as the child.
func preflighting(args []string) bool { return len(args) == 2 && args[1] == preflightFlag }

// preflightChild reads the outbox that is descriptor 3 and returns the exit
// code. The process must end then, since the file stays open.
func preflightChild(out io.Writer) int {
	if info, err := os.Stat("/proc/self/fd/3"); err != nil || !info.Mode().IsRegular() {
		_, _ = io.WriteString(out, "kioskd -preflight is run by kioskd itself, with an outbox as descriptor 3\n") // nobody else to tell
		return exitUsage
	}
	debug.SetMaxStack(preflightStack)
	err := queue.Preflight(context.Background(), os.NewFile(3, "outbox"))
	if err != nil {
		_, _ = io.WriteString(out, strings.ReplaceAll(err.Error(), "\n", "; ")+"\n") // nor here
	}
	switch {
	case err == nil:
		return preflightSound
	case errors.Is(err, kiosk.ErrQueueBad):
		return preflightBad
	case errors.Is(err, kiosk.ErrQueueNewer):
		return preflightNewer
	default:
		return preflightFault
	}
}
