package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/faulttest"
	"livekiosk/queue/queuetest"
)

// readyIn is how long a daemon may take to be ready whatever state its files
// are in. Under the race detector, beside other tests, everything takes longer.
const readyIn = 5 * time.Second

// A fixture is a state that a daemon may find its files in.
type fixture struct {
	name    string
	damage  func(s *ward)
	out     bool   // the kiosk is out of service for its storage
	aside   bool   // the damaged outbox is kept aside, and the alarm says so
	records int    // that the outbox in service has still, pending or dead
	says    string // by a line of the log
	metric  string // that tells, beside those of the fault and the file
	mend    func(s *ward)
}

// A ward is a lab's state, with an outbox in which two records wait, one is
// history and one person is expected.
type ward struct {
	t    *testing.T
	lab  *lab
	path string // of the outbox

	before      []byte // the outbox after the damage
	from, moved string // what back brings back, and where it lies
}

func (s *ward) write(path string, b []byte) {
	s.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *ward) read(path string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// edit changes the bytes of the outbox.
func (s *ward) edit(change func(b []byte) []byte) { s.write(s.path, change(s.read(s.path))) }

// away takes a file out of the state.
func (s *ward) away(path string) {
	s.t.Helper()
	s.from, s.moved = path, filepath.Join(s.t.TempDir(), "away")
	if err := os.Rename(path, s.moved); err != nil {
		s.t.Fatal(err)
	}
}

// copy keeps a copy of a file.
func (s *ward) copy(path string) {
	s.t.Helper()
	s.from, s.moved = path, filepath.Join(s.t.TempDir(), "copy")
	s.write(s.moved, s.read(path))
}

// back brings what away took or copy kept.
func (s *ward) back() {
	s.t.Helper()
	s.write(s.from, s.read(s.moved))
}

// epochs returns the path of the epoch file.
func (s *ward) epochs() string {
	s.t.Helper()
	found, err := filepath.Glob(s.path + ".epochs-*")
	if err != nil || len(found) != 1 {
		s.t.Fatalf("epoch files: %v, %v", found, err)
	}
	return found[0]
}

// newWard makes the state with the records in it, or without.
func newWard(t *testing.T, empty bool) *ward {
	t.Helper()
	l := newLab(t)
	l.models = t.TempDir() // none: what the outbox does is no matter of theirs
	s := &ward{t: t, lab: l, path: filepath.Join(l.state, "outbox.db")}
	s.fill(empty)
	return s
}

func (s *ward) fill(empty bool) {
	s.t.Helper()
	q := s.lab.hold()
	defer s.lab.release(q)
	if empty {
		return
	}
	for n := range 3 {
		if err := q.Put(s.t.Context(), queuetest.Submission(n, 20_000)); err != nil {
			s.t.Fatal(err)
		}
	}
	first := queuetest.Submission(0, 1)
	if err := q.Settle(s.t.Context(), first.Record, kiosk.Receipt{Session: first.Session, Record: first.Record, Action: kiosk.ExitSuccess}); err != nil {
		s.t.Fatal(err)
	}
	if err := q.Book(s.t.Context(), queuetest.Booking(50)); err != nil {
		s.t.Fatal(err)
	}
}

// sums returns the sum of every file below the state, but for the traces.
func (s *ward) sums() string {
	s.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(s.lab.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		sum := sha256.Sum256(s.read(path))
		fmt.Fprintln(&b, path, hex.EncodeToString(sum[:8]))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// another returns the bytes of another program's bbolt file.
func another(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "theirs.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// flipMeta flips a bit of the sealed part that says whose the first pending
// record is.
func flipMeta(s *ward) {
	s.t.Helper()
	db, err := bbolt.Open(s.path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	var sealed []byte
	err = db.View(func(tx *bbolt.Tx) error {
		pending := tx.Bucket([]byte("pending"))
		k, _ := pending.Cursor().First()
		sealed = bytes.Clone(pending.Bucket(k).Get([]byte("meta")))
		return nil
	})
	if err = errors.Join(err, db.Close()); err != nil {
		s.t.Fatal(err)
	}
	s.edit(func(b []byte) []byte {
		at := bytes.Index(b, sealed)
		if at < 0 || len(sealed) < 100 {
			s.t.Fatal("the sealed part is not found")
		}
		b[at+80] ^= 1
		return b
	})
}

// olderMeta returns where the older meta page begins.
func olderMeta(b []byte) int {
	if bytes.Compare(b[64:72], b[4096+64:4096+72]) < 0 && b[64] < b[4096+64] {
		return 0
	}
	return 4096
}

func fixtures() []fixture {
	return []fixture{
		{name: "an empty file", aside: true, damage: func(s *ward) { s.write(s.path, nil) }},
		{name: "a torn first initialisation", aside: true, damage: func(s *ward) {
			s.edit(func(b []byte) []byte { return append(b[:4096:4096], make([]byte, 3*4096)...) })
		}},
		{name: "one meta page bad", records: 2, damage: func(s *ward) {
			s.edit(func(b []byte) []byte {
				at := olderMeta(b)
				clear(b[at+16 : at+60])
				return b
			})
		}},
		{name: "both meta pages bad", aside: true, damage: func(s *ward) {
			s.edit(func(b []byte) []byte {
				clear(b[20:60])
				clear(b[4096+20 : 4096+60])
				return b
			})
		}},
		{name: "a short file", aside: true, damage: func(s *ward) { s.edit(func(b []byte) []byte { return b[:len(b)/3] }) }},
		{name: "a flipped bit in a record", records: 2, says: `"reason":"unreadable"`, metric: `kiosk_outbox_records{state="dead"} 1`, damage: flipMeta},
		{name: "random bytes", aside: true, damage: func(s *ward) {
			s.write(s.path, bytes.Repeat([]byte("\x9c\x11\xf0\x42 shopping list"), 3000))
		}},
		{name: "another program's file", out: true, says: "another program", damage: func(s *ward) { s.write(s.path, another(s.t)) }},
		{name: "a newer schema", out: true, says: "this version reads", damage: func(s *ward) {
			s.edit(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("format\x00\x01"), []byte("format\x00\x02")) })
		}, mend: func(s *ward) {
			s.edit(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("format\x00\x02"), []byte("format\x00\x01")) })
		}},
		{
			name: "no epoch file", out: true, says: "epoch file", damage: func(s *ward) { s.away(s.epochs()) },
			mend: func(s *ward) { s.back() },
		},
		{
			name: "a short epoch file", out: true, says: "epoch file",
			damage: func(s *ward) { s.copy(s.epochs()); s.write(s.epochs(), s.read(s.epochs())[:4000]) },
			mend:   func(s *ward) { s.back() },
		},
		{
			name: "an epoch file of something else", out: true, says: "epoch file",
			damage: func(s *ward) { s.copy(s.epochs()); s.write(s.epochs(), make([]byte, 20_000)) },
			mend:   func(s *ward) { s.back() },
		},
		{
			name: "no device key", out: true, says: "device key", damage: func(s *ward) { s.away(s.key()) },
			mend: func(s *ward) { s.back() },
		},
	}
}

func (s *ward) key() string { return filepath.Join(s.lab.state, "keys", "device.key") }

// TestADaemonStartsInWhateverStateItsFilesAre starts it three times on each.
func TestADaemonStartsInWhateverStateItsFilesAre(t *testing.T) {
	for _, f := range fixtures() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newWard(t, false)
			f.damage(s)
			s.before = s.read(s.path)
			s.hold(f)
		})
	}
}

