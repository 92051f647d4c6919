// Package models knows the inference runtime and the weights that the kiosk
// runs: where they come from, under which licence, what their tensors are, and
// that the files at hand are these and no others.
//
// The files are not in this repository. "make models" fetches them into a cache
// ([Manifest.Fetch]); [Open] verifies that cache each time the daemon starts.
// What is known about each network, and what is not, stands in cards/.
package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Interface is how the daemon feeds networks and reads what they compute, and
// Version that of the networks in the manifest. Interface rises when networks made
// for it would be misread: what they are given, what their outputs mean, or what
// is computed from these. Version rises with the networks, as package update
// orders versions.
const (
	Interface = 1
	Version   = "1"
)

// Errors of Open and Fetch that callers test for. Their messages name the file
// and the directory.
var (
	ErrMissing = errors.New("model file is missing")
	ErrHash    = errors.New("model file is not the one in the manifest")
)

// remedy ends the messages of errors that fetching again puts right.
const remedy = "run 'make models'"

// Dir returns the directory of the runtime and the weights: $LIVEKIOSK_MODELS,
// else livekiosk/models in the user's cache directory ($XDG_CACHE_HOME, else
// ~/.cache), else, for a process without a home, /var/cache/livekiosk/models.
func Dir() string {
	if dir := os.Getenv("LIVEKIOSK_MODELS"); dir != "" {
		return dir
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(cache) { // which the XDG base directory specification says to ignore
		cache = "/var/cache"
		if home := os.Getenv("HOME"); filepath.IsAbs(home) {
			cache = filepath.Join(home, ".cache")
		}
	}
	return filepath.Join(cache, "livekiosk", "models")
}

// A Set is the verified files for one architecture, by path.
type Set struct {
	Runtime   string // ONNX Runtime's shared library
	Detector  string // network of role Detector, ONNX
	Landmarks string // network of role Landmarks, ONNX
	PAD       string // network of role PAD, ONNX

	// Hashes are the files' sha256 in lower-case hex, by role: provenance for
	// traces and for what is sent with a submission.
	Hashes map[string]string
}

// Open verifies the runtime and the weights in dir for this machine and returns
// their paths. It reads them whole, about 50 MB. The error wraps ErrMissing or
// ErrHash, is of the file system, or is ctx's once that ended.
func Open(ctx context.Context, dir string) (Set, error) {
	m, err := Embedded()
	if err != nil {
		return Set{}, err
	}
	return m.Open(ctx, dir, runtime.GOARCH)
}

// Open is like the function Open, for another manifest or architecture.
func (m Manifest) Open(ctx context.Context, dir, arch string) (Set, error) {
	set := Set{Hashes: map[string]string{}}
	for _, a := range m.Artifacts(arch) {
		var at *string
		switch a.Role {
		case Runtime:
			at = &set.Runtime
		case Detector:
			at = &set.Detector
		case Landmarks:
			at = &set.Landmarks
		case PAD:
			at = &set.PAD
		case Source:
			continue
		}
		if err := a.verify(ctx, dir); err != nil {
			return Set{}, err
		}
		*at = filepath.Join(dir, a.Name)
		set.Hashes[string(a.Role)] = a.SHA256
	}
	if set.Runtime == "" {
		return Set{}, fmt.Errorf("no inference runtime for %s: there is one for %s", arch, strings.Join(m.Archs(), " and "))
	}
	return set, nil
}

// verify reports why the file in dir is not a.
func (a Artifact) verify(ctx context.Context, dir string) error {
	size, sum, err := measure(ctx, filepath.Join(dir, a.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s in %s: %s", ErrMissing, a.Name, dir, remedy)
	case err != nil:
		return fmt.Errorf("verify model: %w", err)
	case size != a.Size || sum != a.SHA256:
		return fmt.Errorf("%w: %s in %s has %s: %s", ErrHash, a.Name, dir, difference(size, sum, a.Size, a.SHA256), remedy)
	}
	return nil
}

// difference says in words how content differs from what is wanted.
func difference(size int64, sum string, wantSize int64, want string) string {
	if size != wantSize {
		return fmt.Sprintf("%d bytes instead of %d", size, wantSize)
	}
	return fmt.Sprintf("sha256 %s instead of %s", sum, want)
}

// measure returns the size of a file and its sha256 in lower-case hex.
func measure(ctx context.Context, file string) (size int64, sum string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, until(ctx, f)); err != nil {
		return 0, "", fmt.Errorf("read %s: %w", file, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// A readerFunc is an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// until returns r, which stops being read once ctx has ended.
func until(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}
