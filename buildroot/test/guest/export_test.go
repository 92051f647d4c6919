package guest

import (
	"context"
	"io"
	"time"
)

// NewArchive and the methods below open the archive to tests.
func NewArchive(w io.Writer) *Archive { return &Archive{newArchive(w)} }

// An Archive is an archive.
type Archive struct{ a *archive }

// Data is data.
func (a *Archive) Data(name, data string) error { return a.a.data(name, data) }

// CopyTree is copyTree.
func (a *Archive) CopyTree(to, parent, name string) error { return a.a.copyTree(to, parent, name) }

// CopyFile is copyFile.
func (a *Archive) CopyFile(name, from string) error { return a.a.copyFile(name, from) }

// Close is close.
func (a *Archive) Close() error { return a.a.close() }

// Order returns the order in which the modules below a folder are loaded for
// one of them.
func Order(dir, name string) ([]string, error) {
	set, err := readModules(dir)
	if err != nil {
		return nil, err
	}
	return set.order(name)
}

// Judge judges what a guest said.
func Judge(out io.Writer, packages []string, lines ...string) error {
	r := newReport(out)
	for _, line := range lines {
		r.line(line)
	}
	return r.verdict(packages)
}

// Boot runs a machine for the packages of which its tests tell.
func Boot(ctx context.Context, work, log string, timeout time.Duration, packages []string, out io.Writer) error {
	m := machine{arch: AMD64, kernel: "vmlinuz", image: "initramfs", work: work, log: log}
	return m.run(ctx, timeout, packages, out)
}
