// Package faulttest is a file system whose operations fail when a test says so.
//
// It passes everything on to a folder, over FUSE, and counts: a test runs its
// work once to learn how many operations that takes, and then again with the
// n-th of them failing. The process under test must be another one than the
// one that serves: a page of a mapped file that waits for its own process
// waits for ever.
package faulttest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A Kind is a kind of operation that can fail.
type Kind string

// The kinds. What only reads names and attributes never fails and is not
// counted.
const (
	Write  Kind = "write"
	Sync   Kind = "sync"   // fsync, fdatasync, of files and directories
	Resize Kind = "resize" // truncate, ftruncate, fallocate
	Rename Kind = "rename"
	Open   Kind = "open" // of files, and creating them and directories
	Unlink Kind = "unlink"
	Statfs Kind = "statfs"
	Read   Kind = "read" // reads that the page cache does not answer, mapped pages too
)

// A Span is how long a fault lasts.
type Span string

// The spans.
const (
	Once Span = "once"
	Kept Span = "kept" // from then on, all operations of that kind
	Gone Span = "gone" // from then on, all operations
)

// A Fault says which operation fails and how. The zero Errno is none at all.
type Fault struct {
	At    int // index among the operations counted since Arm
	Errno syscall.Errno
	Span  Span

	// Short has a write store half of its bytes and say so, instead of failing.
	// The kernel asks for the rest with the next write, which fails.
	Short bool

	// Lost has a flush that fails lose what was written since the last one that
	// did not, although it is read back as written as long as the kernel keeps
	// it in memory: what Linux does when a disk cannot write. Of names nothing
	// is lost.
	Lost bool
}

func (f Fault) String() string {
	s := fmt.Sprintf("operation %d, %s, %s", f.At, f.Errno, f.Span)
	if f.Short {
		s += ", short"
	}
	if f.Lost {
		s += ", lost"
	}
	return s
}

// An Op is an operation that was counted.
type Op struct {
	Kind Kind
	Name string // of the file or directory, or of what is made, removed or renamed in it
}

// An FS is a mounted file system. It is safe for concurrent use.
type FS struct {
	server *fuse.Server

	mu    sync.Mutex
	fault Fault
	armed bool
	ops   []Op // counted since Arm
	hit   Op   // the first operation that failed; zero if none did yet
	shut  bool // the short write was given, and the rest fails
}

// Mount mounts the folder backing at the folder at. It needs root, or
// fusermount3, and /dev/fuse.
func Mount(backing, at string) (*FS, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: backing, Err: err}
	}
	f := &FS{}
	root := &fs.LoopbackRoot{Path: backing, Dev: st.Dev}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, f: f}
	root.RootNode = top
	hour := time.Hour // nobody else changes the folder
	server, err := fs.Mount(at, top, &fs.Options{
		EntryTimeout: &hour, AttrTimeout: &hour,
		MountOptions: fuse.MountOptions{
			DirectMount: true, FsName: "faulttest", Name: "faulttest", DisableXAttrs: true, ExplicitDataCacheControl: true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", at, err)
	}
	f.server = server
	return f, nil
}

// Close unmounts the file system, which nobody may use any more.
func (f *FS) Close() error {
	return f.server.Unmount()
}

// Arm has an operation fail, and counts anew.
func (f *FS) Arm(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.armed, f.hit, f.shut, f.ops = fault, true, Op{}, false, nil
}

// Lift ends all faults and returns the operations since Arm, and which of them
// failed first, the zero Op if none did.
func (f *FS) Lift() (ops []Op, hit Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return slices.Clone(f.ops), f.hit
}

// lossy reports whether what is flushed in vain is lost.
func (f *FS) lossy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault.Lost
}

// do counts an operation and returns how it fails: 0 if it does not. A short
// write is short and no error.
func (f *FS) do(kind Kind, name string) (errno syscall.Errno, short bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return 0, false
	}
	i := len(f.ops)
	op := Op{kind, name}
	f.ops = append(f.ops, op)
	switch {
	case f.fault.Errno == 0:
		return 0, false
	case f.shut:
		f.shut = f.fault.Span != Once
		return f.fault.Errno, false
	case i == f.fault.At:
		f.hit = op
		if kind == Write && f.fault.Short {
			f.shut = true
			return 0, true
		}
		return f.fault.Errno, false
	case i < f.fault.At || f.fault.Span == Once:
		return 0, false
	case f.fault.Span == Gone || kind == f.hit.Kind:
		return f.fault.Errno, false
	}
	return 0, false
}

// fails is do for what cannot be short.
func (f *FS) fails(kind Kind, name string) syscall.Errno {
	errno, _ := f.do(kind, name)
	return errno
}

// A node is a file or a directory.
type node struct {
	fs.LoopbackNode

	f *FS

	mu   sync.Mutex
	undo []change // since the last flush; kept in lossy file systems only
}

func (n *node) name() string {
	name, _ := n.Parent()
	return name
}

