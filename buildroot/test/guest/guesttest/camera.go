package guesttest

import (
	"os"
	"path/filepath"
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
	var paths []string
	names, err := filepath.Glob("/sys/class/video4linux/video*/name")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range names {
		name, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if strings.HasPrefix(string(name), "vivid-") && strings.HasSuffix(strings.TrimSpace(string(name)), "-vid-cap") {
			paths = append(paths, filepath.Join("/dev", filepath.Base(filepath.Dir(file))))
		}
	}
	if len(paths) == 0 {
		tb.Fatal("vivid made no device that captures")
	}
	return paths
}
