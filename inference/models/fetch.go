package models

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"livekiosk/inference/models/tflite"
)

// FetchOptions say what Fetch fetches and where to.
type FetchOptions struct {
	Dir      string    // "" means Dir()
	Archs    []string  // GOARCH values; none means this machine's
	Pack     Pack      // nil means NPM
	Progress io.Writer // told in lines what is done; nil: nobody
	Terminal bool      // Progress is a terminal: a line may be rewritten to show percentages
}

// Validate reports an architecture that m has no runtime for.
func (o FetchOptions) Validate(m Manifest) error {
	for _, a := range o.Archs {
		if !slices.Contains(m.Archs(), a) {
			return fmt.Errorf("no inference runtime for %q: there is one for %s", a, strings.Join(m.Archs(), " and "))
		}
	}
	return nil
}

// withDefaults returns o with its zero values resolved.
func (o FetchOptions) withDefaults() FetchOptions {
	if o.Dir == "" {
		o.Dir = Dir()
	}
	if len(o.Archs) == 0 {
		o.Archs = []string{runtime.GOARCH}
	}
	if o.Pack == nil {
		o.Pack = NPM
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

// Check reports the first file that Fetch would have to fetch, as Open does. It
// writes nothing.
func (m Manifest) Check(ctx context.Context, o FetchOptions) error {
	if err := o.Validate(m); err != nil {
		return err
	}
	o = o.withDefaults()
	for _, a := range m.wanted(o.Archs) {
		if err := a.verify(ctx, o.Dir); err != nil {
			return err
		}
	}
	return nil
}

// Fetch makes the directory hold every file of the manifest. Files that are
// right already are left alone, so a second run needs no network; a run that was
// interrupted goes on where it stopped, with the tarball it had. A file is
// renamed into place only when it is whole, checked and on disk. Whatever does
// not have the hash it must have is removed, and the error wraps ErrHash. Two
// processes may fetch into one directory: the second waits for the first.
func (m Manifest) Fetch(ctx context.Context, o FetchOptions) error {
	checked := m.Check(ctx, o)
	o = o.withDefaults()
	f := fetcher{FetchOptions: o, work: filepath.Join(o.Dir, ".fetch")}
	switch {
	case checked == nil:
		f.say("models: up to date\n")
		return nil
	case !errors.Is(checked, ErrMissing) && !errors.Is(checked, ErrHash):
		return checked
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("fetch models: %w", err)
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return fmt.Errorf("fetch models: %w", err)
	}
	defer func() {
		_ = os.Remove(f.work) // stays if it has a tarball for the next run
		unlock()
	}()
	if err := f.tidy(m); err != nil {
		return fmt.Errorf("fetch models: %w", err)
	}
	for _, p := range m.Packages {
		if err := f.pkg(ctx, p); err != nil {
			return fmt.Errorf("fetch models: %s: %w", p.Spec(), err)
		}
	}
	for _, c := range m.Conversions {
		if err := f.convert(ctx, c); err != nil {
			return fmt.Errorf("fetch models: convert %s: %w", c.From, err)
		}
	}
	// Files may have been put right by other means, with tarballs left over.
	_ = os.RemoveAll(f.work)
	f.say("models: ready in %s\n", o.Dir)
	return nil
}

// Paths returns where the files are that a kiosk needs: all but those that are
// only converted.
func (m Manifest) Paths(o FetchOptions) []string {
	o = o.withDefaults()
	var paths []string
	for _, a := range m.wanted(o.Archs) {
		if a.Role != Source {
			paths = append(paths, filepath.Join(o.Dir, a.Name))
		}
	}
	return paths
}

// wanted returns the artifacts for any of archs.
func (m Manifest) wanted(archs []string) []Artifact {
	var all []Artifact
	for _, arch := range archs {
		for _, a := range m.Artifacts(arch) {
			if !slices.ContainsFunc(all, func(b Artifact) bool { return a.Name == b.Name }) {
				all = append(all, a)
			}
		}
	}
	return all
}

// A fetcher is one run of Fetch with its options resolved.
type fetcher struct {
	FetchOptions

	work string // holds whole tarballs, and what is being written
}

// say tells the user. Progress that cannot be shown is no reason to stop.
func (f fetcher) say(format string, args ...any) {
	_, _ = fmt.Fprintf(f.Progress, format, args...)
}

// lock waits until no other process fetches into the directory. It locks the
// directory itself, so that no file is left behind.
func (f fetcher) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.Open(f.Dir)
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		if !told {
			f.say("models: waiting for another process that fetches into %s\n", f.Dir)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}

// tidy removes what earlier runs left behind, but for tarballs.
func (f fetcher) tidy(m Manifest) error {
	if err := os.MkdirAll(f.work, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(f.work)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.ContainsFunc(m.Packages, func(p Package) bool { return p.tarball() == e.Name() }) {
			if err := os.RemoveAll(filepath.Join(f.work, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// absent reports whether the file of a has to be made, which it has not for
// another architecture.
func (f fetcher) absent(ctx context.Context, a Artifact) (bool, error) {
	if a.Arch != "" && !slices.Contains(f.Archs, a.Arch) {
		return false, nil
	}
	err := a.verify(ctx, f.Dir)
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrHash) {
		return true, nil
	}
	return false, err
}

// pkg fetches the files of p that are absent, if any.
func (f fetcher) pkg(ctx context.Context, p Package) error {
	absent := map[string]File{}
	for _, file := range p.Files {
		is, err := f.absent(ctx, file.Artifact)
		if err != nil {
			return err
		}
		if is {
			absent[file.Path] = file
		}
	}
	if len(absent) == 0 {
		return nil
	}
	tarball, err := f.tarball(ctx, p)
	if err != nil {
		return err
	}
	err = f.extract(ctx, tarball, absent)
	if ctx.Err() == nil {
		// It served, or it never will. After an interruption the next run uses it.
		err = errors.Join(err, os.Remove(tarball))
	}
	return err
}

// tarball returns the path of p's whole and verified tarball.
func (f fetcher) tarball(ctx context.Context, p Package) (string, error) {
	whole := filepath.Join(f.work, p.tarball())
	switch err := p.check(ctx, whole); {
	case err == nil:
		f.say("models: %s: using the tarball of an interrupted run\n", p.Spec())
		return whole, nil
	case errors.Is(err, ErrHash):
		if bad := os.Remove(whole); bad != nil {
			return "", bad
		}
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return whole, f.download(ctx, p, whole)
}

// check reports why file is not p's tarball.
func (p Package) check(ctx context.Context, file string) error {
	size, sum, err := measure(ctx, file)
	if err != nil {
		return err
	}
	if size != p.Size || sum != p.SHA256 {
		return fmt.Errorf("%w: the tarball has %s; it was not kept", ErrHash, difference(size, sum, p.Size, p.SHA256))
	}
	return nil
}

// download makes whole p's tarball.
func (f fetcher) download(ctx context.Context, p Package, whole string) (err error) {
	dir, err := os.MkdirTemp(f.work, "npm-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = f.pack(ctx, p, dir)
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("npm left %d tarballs instead of one", len(found))
	}
	err = p.check(ctx, found[0])
	if err != nil {
		return err
	}
	return os.Rename(found[0], whole)
}

// pack runs Pack into dir and shows how far it is.
func (f fetcher) pack(ctx context.Context, p Package, dir string) error {
	line := fmt.Sprintf("models: %s: fetching %.1f MB", p.Spec(), float64(p.Size)/1e6)
	if !f.Terminal {
		f.say("%s\n", line)
		return f.Pack(ctx, p.Spec(), dir)
	}
	f.say("%s", line)
	done := make(chan error, 1)
	go func() { done <- f.Pack(ctx, p.Spec(), dir) }()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				f.say("\r%s  100 %%", line)
			}
			f.say("\n")
			return err
		case <-tick.C:
			// npm says nothing while it downloads, but the file that it writes
			// grows.
			f.say("\r%s  %3d %%", line, min(99, 100*largest(dir)/p.Size))
		}
	}
}

// largest returns the size of the largest file below dir.
func largest(dir string) int64 {
	var most int64
	// Files come and go under npm's hands: one that is gone does not count.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			most = max(most, info.Size())
		}
		return nil
	})
	return most
}

// extract writes the files, keyed by their path in the tarball, into the
// directory, and takes those that are written out of the map.
func (f fetcher) extract(ctx context.Context, tarball string, files map[string]File) error {
	file, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(until(ctx, file))
	if err != nil {
		return fmt.Errorf("read tarball: %w", err)
	}
	entries := tar.NewReader(unzipped)
	for len(files) > 0 {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read tarball: %w", err)
		}
		want, ok := files[entry.Name]
		if !ok {
			continue
		}
		if entry.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s in the tarball is not a regular file", entry.Name)
		}
		body := io.Reader(entries)
		if want.Slice != nil {
			if _, err := io.CopyN(io.Discard, body, want.Slice[0]); err != nil {
				return fmt.Errorf("%s in the tarball ends before its slice: %w", entry.Name, err)
			}
			body = io.LimitReader(body, want.Size)
		}
		if err := f.write(want.Artifact, body); err != nil {
			return err
		}
		delete(files, entry.Name)
	}
	if len(files) > 0 {
		return fmt.Errorf("%w: the tarball has no entry %s", ErrMissing, strings.Join(slices.Sorted(maps.Keys(files)), " and no "))
	}
	return nil
}

// write puts what r holds into the directory as a, or nothing if it is not a.
func (f fetcher) write(a Artifact, r io.Reader) (err error) {
	tmp, err := os.CreateTemp(f.work, "new-")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	h := sha256.New()
	// One byte more than it may have is enough to show a file that is too long.
	n, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(r, a.Size+1))
	if err != nil {
		return fmt.Errorf("write %s: %w", a.Name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != a.Size || got != a.SHA256 {
		return fmt.Errorf("%w: %s has %s; it was not kept", ErrHash, a.Name, difference(n, got, a.Size, a.SHA256))
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(f.Dir, a.Name)); err != nil {
		return err
	}
	f.say("models: %s\n", a.Name)
	return flush(f.Dir)
}

// convert makes the file of c, if it is absent.
func (f fetcher) convert(ctx context.Context, c Conversion) error {
	is, err := f.absent(ctx, c.Artifact)
	if err != nil || !is {
		return err
	}
	src, err := os.ReadFile(filepath.Join(f.Dir, c.From))
	if err != nil {
		return err
	}
	onnx, err := tflite.Convert(src)
	if err != nil {
		return err
	}
	return f.write(c.Artifact, strings.NewReader(string(onnx)))
}

// flush makes the names in dir durable.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
