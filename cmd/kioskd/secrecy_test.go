package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk/api"
)

// build makes the daemon as it is shipped: without what instruments a test.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kioskd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build kioskd: %v\n%s", err, out)
	}
	return path
}

// A processUnderTest is the daemon in a process of its own.
type processUnderTest struct {
	*daemonUnderTest

	process *os.Process
	dir     string // its working folder
}

// spawn starts command with the lab's arguments after its own. The end of the
// test stops it; stop returns its exit code, -1 if a signal killed it.
func (l *lab) spawn(command []string, more ...string) *processUnderTest {
	l.t.Helper()
	d := &daemonUnderTest{t: l.t, client: api.NewClient(l.socket), socket: l.socket, log: &lockedBuffer{}}
	cmd := exec.Command(command[0], append(command[1:], l.args(more...)...)...)
	cmd.Dir, cmd.Stderr = l.t.TempDir(), d.log
	cmd.Env = append(append(os.Environ(), "GOTRACEBACK=crash"), l.env...) // have Go ask for a core, too
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	d.stop = sync.OnceValue(func() int {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // its exit code tells
		return cmd.ProcessState.ExitCode()
	})
	l.t.Cleanup(func() { d.stop() })
	return &processUnderTest{daemonUnderTest: d, process: cmd.Process, dir: cmd.Dir}
}

// generous runs a command with the largest core files that are allowed.
const generous = `ulimit -S -c "$(ulimit -H -c)"; exec "$0" "$@"`

// TestACrashLeavesNoCore has the daemon die by a signal that dumps, where
// another program that does leaves its core.
func TestACrashLeavesNoCore(t *testing.T) {
	control := t.TempDir()
	other := exec.CommandContext(t.Context(), "sh", "-c", generous, "sh", "-c", "kill -SEGV $$")
	other.Dir = control
	_ = other.Run() // it dies
	if len(left(t, control)) == 0 {
		t.Log("this system writes no core to a working folder: the test looks at the limits only")
	}

	d := newLab(t).spawn([]string{"sh", "-c", generous, build(t)})
	d.await("service", healthy)
	d.says(`"core_dumps":"none"`)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, core := strings.CutPrefix(line, "Max core file size"); core && strings.Join(strings.Fields(rest), " ") != "0 0 bytes" {
			t.Errorf("limits say %s", line)
		}
	}
	// To the first thread, which is Go's: one of a library's dies without a word.
	if err := unix.Tgkill(d.process.Pid, d.process.Pid, unix.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	if code := d.stop(); code != -1 || !strings.Contains(d.log.String(), "SIGSEGV") {
		t.Errorf("exit code %d, want to be killed by the signal\n%s", code, d.log.String())
	}
	if names := left(t, d.dir); len(names) > 0 {
		t.Errorf("the crash left %v", names)
	}
}

// left returns the names in a folder.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
