package guest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// An archive writes an initramfs: a cpio archive of the "newc" kind, as the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst has it.
// Everything in it belongs to root and has no time. Folders come by themselves.
type archive struct {
	w    *bufio.Writer
	ino  uint32
	made map[string]bool
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriter(w), made: map[string]bool{".": true, "/": true}}
}

// folder makes a folder and those above it.
func (a *archive) folder(name string) error {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	if a.made[name] {
		return nil
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	a.made[name] = true
	return a.entry(name, 0o040755, 0, strings.NewReader(""))
}

// data makes a file that is no program.
func (a *archive) data(name, data string) error {
	return a.file(name, 0o644, int64(len(data)), strings.NewReader(data))
}

// copyFile copies a file of this machine. Links are followed.
func (a *archive) copyFile(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return a.file(name, info.Mode(), info.Size(), f)
}

func (a *archive) file(name string, mode os.FileMode, size int64, data io.Reader) error {
	name = strings.TrimPrefix(name, "/")
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	return a.entry(name, 0o100000|uint32(mode.Perm()), size, data)
}

// close writes the end, and not more: the writer below stays open.
func (a *archive) close() error {
	if err := a.entry("TRAILER!!!", 0, 0, strings.NewReader("")); err != nil {
		return err
	}
	return a.w.Flush()
}

func (a *archive) entry(name string, mode uint32, size int64, data io.Reader) error {
	if size < 0 || size > 1<<32-1 {
		return fmt.Errorf("%s: %d bytes do not fit into an initramfs", name, size)
	}
	a.ino++
	links := 1
	if mode&0o040000 != 0 && mode&0o100000 == 0 {
		links = 2
	}
	head, err := fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	if err != nil {
		return err
	}
	if err = a.pad(head); err != nil {
		return err
	}
	n, err := io.Copy(a.w, data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n != size {
		return fmt.Errorf("%s: %d bytes, not %d: it changed meanwhile", name, n, size)
	}
	return a.pad(int(size % 4))
}

// pad fills up to a multiple of four bytes.
func (a *archive) pad(n int) error {
	_, err := a.w.WriteString("\x00\x00\x00"[:-n&3])
	return err
}
