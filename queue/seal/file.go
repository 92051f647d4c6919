package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrOwner means that a file or directory of keys belongs to another user than
// this process's or root. Even root is refused: what root writes there, its
// owner cannot read.
var ErrOwner = errors.New("belongs to another user")

// openPrivate opens a file that holds secrets. It must be regular, belong to
// this user or root, and have none of the bits of others in its mode.
func openPrivate(path string, flag int, others fs.FileMode) (_ *os.File, err error) {
	// O_NONBLOCK: opening a pipe by mistake must not hang the start.
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", path)
	case info.Mode().Perm()&others != 0:
		return nil, fmt.Errorf("%s: mode %04o lets others at it: it may have leaked; replace it, or chmod 0600 if it has not", path, info.Mode().Perm())
	case !ours(info):
		return nil, fmt.Errorf("%s: %w", path, ErrOwner)
	}
	return f, nil
}

// ours reports whether a file belongs to this process's user or to root.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// OpenDir opens a directory that holds what must not get lost: it makes dir and
// its parents, durably and with mode 0700, where they are missing.
func OpenDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	parent, err := OpenDir(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := parent.Sync(); err != nil {
		return nil, err
	}
	return os.Open(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// fdatasync flushes what f holds, and its size if that changed.
func fdatasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// shred overwrites the file at path with noise where it lies, durably, and
// removes its name; the caller flushes the directory. A file that is not there
// is none to shred; of one that is not regular only the name goes.
func shred(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		if err := overwrite(path); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	noise := make([]byte, 32<<10)
	for left, at := info.Size(), int64(0); left > 0; {
		n := min(left, int64(len(noise)))
		rand.Read(noise[:n])
		if _, err := f.WriteAt(noise[:n], at); err != nil {
			return err
		}
		left, at = left-n, at+n
	}
	return f.Sync()
}