// hold starts the daemon three times, and mends what can be mended under the
// last one.
func (s *ward) hold(f fixture) {
	s.t.Helper()
	sums := s.sums()
	for n := range 3 {
		d := s.lab.daemon()
		d.ready()
		status := d.await("what is due", func(st api.Status) bool {
			if f.says != "" && n == 0 && !strings.Contains(d.log.String(), f.says) {
				return false
			}
			return f.out == slices.Contains(st.Faults, kiosk.StorageFault)
		})
		s.alarms(f, d, status)
		if n == 2 && f.mend != nil {
			f.mend(s)
			d.await("service again", func(st api.Status) bool { return !slices.Contains(st.Faults, kiosk.StorageFault) })
			f.records = 2
			s.has(f)
		}
		if n == 2 && f.aside {
			if err := os.Rename(status.Quarantined, filepath.Join(s.t.TempDir(), "taken")); err != nil {
				s.t.Fatal(err)
			}
			d.await("the end of the alarm", func(st api.Status) bool { return st.Quarantined == "" })
		}
		if code := d.stop(); code != exitOK {
			s.t.Errorf("start %d: exit code %d\n%s", n, code, d.log.String())
		}
		if f.out && (n < 2 || f.mend == nil) && s.sums() != sums {
			s.t.Errorf("start %d: out of service, and changed\n%s\nto\n%s", n, sums, s.sums())
		}
	}
	if !f.out {
		s.has(f)
	}
}

