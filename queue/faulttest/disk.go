package faulttest

import (
	"os"
	"path/filepath"
	"testing"
)

// Disk mounts an empty folder, until the test ends: what is written at the folder
// at is a disk's, and below is what that has kept. It skips the test where Mount
// cannot be.
func Disk(tb testing.TB) (disk *FS, below, at string) {
	tb.Helper()
	dir := tb.TempDir()
	below, at = filepath.Join(dir, "below"), filepath.Join(dir, "at")
	for _, d := range []string{below, at} {
		if err := os.Mkdir(d, 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	disk, err := Mount(below, at)
	if err != nil {
		tb.Skipf("needs root, or fusermount3, and /dev/fuse: %v", err)
	}
	tb.Cleanup(func() {
		if err := disk.Close(); err != nil {
			tb.Error(err)
		}
	})
	return disk, below, at
}
