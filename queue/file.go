package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

const (
	lockWait = time.Second // for another process to let go
	lockPoll = 50 * time.Millisecond
)

// A place is where an outbox lies, or will. Its directory is locked, so that
// of several processes that start one makes or moves the file at a time.
type place struct {
	path   string
	dir    *os.File
	expire time.Time              // when to give up on locks
	epochs func() (string, error) // makes an epoch file and returns its id
}

// enter locks the directory of path, making it durably if it is missing.
func enter(ctx context.Context, path string, epochs func() (string, error)) (*place, error) {
	dir, err := seal.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	p := &place{path: path, dir: dir, expire: time.Now().Add(lockWait), epochs: epochs}
	if err := lock(ctx, dir, unix.LOCK_EX, p.expire); err != nil {
		dir.Close()
		return nil, err
	}
	return p, nil
}

// leave unlocks the directory: the lock goes with the descriptor.
func (p *place) leave() { p.dir.Close() }

// claim opens and locks the file for writing.
func (p *place) claim(ctx context.Context) (*os.File, error) {
	info, err := os.Lstat(p.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("is not a regular file but %s", info.Mode().Type())
	}
	file, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(ctx, file, unix.LOCK_EX, p.expire); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// temporary is the name under which an outbox is made. A first initialisation
// that a power cut tore would otherwise stay "invalid database" for ever.
func (p *place) temporary() string {
	return filepath.Join(p.dir.Name(), temporaryName(p.path))
}

func temporaryName(path string) string { return "." + filepath.Base(path) + ".new" }

// fresh makes a sound, empty outbox under name and returns it open and locked.
// The epoch file that it names is durable before it.
func (p *place) fresh(name string) (*os.File, error) {
	epochs, err := p.epochs()
	if err != nil {
		return nil, fmt.Errorf("epoch file: %w", err)
	}
	if err = os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := bbolt.Open(name, 0o600, boltOptions())
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error { return initialise(tx, epochs) })
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return file, nil
}

// initialise writes what an empty outbox holds, whose epoch file has the id.
func initialise(tx *bbolt.Tx, epochs string) error {
	for _, name := range []string{pendingBucket, deadBucket, historyBucket} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	outbox, err := tx.CreateBucket([]byte(outboxBucket))
	if err != nil {
		return err
	}
	if err := outbox.Put([]byte(magicKey), []byte(magic)); err != nil {
		return err
	}
	if err := outbox.Put([]byte(formatKey), []byte{0, Format}); err != nil {
		return err
	}
	return outbox.Put([]byte(epochsKey), nameEpochs(epochs))
}

// create puts an empty outbox where there is none.
func (p *place) create() (*os.File, error) {
	name := p.temporary()
	if weakInPlace() {
		name = p.path
	}
	file, err := p.fresh(name)
	if err != nil {
		return nil, err
	}
	return p.install(file)
}

func (p *place) install(file *os.File) (*os.File, error) {
	err := os.Rename(file.Name(), p.path)
	if err == nil {
		err = p.dir.Sync()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// replace moves the file aside and puts an empty outbox in its place. The
// empty one is made first: where that fails, nothing has moved.
func (p *place) replace() (file *os.File, aside string, err error) {
	if file, err = p.fresh(p.temporary()); err != nil {
		return nil, "", err
	}
	aside = p.path + ".bad-" + time.Now().UTC().Format("20060102T150405Z")
	// A board without a clock starts at the same second every time.
	for n, stem := 2, aside; exists(aside); n++ {
		aside = stem + "-" + strconv.Itoa(n)
	}
	if err = os.Rename(p.path, aside); err != nil {
		file.Close()
		return nil, "", err
	}
	if file, err = p.install(file); err != nil {
		return nil, "", err
	}
	return file, aside, nil
}

// lastAside returns the newest damaged file beside the outbox at path, "" if
// none.
func lastAside(path string) (string, error) {
	found, err := filepath.Glob(globEscape(path) + ".bad-*")
	if err != nil || len(found) == 0 {
		return "", err
	}
	return slices.Max(found), nil
}

func globEscape(path string) string {
	var out []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lock takes an advisory lock on f, trying until expire or until ctx ends.
func lock(ctx context.Context, f *os.File, how int, expire time.Time) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case !time.Now().Before(expire):
			return kiosk.ErrQueueBusy
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Inspect reports what Open would say about the file at path, without making,
// changing or moving anything: kiosk.ErrQueueBusy, kiosk.ErrQueueBad (which
// Open would move aside), kiosk.ErrQueueNewer, another error for a file or a
// mount that cannot be written, or nil. A missing file is fine.
func Inspect(ctx context.Context, path string) error {
	if err := inspect(ctx, path); err != nil {
		return fmt.Errorf("inspect outbox %s: %w", path, err)
	}
	return nil
}

func inspect(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writable(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("is not a regular file but %s", info.Mode().Type())
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := lock(ctx, file, unix.LOCK_SH, time.Now().Add(lockWait)); err != nil {
		return err
	}
	if err := writable(path); err != nil {
		return err
	}
	return survey(ctx, file)
}

// writable reports whether path, or the directory it would be made in, can be
// written.
func writable(path string) error {
	err := unix.Access(path, unix.W_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOENT) && filepath.Dir(path) != path:
		return writable(filepath.Dir(path))
	default:
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
}
