package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// withoutTest is the context of a process that is not a test.
func withoutTest() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// inNamespace runs this binary in a role that may mount things of its own,
// which nothing outside sees.
func inNamespace(t *testing.T, env ...string) {
	t.Helper()
	cmd := child(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, env...)
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOSPC), bytes.Contains(out, []byte("cannot mount")):
		t.Skipf("no mounts of its own for this user: %v %s", err, out)
	case err != nil:
		t.Errorf("%v: %s", err, out)
	}
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("cannot mount: %w", err)
	}
	return nil
}

func TestAReadOnlyMountIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyPath := filepath.Join(dir, "keys")
	keys, err := seal.Store{Dir: keyPath, Kind: seal.FileStore}.Create(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	q := open(t, queue.Options{Path: filepath.Join(dir, "sound.db"), Keys: keys})
	put(t, q, 1, 1000)
	shut(t, q)
	if err := os.WriteFile(filepath.Join(dir, "damaged.db"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := names(t, filepath.Join(dir, "x"))
	inNamespace(t, readOnlyEnv+"="+dir, keyEnv+"="+keyPath)
	if after := names(t, filepath.Join(dir, "x")); !slices.Equal(before, after) {
		t.Errorf("the directory had %v, now %v", before, after)
	}
}

func tryReadOnly() error {
	dir := os.Getenv(readOnlyEnv)
	if err := mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if err := mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	ctx, cancel := withoutTest()
	defer cancel()
	for _, name := range []string{"sound.db", "damaged.db", "missing.db", "missing/queue.db"} {
		o, err := childOptions(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if q, err := queue.Open(ctx, o); !errors.Is(err, syscall.EROFS) || q != nil {
			return fmt.Errorf("open %s on a read-only mount: %w", name, err)
		}
		if err := queue.Inspect(ctx, o.Path); !errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("inspect %s on a read-only mount: %w", name, err)
		}
	}
	return nil
}

func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyPath := filepath.Join(dir, "keys")
	if _, err := (seal.Store{Dir: keyPath, Kind: seal.FileStore}).Create(seal.X25519); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, smallEnv+"="+disk, keyEnv+"="+keyPath)
}

// fillSmall puts records on a disk of 8 MiB until it is full.
func fillSmall() error {
	dir := os.Getenv(smallEnv)
	if err := mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		return err
	}
	ctx, cancel := withoutTest()
	defer cancel()
	o, err := childOptions(filepath.Join(dir, "queue.db"))
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, o)
	if err != nil {
		return err
	}
	if err := q.Admit(ctx); !errors.Is(err, kiosk.ErrQueueFull) {
		return fmt.Errorf("a session was admitted to a disk of 8 MiB: %w", err)
	}
	s := queuetest.Submission(1, 400_000)
	var want []kiosk.RecordID
	for n := 0; ; n++ {
		s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
		err := q.Put(ctx, s)
		if errors.Is(err, kiosk.ErrQueueFull) {
			break
		}
		if err != nil {
			return fmt.Errorf("put %d: %w", n, err)
		}
		want = append(want, s.Record)
	}
	if len(want) < 5 {
		return fmt.Errorf("only %d records fitted", len(want))
	}
	check := func(when string) error {
		got, err := q.Pending(ctx)
		if err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("%s: pending %v, want %v: %w", when, got, want, err)
		}
		for _, id := range got {
			image, err := q.Image(ctx, id, kiosk.Selfie, nil)
			if err != nil || !bytes.Equal(image, s.Images[kiosk.Selfie]) {
				return fmt.Errorf("%s: image of %s: %w", when, id, err)
			}
		}
		return nil
	}
	if err := check("full"); err != nil {
		return err
	}
	// A record that finds no room takes none from a mark that shares its
	// transaction.
	release := queue.Hold(q)
	said := make(chan error, 1)
	marked := make(chan error, 1)
	go func() { said <- q.Put(ctx, s) }()
	go func() { marked <- q.Mark(ctx, want[0], kiosk.Marks{SubmissionID: "sub"}) }()
	for queue.Waiting(q) < 2 {
		runtime.Gosched()
	}
	release()
	if err := <-said; !errors.Is(err, kiosk.ErrQueueFull) {
		return fmt.Errorf("put beside a mark: %w", err)
	}
	if err := <-marked; err != nil {
		return fmt.Errorf("mark beside a put that finds no room: %w", err)
	}
	if job, err := q.Job(ctx, want[0]); err != nil || job.Marks.SubmissionID != "sub" {
		return fmt.Errorf("the mark: %+v: %w", job.Marks, err)
	}
	if err := q.Close(); err != nil {
		return err
	}
	if q, err = queue.Open(ctx, o); err != nil {
		return err
	}
	if q.Quarantined != "" {
		return errors.New("a full disk was taken for damage")
	}
	if err := check("opened again"); err != nil {
		return err
	}
	// Delivering makes room again, if the disk leaves the few pages that takes.
	if err := q.Settle(ctx, want[0], kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
		if !errors.Is(err, kiosk.ErrQueueFull) {
			return err
		}
		return q.Close()
	}
	want = want[1:]
	if err := check("settled one"); err != nil {
		return err
	}
	if err := q.Put(ctx, s); err != nil && strings.Contains(err.Error(), "anew") {
		return err
	}
	return q.Close()
}
