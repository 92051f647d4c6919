package guest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest"
)

// act names what this program does in place of the emulator.
const act = "GUEST_TEST_ACT"

func TestMain(m *testing.M) {
	if what := os.Getenv(act); what != "" {
		emulate(what)
		return
	}
	m.Run()
}

// emulate says what a guest would, on the serial console and the line for
// results.
func emulate(what string) {
	var socket string
	for _, arg := range os.Args {
		if _, path, ok := strings.Cut(arg, "socket,id=results,path="); ok {
			socket = path
		}
	}
	console, results, _ := strings.Cut(what, "|")
	_, _ = fmt.Fprintln(os.Stdout, console)
	switch results {
	case "":
		return
	case "crash":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		panic(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprint(conn, strings.ReplaceAll(results, "$", guest.Mark))
	if !strings.HasSuffix(results, "bye\n") {
		_, _ = bufio.NewReader(conn).ReadByte() // hangs, until it is killed
	}
}

func TestMachineIsJudgedByKernelAndTests(t *testing.T) {
	const passed = "$begin p\n--- PASS: TestGuestA (0.10s)\n$end p 0 1\n$bye\n"
	for _, c := range []struct {
		name    string
		act     string
		timeout time.Duration
		shown   string
		err     string
	}{
		{"all is well", "[    1.0] booting|" + passed, time.Minute, "1 packages passed", ""},
		{"a warning fails nothing", "[ 1.0] WARNING: CPU: 0 PID: 7 at drivers/media/x.c:1|" + passed, time.Minute, "THE KERNEL WARNED: [ 1.0] WARNING: CPU: 0", ""},
		{"an oops on amd64", "[ 1.0] BUG: kernel NULL pointer dereference, address: 0|" + passed, time.Minute, "NULL pointer", "the kernel broke: [ 1.0] BUG: kernel NULL"},
		{"another", "[ 1.0] Oops: 0002 [#1] PREEMPT SMP|" + passed, time.Minute, "Oops", "the kernel broke"},
		{"an oops on arm64", "[ 1.0] Internal error: Oops: 96000004 [#1] SMP|" + passed, time.Minute, "Oops", "the kernel broke"},
		{"a fault", "[ 1.0] general protection fault, probably for non-canonical address|" + passed, time.Minute, "fault", "the kernel broke"},
		{"a panic", "[ 1.0] Kernel panic - not syncing: VFS: unable to mount|", time.Minute, "not syncing", "the kernel broke: [ 1.0] Kernel panic"},
		{"the guest ends before it said anything", "[ 1.0] init: no such file|", time.Minute, "init: no such file", "without a word of p"},
		{"the emulator dies", "[ 1.0] booting|crash", time.Minute, "booting", "signal: killed"},
		{"the guest hangs", "[ 1.0] booting|$begin p\n", 5 * time.Second, "booting", "no end after 5s"},
		{"a test fails", "[ 1.0] booting|$begin p\n--- FAIL: TestGuestA (0.10s)\n$end p 1 1\n$bye\n", time.Minute, "FAIL\tp", "failed: p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			bin, work := t.TempDir(), t.TempDir()
			if err := os.Symlink(self, filepath.Join(bin, "qemu-system-x86_64")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin)
			t.Setenv(act, c.act)
			log := filepath.Join(work, "console.log")
			var out strings.Builder
			err = guest.Boot(t.Context(), work, log, c.timeout, []string{"p"}, &out)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("verdict %v, want %q", err, c.err)
			}
			if !strings.Contains(out.String(), c.shown) {
				t.Errorf("shown %q, want %q in it", out.String(), c.shown)
			}
			console, _, _ := strings.Cut(c.act, "|")
			if got, err := os.ReadFile(log); err != nil || string(got) != console+"\n" {
				t.Errorf("the log is %q, %v", got, err)
			}
		})
	}
}

func TestMachineWithoutAnEmulator(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := guest.Boot(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "log"), time.Minute, nil, io.Discard); err == nil {
		t.Error("no error without an emulator")
	}
	err := guest.Run(t.Context(), guest.Options{Arch: guest.ARM64}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "qemu-system-aarch64") || !strings.Contains(err.Error(), ".tools/setup guest") {
		t.Errorf("got %v, want what is lacking and what installs it", err)
	}
}
