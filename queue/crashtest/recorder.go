package crashtest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A recorder is a disk whose every write and flush is an event, and a file
// whose every write is one, in one order. It is served as two files of a FUSE
// file system; the kernel keeps nothing of either back.
type recorder struct {
	mu     sync.Mutex
	now    *disk
	events []Event
	on     bool
	deaf   bool // to flushes: a disk that lies about them

	server *fuse.Server
	dir    string
}

// openRecorder serves a recorder at dir, which is there and empty. Nothing is
// recorded before start.
func openRecorder(dir string) (*recorder, error) {
	r := &recorder{dir: dir, now: &disk{}}
	server, err := fs.Mount(dir, &recorderRoot{r: r}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, AllowOther: true, MaxWrite: 1 << 20, FsName: "crashtest", Name: "crashtest",
	}})
	if err != nil {
		return nil, fmt.Errorf("mount recorder at %s: %w", dir, err)
	}
	r.server = server
	return r, nil
}

func (r *recorder) diskPath() string { return filepath.Join(r.dir, diskFile) }
func (r *recorder) linePath() string { return filepath.Join(r.dir, lineFile) }

const (
	diskFile = "disk.img"
	lineFile = "lines"
)

// start makes d the disk and records from here on.
func (r *recorder) start(d *disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.events, r.on = d.clone(), nil, true
}

// stop returns what was recorded since start.
func (r *recorder) stop() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.events
}

// effect notes that the gateway is in another state.
func (r *recorder) effect(state int) {
	r.add(Event{Kind: Effect, State: state})
}

func (r *recorder) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		r.events = append(r.events, e)
	}
}

func (r *recorder) close() error {
	if err := r.server.Unmount(); err != nil {
		return fmt.Errorf("unmount recorder: %w", err)
	}
	return nil
}

// recorderRoot is the directory of the two files.
type recorderRoot struct {
	fs.Inode

	r *recorder
}

// OnAdd is fs.NodeOnAdder's.
func (n *recorderRoot) OnAdd(ctx context.Context) {
	n.AddChild(diskFile, n.NewPersistentInode(ctx, &diskNode{r: n.r}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2}), true)
	n.AddChild(lineFile, n.NewPersistentInode(ctx, &lineNode{r: n.r}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 3}), true)
}

// A diskNode is the disk.
type diskNode struct {
	fs.Inode

	r *recorder
}

// Getattr is fs.NodeGetattrer's.
func (n *diskNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, uint64(len(n.r.now.blocks)*blockSize), blockSize
	return 0
}

// Setattr is fs.NodeSetattrer's: nothing changes.
func (n *diskNode) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

// Open is fs.NodeOpener's. The kernel caches nothing of the file.
func (n *diskNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { //nolint:ireturn // go-fuse's
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read is fs.NodeReader's.
func (n *diskNode) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) { //nolint:ireturn // go-fuse's
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	return fuse.ReadResultData(dest[:n.r.now.read(off, dest)]), 0
}

// Write is fs.NodeWriter's.
func (n *diskNode) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	if off < 0 || off+int64(len(data)) > int64(len(n.r.now.blocks)*blockSize) {
		return 0, syscall.ENOSPC
	}
	n.r.now.write(off, data)
	if n.r.on {
		n.r.events = append(n.r.events, Event{Kind: Write, Off: off, Data: append([]byte(nil), data...)})
	}
	return uint32(len(data)), 0
}

// Fsync is fs.NodeFsyncer's: a flush of the disk.
func (n *diskNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if !n.r.deaf {
		n.r.add(Event{Kind: Flush})
	}
	return 0
}

// A lineNode takes the workload's lines.
type lineNode struct {
	fs.Inode

	r *recorder
}

// Getattr is fs.NodeGetattrer's.
func (n *lineNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	return 0
}

// Setattr is fs.NodeSetattrer's: nothing changes.
func (n *lineNode) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

// Open is fs.NodeOpener's. The kernel caches nothing of the file.
func (n *lineNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { //nolint:ireturn // go-fuse's
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Write is fs.NodeWriter's: one line, wherever it is written to.
func (n *lineNode) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	n.r.add(Event{Kind: Tell, Data: append([]byte(nil), data...)})
	return uint32(len(data)), 0
}

var (
	_ fs.NodeOnAdder   = (*recorderRoot)(nil)
	_ fs.NodeGetattrer = (*diskNode)(nil)
	_ fs.NodeSetattrer = (*diskNode)(nil)
	_ fs.NodeOpener    = (*diskNode)(nil)
	_ fs.NodeReader    = (*diskNode)(nil)
	_ fs.NodeWriter    = (*diskNode)(nil)
	_ fs.NodeFsyncer   = (*diskNode)(nil)
	_ fs.NodeGetattrer = (*lineNode)(nil)
	_ fs.NodeSetattrer = (*lineNode)(nil)
	_ fs.NodeOpener    = (*lineNode)(nil)
	_ fs.NodeWriter    = (*lineNode)(nil)
)