// alarms checks what staff and monitoring are told.
func (s *ward) alarms(f fixture, d *daemonUnderTest, status api.Status) {
	s.t.Helper()
	metrics := d.metrics()
	for _, want := range []string{fmt.Sprintf(`kiosk_fault{fault="storage"} %d`, one(f.out)), fmt.Sprintf("kiosk_outbox_quarantined %d", one(f.aside)), f.metric} {
		if !strings.Contains(metrics, want) {
			s.t.Errorf("no metric %s", want)
		}
	}
	if f.out {
		d.says(`"level":"ERROR","msg":"outbox `)
	}
	if !f.aside {
		if status.Quarantined != "" {
			s.t.Errorf("moved aside to %s without need", status.Quarantined)
		}
		return
	}
	if !strings.HasPrefix(status.Quarantined, s.path+".bad-") {
		s.t.Fatalf("the status says that the damaged outbox is at %q", status.Quarantined)
	}
	if !bytes.Equal(s.read(status.Quarantined), s.before) {
		s.t.Error("the damaged outbox was not kept as it was")
	}
	if found, err := filepath.Glob(s.path + ".bad-*"); err != nil || len(found) != 1 {
		s.t.Errorf("damaged outboxes: %v, %v", found, err)
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// has opens the outbox once the daemon is done with it, or while it runs asks
// nothing of it but what it lists.
func (s *ward) has(f fixture) {
	s.t.Helper()
	entries, err := api.NewClient(s.lab.socket).Queue(s.t.Context())
	if err != nil { // no daemon runs
		q := s.lab.hold()
		defer s.lab.release(q)
		if entries, err = q.Entries(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
	records := 0
	for _, e := range entries {
		if e.Outcome == "" {
			records++
		}
	}
	if records != f.records {
		s.t.Errorf("%d records are left, want %d: %v", records, f.records, entries)
	}
}

// daemon starts this binary as the daemon, in a process of its own: one that
// dies is seen.
func (l *lab) daemon() *daemonUnderTest {
	l.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	return l.spawn([]string{"env", daemonEnv + "=1", exe}, "-camera", "clip:empty", "-size", "320x320").daemonUnderTest
}

// ready waits until the daemon says that it is, and how long that took by its
// own measure.
func (d *daemonUnderTest) ready() {
	d.t.Helper()
	_, after, _ := strings.Cut(d.says(`"msg":"ready"`), `"msg":"ready"`)
	_, after, _ = strings.Cut(after, `"after":"`)
	after, _, _ = strings.Cut(after, `"`)
	took, err := time.ParseDuration(after)
	if err != nil || took > readyIn {
		d.t.Errorf("ready after %q, want %v at most: %v", after, readyIn, err)
	}
}

func TestAnOutboxWithoutRecordsNeedsNoEpochFile(t *testing.T) {
	t.Parallel()
	s := newWard(t, true)
	s.away(s.epochs())
	s.hold(fixture{})
}

// TestAHangingDiskDoesNotHoldTheStartUp has the child that reads the outbox
// first never end.
func TestAHangingDiskDoesNotHoldTheStartUp(t *testing.T) {
	s := newWard(t, false)
	t.Setenv(childEnv, "hangs")
	s.hold(fixture{out: true, says: "takes too long"})
}

// TestADiskThatIsGoneComesBackWithEverything takes the disk away from a running
// daemon. bbolt reads its file by a goroutine of its own after a write that
// failed; a page that the disk does not give ends the process then. Started
// again, as systemd does, it stays up, out of service, until the disk is back.
func TestADiskThatIsGoneComesBackWithEverything(t *testing.T) {
	dir := t.TempDir()
	below, at := filepath.Join(dir, "below"), filepath.Join(dir, "at")
	for _, d := range []string{below, at} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t)
	l.models = t.TempDir()
	l.state = filepath.Join(below, "state")
	s := &ward{t: t, lab: l, path: filepath.Join(at, "state", "outbox.db")}
	s.fill(false)
	disk, err := faulttest.Mount(below, at)
	if err != nil {
		t.Skipf("needs root, or fusermount3, and /dev/fuse: %v", err)
	}
	defer func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}()
	l.state = filepath.Join(at, "state")
	storage := func(st api.Status) bool { return slices.Contains(st.Faults, kiosk.StorageFault) }
	serves := func(st api.Status) bool { return !storage(st) }

	d := l.daemon()
	d.await("service", serves)
	f, err := os.Open(s.path) // has the kernel forget the pages that it read
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	// It reads what a booking needs, and not what bbolt needs when that fails.
	disk.Arm(faulttest.Fault{At: 3, Errno: syscall.EIO, Span: faulttest.Gone})
	if _, err := d.client.Book(t.Context(), queuetest.Booking(51)); err == nil {
		t.Error("a booking was taken without a disk")
	}
	died := false
	for sound := 0; sound < 2; { // and once more, without a reason to die
		d.notices(storage)
		switch code := d.stop(); {
		case code == exitOK:
			sound++
		case died || !strings.Contains(d.log.String(), "[signal SIGBUS"):
			t.Fatalf("exit code %d\n%s", code, d.log.String())
		default:
			died = true
			t.Log("it died once, of a page that it could not read")
		}
		d = l.daemon()
		d.ready()
	}
	disk.Lift()
	st := d.await("service again", serves)
	if st.Quarantined != "" {
		t.Errorf("the outbox was moved aside to %s, though only the disk was gone", st.Quarantined)
	}
	s.has(fixture{records: 2})
	if _, err := d.client.Book(t.Context(), queuetest.Booking(51)); err != nil {
		t.Errorf("a booking once the disk is back: %v", err)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
}

// notices waits until the status says so, or the daemon has ended by itself.
func (d *daemonUnderTest) notices(fault func(api.Status) bool) {
	d.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(d.log.String(), "[signal SIG") {
		if s, err := d.client.Status(d.t.Context()); err == nil && fault(s) {
			return
		}
		<-tick.C
	}
}

// mountEnv has a test mount things of its own, in a process that was made for
// that.
const mountEnv = "KIOSKDTEST_MOUNTS"

// mounting reports whether the test may mount. If not, it has run the test in a
// process that may, or skipped it.
func mounting(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountEnv) != "" {
		return true
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOSPC), bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("needs user and mount namespaces: %v %s", err, out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Skipf("mount %s: %v", target, err)
	}
	if flags&syscall.MS_REMOUNT == 0 {
		t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) }) // the namespace ends with the process
	}
}

