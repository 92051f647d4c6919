package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Missing tells what this machine lacks for crash images, nil if nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("crash images need root: mounting, loop devices and FUSE")
	}
	header, sets := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	if sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("crash images need CAP_SYS_ADMIN, which root does not have in most containers")
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("crash images need %s: %w", device, err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("crash images need %s: %w", device, err)
		}
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return fmt.Errorf("crash images need mkfs.ext4 (Debian: e2fsprogs): %w", err)
	}
	return nil
}

// makeFileSystem returns a disk of this many bytes with an empty ext4, as a
// kiosk's data partition has it: without fast_commit.
func makeFileSystem(ctx context.Context, path string, size int64) (*disk, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make file system: %w", err)
	}
	err = f.Truncate(size)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("make file system: %w", err)
	}
	// Everything is written at once: what is made lazily would be written while
	// the workload runs.
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-b", strconv.Itoa(blockSize), "-J", "size=4", "-O", "^fast_commit,^resize_inode",
		"-m", "0", "-N", "64", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path)
	if text, failed := mkfs.CombinedOutput(); failed != nil {
		return nil, fmt.Errorf("make file system: mkfs.ext4: %w: %s", failed, text)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("make file system: %w", err)
	}
	return newDisk(content), os.Remove(path)
}

// A loop is a block device over a file. It goes with the descriptor that this
// process has of it, and so with the process.
type loop struct {
	device *os.File
}

// attach makes a loop device of a file.
func attach(path string) (*loop, error) {
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", path, err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", path, err)
	}
	defer control.Close()
	for range 100 { // another process may take the free one first
		l, err := attachTo(control, backing)
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return l, err
		}
	}
	return nil, fmt.Errorf("attach %s: no loop device is free", path)
}

func attachTo(control, backing *os.File) (*loop, error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("find a free loop device: %w", err)
	}
	name := "/dev/loop" + strconv.Itoa(n)
	if err = unix.Mknod(name, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(n)))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	device, err := os.OpenFile(name, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", backing.Name(), err)
	}
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("attach %s to %s: %w", backing.Name(), name, err), device.Close())
	}
	return &loop{device: device}, nil
}

// forget drops what the kernel cached of the device, whose file was changed
// behind its back.
func (l *loop) forget() error {
	if err := unix.IoctlSetInt(int(l.device.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("flush %s: %w", l.device.Name(), err)
	}
	return nil
}

func (l *loop) detach() error { return l.device.Close() }

// mount mounts the ext4 of the device; its journal is recovered.
func (l *loop) mount(dir string) error {
	if err := unix.Mount(l.device.Name(), dir, "ext4", unix.MS_NOATIME, "nodiscard"); err != nil {
		return fmt.Errorf("mount %s: %w", l.device.Name(), err)
	}
	return nil
}

// unmount waits until the file system is no longer used.
func unmount(ctx context.Context, dir string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 2500 {
		err := unix.Unmount(dir, 0)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return fmt.Errorf("unmount %s: it is still used after five seconds", dir)
}
