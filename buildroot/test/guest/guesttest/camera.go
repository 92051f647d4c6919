package guesttest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest/module"
)

// Load loads a kernel module for a test, with what it needs, and unloads it
// alone at the test's end. Something that still uses it then is an error.
func Load(tb testing.TB, name string, params ...string) {
	tb.Helper()
	if err := module.Load(name, params...); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := module.Unload(name); err != nil {
			tb.Error(err)
		}
	})
}

// Webcam is what to ask of vivid for one device like a USB camera: it captures,
// and has one input.
func Webcam() []string { return []string{"node_types=0x1", "num_inputs=1", "input_types=0x0"} }

// Cameras loads the virtual camera "vivid" with its parameters and returns the
// paths of its capturing devices, in order of its instances.
func Cameras(tb testing.TB, params ...string) []string {
	tb.Helper()
	Load(tb, "vivid", params...)
	paths := nodes(tb, func(n node) bool {
		return strings.HasPrefix(n.name, "vivid-") && strings.HasSuffix(n.name, "-vid-cap")
	})
	if len(paths) == 0 {
		tb.Fatal("vivid made no device that captures")
	}
	return paths
}

// Unplug takes a camera from its driver, as if it was pulled from its socket.
// replug gives it back and returns its path, which is another one if something
// had the camera open. All cameras of vivid are on one socket.
func Unplug(tb testing.TB, path string) (replug func() string) {
	tb.Helper()
	was := newNode(tb, filepath.Base(path))
	driver, err := filepath.EvalSymlinks(filepath.Join(was.device, "driver"))
	if err != nil {
		tb.Fatal(err)
	}
	tell := func(what string) {
		tb.Helper()
		if err := os.WriteFile(filepath.Join(driver, what), []byte(filepath.Base(was.device)), 0o200); err != nil {
			tb.Fatal(err)
		}
	}
	tell("unbind")
	return func() string {
		tb.Helper()
		tell("bind")
		paths := nodes(tb, func(n node) bool { return n.device == was.device && n.name == was.name })
		if len(paths) != 1 {
			tb.Fatalf("%s (%s) came back as %q", path, was.name, paths)
		}
		return paths[0]
	}
}

// A node is a video device as sysfs tells of it.
type node struct {
	name   string // such as vivid-000-vid-cap
	device string // the folder of what it belongs to
}

const classDir = "/sys/class/video4linux"

func newNode(tb testing.TB, base string) node {
	tb.Helper()
	name, err := os.ReadFile(filepath.Join(classDir, base, "name"))
	if err != nil {
		tb.Fatal(err)
	}
	device, err := filepath.EvalSymlinks(filepath.Join(classDir, base, "device"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // v4l2loopback's belong to nothing
		tb.Fatal(err)
	}
	return node{strings.TrimSpace(string(name)), device}
}

// nodes returns the paths of the video devices that are meant, by name.
func nodes(tb testing.TB, meant func(node) bool) (paths []string) {
	tb.Helper()
	entries, err := os.ReadDir(classDir)
	if err != nil {
		tb.Fatal(err)
	}
	names := map[string]string{}
	for _, e := range entries {
		if n := newNode(tb, e.Name()); strings.HasPrefix(e.Name(), "video") && meant(n) {
			path := filepath.Join("/dev", e.Name())
			names[path], paths = n.name, append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(names[a], names[b]) })
	return paths
}
