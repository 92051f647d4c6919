package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tags are those of test binaries: the tag of guest tests, and no library
// calls that a static binary cannot make.
const tags = "guest,netgo,osusergo"

// A suite is a package that is tested.
type suite struct {
	ImportPath   string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
	Module       struct{ Path string }
}

// takesPart reports whether the package has guest tests.
func (s suite) takesPart() bool {
	return slices.ContainsFunc(append(slices.Clone(s.TestGoFiles), s.XTestGoFiles...),
		func(file string) bool { return strings.HasSuffix(file, "guest_test.go") })
}

// place is where its tests run in the guest.
func (s suite) place() string {
	return path.Join("/src", strings.TrimPrefix(s.ImportPath, s.Module.Path))
}

// binary is the name of its test binary.
func (s suite) binary() string { return strings.ReplaceAll(s.ImportPath, "/", "-") + ".test" }

// A builder makes what is in the guest.
type builder struct {
	arch Arch
	kern kernel
	work string // folder for what it makes
	log  io.Writer
}

// suites lists the packages to test.
func (b *builder) suites(ctx context.Context, patterns []string) ([]suite, error) {
	all := len(patterns) == 0
	if all {
		patterns = []string{"./..."}
	}
	args := append([]string{"list", "-tags", tags, "-json=ImportPath,Dir,Module,TestGoFiles,XTestGoFiles"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env, cmd.Stderr = b.environment(), b.log
	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var suites []suite
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var s suite
		switch err := d.Decode(&s); {
		case errors.Is(err, io.EOF):
			if len(suites) == 0 {
				return nil, fmt.Errorf("no package of %s has guest tests", strings.Join(patterns, " "))
			}
			return suites, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		case !all || s.takesPart():
			suites = append(suites, s)
		}
	}
}

// environment is that of the Go tool: it builds for the guest, with cgo.
func (b *builder) environment() []string {
	sysroot := filepath.Join(b.kern.dir, "sysroot")
	return append(os.Environ(), "CGO_ENABLED=1", "GOOS=linux", "GOARCH="+string(b.arch), "CC="+b.arch.triplet()+"-gcc",
		"CGO_CFLAGS=-O2 -g -I"+sysroot, "CGO_LDFLAGS=-L"+sysroot)
}

// compile makes the package's test binary. It is static: the guest has no
// libraries.
func (b *builder) compile(ctx context.Context, s suite) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-tags", tags, "-ldflags", "-linkmode external -extldflags -static",
		"-o", filepath.Join(b.work, s.binary()), s.ImportPath)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.environment(), b.log, b.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go test -c %s: %w", s.ImportPath, err)
	}
	return nil
}

// pack writes the initramfs.
func (b *builder) pack(ctx context.Context, image string, suites []suite, run string, timeout time.Duration) error {
	init := filepath.Join(b.work, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", init, "livekiosk/buildroot/test/guest/init")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(b.environment(), "CGO_ENABLED=0"), b.log, b.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	var plan Plan
	for _, s := range suites {
		args := []string{"/lab/" + s.binary(), "-test.v", "-test.run=" + run, "-test.timeout=" + (timeout * 4 / 5).String()}
		plan.Tests = append(plan.Tests, PlannedTest{Package: s.ImportPath, Dir: s.place(), Args: args})
		err = errors.Join(a.folder(s.place()), a.copyFile("/lab/"+s.binary(), filepath.Join(b.work, s.binary())), a.copyTree(s.place(), s.Dir, "testdata"))
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return errors.Join(
		a.copyFile("/init", init), a.data(PlanFile, string(text)),
		a.copyTree("/lab", b.kern.dir, "modules"),
		a.copyFile("/bin/busybox", filepath.Join(b.kern.dir, "busybox")),
		a.data("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), a.data("/etc/group", "root:x:0:\nvideo:x:44:\n"),
		a.folder("/dev"), a.folder("/proc"), a.folder("/sys"), a.folder("/tmp"), a.folder("/run"), a.folder("/root"),
		a.close())
}

// copyTree copies a folder of another, if it is there.
func (a *archive) copyTree(to, parent, name string) error {
	root := filepath.Join(parent, name)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, err := filepath.Rel(parent, file)
		if err != nil {
			return err
		}
		return a.copyFile(path.Join(to, filepath.ToSlash(inside)), file)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