// A change is what a write replaced; zeros beyond the end of the file.
type change struct {
	off int64
	was []byte
}

// WrapChild implements fs.NodeWrapChilder.
//
//nolint:ireturn // what go-fuse asks for
func (n *node) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: fs.LoopbackNode{RootData: n.RootData}, f: n.f}
}

// Statfs implements fs.NodeStatfser.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	if errno := n.f.fails(Statfs, n.name()); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Statfs(ctx, out)
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.f.fails(Unlink, name); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.f.fails(Rename, name); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.f.fails(Open, name); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Create implements fs.NodeCreater.
//
//nolint:ireturn // what go-fuse asks for
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.f.fails(Open, name); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, h, _, errno := n.LoopbackNode.Create(ctx, name, readable(flags), mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	made, _ := inode.Operations().(*node)
	return inode, &file{LoopbackFile: loopback(h), n: made}, n.f.cache(), 0
}

// Open implements fs.NodeOpener.
//
//nolint:ireturn // what go-fuse asks for
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.f.fails(Open, n.name()); errno != 0 {
		return nil, 0, errno
	}
	h, _, errno := n.LoopbackNode.Open(ctx, readable(flags))
	if errno != 0 {
		return nil, 0, errno
	}
	return &file{LoopbackFile: loopback(h), n: n}, n.f.cache(), 0
}

// cache says whether the kernel keeps a file's pages when it is opened.
func (f *FS) cache() uint32 {
	if f.lossy() {
		return fuse.FOPEN_KEEP_CACHE
	}
	return 0
}

// readable has a file that is opened for writing be opened for reading, too:
// what a write replaces is read first.
func readable(flags uint32) uint32 {
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		flags = flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

func loopback(h fs.FileHandle) *fs.LoopbackFile {
	f, _ := h.(*fs.LoopbackFile)
	return f
}

// Setattr implements fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if _, resize := in.GetSize(); resize {
		if errno := n.f.fails(Resize, n.name()); errno != 0 {
			return errno
		}
	}
	return n.LoopbackNode.Setattr(ctx, h, in, out)
}

// OpendirHandle implements fs.NodeOpendirHandler.
//
//nolint:ireturn // what go-fuse asks for
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, how, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	d := &directory{f: n.f}
	d.FileReaddirenter, _ = h.(fs.FileReaddirenter)
	d.FileSeekdirer, _ = h.(fs.FileSeekdirer)
	d.FileReleasedirer, _ = h.(fs.FileReleasedirer)
	return d, how, 0
}

// A file is an open file.
type file struct {
	*fs.LoopbackFile

	n *node
}

// PassthroughFd implements fs.FilePassthroughFder: the kernel must ask.
func (*file) PassthroughFd() (int, bool) { return 0, false }

// Read implements fs.FileReader.
//
//nolint:ireturn // what go-fuse asks for
func (f *file) Read(ctx context.Context, b []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.n.f.fails(Read, f.n.name()); errno != 0 {
		return nil, errno
	}
	return f.LoopbackFile.Read(ctx, b, off)
}

// Write implements fs.FileWriter.
func (f *file) Write(ctx context.Context, b []byte, off int64) (uint32, syscall.Errno) {
	errno, short := f.n.f.do(Write, f.n.name())
	if errno != 0 {
		return 0, errno
	}
	if short {
		b = b[:len(b)/2]
	}
	if f.n.f.lossy() {
		if errno = f.note(ctx, off, len(b)); errno != 0 {
			return 0, errno
		}
	}
	return f.LoopbackFile.Write(ctx, b, off)
}

// note keeps what a write will replace.
func (f *file) note(ctx context.Context, off int64, n int) syscall.Errno {
	c := change{off: off, was: make([]byte, n)}
	was, errno := f.LoopbackFile.Read(ctx, c.was, off)
	if errno != 0 {
		return errno
	}
	b, status := was.Bytes(make([]byte, n))
	if !status.Ok() {
		return syscall.Errno(status)
	}
	copy(c.was, b)
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.undo = append(f.n.undo, c)
	return 0
}

// Fsync implements fs.FileFsyncer. The folder below is not flushed: no power
// fails there.
func (f *file) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	errno := f.n.f.fails(Sync, f.n.name())
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if errno != 0 {
		for _, c := range slices.Backward(f.n.undo) {
			if _, bad := f.LoopbackFile.Write(ctx, c.was, c.off); bad != 0 {
				return bad
			}
		}
	}
	f.n.undo = nil
	return errno
}

// Allocate implements fs.FileAllocater.
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := f.n.f.fails(Resize, "directory"); errno != 0 {
		return errno
	}
	return f.LoopbackFile.Allocate(ctx, off, size, mode)
}

// A directory is an open directory.
type directory struct {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer

	f *FS
}

// Fsyncdir implements fs.FileFsyncdirer.
func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno {
	return d.f.fails(Sync, "directory")
}