func TestAReadOnlyDiskIsLeftAlone(t *testing.T) {
	if !mounting(t) {
		return
	}
	for _, damaged := range []bool{false, true} {
		s := newWard(t, false)
		if damaged {
			s.edit(func(b []byte) []byte { return b[:5000] })
		}
		mount(t, s.lab.state, s.lab.state, "", syscall.MS_BIND, "")
		mount(t, "", s.lab.state, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		s.hold(fixture{out: true, says: "read-only file system"})
		// An alarm that is over is over by itself.
		if damaged {
			continue
		}
		d := s.lab.daemon()
		d.await("the fault", func(st api.Status) bool { return slices.Contains(st.Faults, kiosk.StorageFault) })
		mount(t, "", s.lab.state, "", syscall.MS_BIND|syscall.MS_REMOUNT, "")
		d.await("service", func(st api.Status) bool { return !slices.Contains(st.Faults, kiosk.StorageFault) })
		s.has(fixture{records: 2})
		d.stop()
	}
}

// TestAFullDiskLosesNothing fills the disk of a kiosk that has records, and of
// one that never started.
func TestAFullDiskLosesNothing(t *testing.T) {
	if !mounting(t) {
		return
	}
	for _, fresh := range []bool{false, true} {
		s := &ward{t: t, lab: newLab(t)}
		s.lab.models = t.TempDir()
		s.path = filepath.Join(s.lab.state, "outbox.db")
		if err := os.Mkdir(s.lab.state, 0o700); err != nil {
			t.Fatal(err)
		}
		mount(t, "tmpfs", s.lab.state, "tmpfs", 0, "size=64m,mode=0700")
		if !fresh {
			s.fill(false)
		}
		ballast := filepath.Join(s.lab.state, "ballast")
		fillUp(t, ballast)
		names := func() []string {
			found, err := filepath.Glob(filepath.Join(s.lab.state, "*"))
			if err != nil {
				t.Fatal(err)
			}
			return slices.DeleteFunc(found, func(p string) bool { return strings.HasSuffix(p, "traces") || fresh && strings.HasSuffix(p, "keys") })
		}
		before := names()
		for n := range 3 {
			d := s.lab.daemon()
			d.ready()
			d.await("the fault", func(st api.Status) bool {
				return slices.Contains(st.Faults, kiosk.StorageFault) && st.Quarantined == ""
			})
			if !strings.Contains(d.metrics(), `kiosk_fault{fault="storage"} 1`) {
				t.Error("no metric tells of it")
			}
			d.says(`"level":"ERROR","msg":"outbox `)
			if after := names(); !slices.Equal(before, after) {
				t.Errorf("there was %v, now %v", before, after)
			}
			if n == 2 {
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				d.await("service once there is room", func(st api.Status) bool { return !slices.Contains(st.Faults, kiosk.StorageFault) })
			}
			if code := d.stop(); code != exitOK {
				t.Errorf("exit code %d\n%s", code, d.log.String())
			}
		}
		s.holdsAll(fresh)
	}
}

// fillUp writes a file until the disk is full.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// holdsAll reads each record, to its last byte.
func (s *ward) holdsAll(fresh bool) {
	s.t.Helper()
	q := s.lab.hold()
	defer s.lab.release(q)
	want := []kiosk.RecordID{"session-1-1", "session-2-1"}
	if fresh {
		want = nil
	}
	pending, err := q.Pending(s.t.Context())
	if err != nil || !slices.Equal(pending, want) {
		s.t.Errorf("pending are %v, %v", pending, err)
	}
	for i, id := range pending {
		image, err := q.Image(context.WithoutCancel(s.t.Context()), id, kiosk.Selfie, nil)
		if err != nil || !bytes.Equal(image, queuetest.Submission(i+1, 20_000).Images[kiosk.Selfie]) {
			s.t.Errorf("image of %s: %v", id, err)
		}
	}
}
