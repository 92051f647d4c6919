package faulttest_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"livekiosk/queue/faulttest"
)

// TestFaultsComeAsTheyWereAsked uses the file system as any program would.
func TestFaultsComeAsTheyWereAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(b.at, "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func() error { _, err := f.WriteAt(make([]byte, 4096), 0); return err }
	for _, tt := range []struct {
		name  string
		fault faulttest.Fault
		calls []func() error
		fail  []bool
	}{
		{"once is once", faulttest.Fault{At: 1, Errno: syscall.ENOSPC, Span: faulttest.Once}, []func() error{write, write, write}, []bool{false, true, false}},
		{"kept is that kind from then on", faulttest.Fault{At: 1, Errno: syscall.ENOSPC, Span: faulttest.Kept}, []func() error{write, write, f.Sync, write}, []bool{false, true, false, true}},
		{"gone is everything from then on", faulttest.Fault{At: 1, Errno: syscall.EIO, Span: faulttest.Gone}, []func() error{f.Sync, write, f.Sync}, []bool{false, true, true}},
		{"a short write fails with what is left", faulttest.Fault{At: 0, Errno: syscall.EDQUOT, Span: faulttest.Once, Short: true}, []func() error{write, write}, []bool{true, false}},
		{"truncating", faulttest.Fault{Errno: syscall.EIO}, []func() error{func() error { return f.Truncate(10_000) }}, []bool{true}},
		{"allocating", faulttest.Fault{Errno: syscall.ENOSPC}, []func() error{func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, 10_000) }}, []bool{true}},
		{"creating", faulttest.Fault{Errno: syscall.ENOSPC}, []func() error{func() error {
			f, err := os.Create(path + "2")
			return errors.Join(err, f.Close())
		}}, []bool{true}},
		{"making a directory", faulttest.Fault{Errno: syscall.ENOSPC}, []func() error{func() error { return os.Mkdir(path+"3", 0o700) }}, []bool{true}},
		{"renaming", faulttest.Fault{Errno: syscall.ENOSPC}, []func() error{func() error { return os.Rename(path, path+"4") }}, []bool{true}},
		{"removing", faulttest.Fault{Errno: syscall.EIO}, []func() error{func() error { return os.Remove(path) }}, []bool{true}},
		{"asking for room", faulttest.Fault{Errno: syscall.EIO}, []func() error{func() error { return syscall.Statfs(b.at, &syscall.Statfs_t{}) }}, []bool{true}},
		{"flushing a directory", faulttest.Fault{Errno: syscall.EIO}, []func() error{func() error {
			dir, err := os.Open(b.at)
			return errors.Join(err, dir.Sync(), dir.Close())
		}}, []bool{true}},
	} {
		b.fs.Arm(tt.fault)
		for i, call := range tt.calls {
			if err := call(); errors.Is(err, tt.fault.Errno) != tt.fail[i] || !tt.fail[i] && err != nil {
				t.Errorf("%s: call %d: %v", tt.name, i, err)
			}
		}
		if _, hit := b.fs.Lift(); hit == (faulttest.Op{}) {
			t.Errorf("%s: nothing was hit", tt.name)
		}
	}
}

// TestAFlushThatFailsMayLoseWhatIsReadBack is what makes a flush that succeeds
// later worth nothing.
func TestAFlushThatFailsMayLoseWhatIsReadBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(b.at, "file")
	b.fs.Arm(faulttest.Fault{At: -1, Lost: true})
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	// Whole pages: of others the kernel does not keep what it did not read.
	save := func(word string) error {
		_, err := f.WriteAt(bytes.Repeat([]byte(word), 1024), 0)
		return errors.Join(err, f.Sync())
	}
	if err := save("one "); err != nil {
		t.Fatal(err)
	}
	b.fs.Arm(faulttest.Fault{At: 1, Errno: syscall.EIO, Span: faulttest.Once, Lost: true})
	if err := save("two "); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the flush: %v", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Errorf("the next flush: %v", err)
	}
	g, err := os.Open(path) // as a program does that starts anew
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got, err := io.ReadAll(g); err != nil || !bytes.HasPrefix(got, []byte("two ")) {
		t.Errorf("read back: %.8q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(b.below, "file")); err != nil || !bytes.HasPrefix(got, []byte("one ")) {
		t.Errorf("on the disk: %.8q, %v", got, err)
	}
}
