package queue_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
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
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// The test binary plays a second process when one of these is set.
const (
	holdEnv     = "QUEUETEST_HOLD"      // path of an outbox to open, use and hold
	readOnlyEnv = "QUEUETEST_READ_ONLY" // directory to mount read-only and try
	smallEnv    = "QUEUETEST_SMALL"     // directory to mount a small disk on and fill
	keyEnv      = "QUEUETEST_KEYS"      // directory of the device keys
)

// TestSecondProcess is no test but what this binary does when another test
// starts it again.
func TestSecondProcess(t *testing.T) {
	role := func() error { return nil }
	switch {
	case os.Getenv(holdEnv) != "":
		role = hold
	case os.Getenv(readOnlyEnv) != "":
		role = tryReadOnly
	case os.Getenv(smallEnv) != "":
		role = fillSmall
	}
	if err := role(); err != nil {
		t.Fatal(err)
	}
}

// A sample is the bytes of a sound outbox with three records pending, one
// settled and one dead, one booking and one outage.
func sample(tb testing.TB) (o queue.Options, file []byte) {
	tb.Helper()
	o = options(tb)
	q := open(tb, o)
	for n := range 5 {
		put(tb, q, n, 9000)
	}
	if err := q.Mark(tb.Context(), "session-2-1", kiosk.Marks{Token: "t", SubmissionID: "s"}); err != nil {
		tb.Fatal(err)
	}
	if err := q.Settle(tb.Context(), "session-0-1", succeed("session-0-1")); err != nil {
		tb.Fatal(err)
	}
	if err := q.Dead(tb.Context(), "session-1-1", "poison"); err != nil {
		tb.Fatal(err)
	}
	if err := q.Book(tb.Context(), queuetest.Booking(50)); err != nil {
		tb.Fatal(err)
	}
	if err := q.SetOutages(tb.Context(), []kiosk.Outage{{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 3}}); err != nil {
		tb.Fatal(err)
	}
	shut(tb, q)
	return o, read(tb, o.Path)
}

// withFreelist returns the same outbox with its free pages listed in the file,
// as a writer with other settings leaves it.
func withFreelist(tb testing.TB, file []byte) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "listed.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return read(tb, path)
}

// latest returns the offset of the meta page in force.
func latest(file []byte) int {
	if binary.LittleEndian.Uint64(file[64:]) > binary.LittleEndian.Uint64(file[4096+64:]) {
		return 0
	}
	return 4096
}

// edited returns a copy of file with one meta page, or both, changed and their
// checksums made right again.
func edited(file []byte, change func(meta []byte)) []byte {
	out := bytes.Clone(file)
	for _, at := range []int{0, 4096} {
		meta := out[at+16 : at+80]
		change(meta)
		sum := fnv.New64a()
		sum.Write(meta[:56])
		binary.LittleEndian.PutUint64(meta[56:], sum.Sum64())
	}
	return out
}

// copied returns the path of a copy of the outbox at path, as it is on the disk
// now, with its epoch file.
func copied(tb testing.TB, path string) string {
	tb.Helper()
	return withEpochs(tb, path, read(tb, path))
}

// withEpochs returns the path of an outbox with the bytes of file, beside a copy
// of the epoch files of the one at path.
func withEpochs(tb testing.TB, path string, file []byte) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), filepath.Base(path))
	if err := os.WriteFile(to, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	for _, epochs := range epochFiles(tb, path) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(to), filepath.Base(epochs)), read(tb, epochs), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return to
}

// epochFiles returns the paths of the epoch files beside the outbox at path.
func epochFiles(tb testing.TB, path string) []string {
	tb.Helper()
	found, err := filepath.Glob(path + ".epochs-*")
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// names returns what is in the directory of path.
func names(tb testing.TB, path string) []string {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestADamagedFileIsKeptAsideAndTheOutboxComesUp(t *testing.T) {
	t.Parallel()
	o, sound := sample(t)
	zero := func(ranges ...int) []byte {
		b := bytes.Clone(sound)
		for i := 0; i < len(ranges); i += 2 {
			clear(b[ranges[i]:ranges[i+1]])
		}
		return b
	}
	root := int(binary.LittleEndian.Uint64(sound[latest(sound)+16+16:]))
	garbage := make([]byte, 50_000)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	for name, file := range map[string][]byte{
		"empty":                                 {},
		"one byte":                              {7},
		"a page of zeros":                       make([]byte, 4096),
		"a torn first initialisation":           make([]byte, 16384),
		"cut to half":                           sound[:len(sound)/2],
		"cut to its meta pages":                 sound[:8192],
		"cut within the first page":             sound[:50],
		"garbage":                               garbage,
		"text":                                  []byte(strings.Repeat("this is no outbox\n", 1000)),
		"both meta pages torn":                  zero(30, 70, 4096+30, 4096+70),
		"the root page gone":                    zero(root*4096, (root+1)*4096),
		"all but the meta pages gone":           zero(8192, len(sound)),
		"a meta page that points out of itself": edited(sound, func(m []byte) { binary.LittleEndian.PutUint64(m[16:], 1<<40) }),
		"more pages than the file has":          edited(sound, func(m []byte) { binary.LittleEndian.PutUint64(m[40:], 1<<50) }),
		"pages of no size":                      edited(sound, func(m []byte) { binary.LittleEndian.PutUint32(m[8:], 0) }),
		"a free list that is the root":          edited(sound, func(m []byte) { copy(m[32:40], m[16:24]) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Path = filepath.Join(t.TempDir(), "queue.db")
			if err := os.WriteFile(o.Path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := queue.Inspect(t.Context(), o.Path); !errors.Is(err, kiosk.ErrQueueBad) {
				t.Errorf("inspect: %v", err)
			}
			if !bytes.Equal(read(t, o.Path), file) || len(names(t, o.Path)) != 1 {
				t.Fatal("inspecting changed something")
			}
			start := time.Now()
			q := open(t, o)
			defer shut(t, q)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if !strings.HasPrefix(q.Quarantined, o.Path+".bad-") {
				t.Fatalf("quarantined at %q", q.Quarantined)
			}
			if !bytes.Equal(read(t, q.Quarantined), file) {
				t.Error("the file kept aside is not the damaged one")
			}
			if len(names(t, o.Path)) != 3 || len(epochFiles(t, o.Path)) != 1 {
				t.Errorf("left behind: %v", names(t, o.Path))
			}
			put(t, q, 1, 1000)
			if err := q.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASecondDamagedFileDoesNotReplaceTheFirst(t *testing.T) {
	t.Parallel()
	o := options(t)
	var aside []string
	for n := range 3 {
		if err := os.WriteFile(o.Path, []byte{byte(n)}, 0o600); err != nil {
			t.Fatal(err)
		}
		q := open(t, o)
		aside = append(aside, q.Quarantined)
		shut(t, q)
	}
	for n, path := range aside {
		if got := read(t, path); !bytes.Equal(got, []byte{byte(n)}) {
			t.Errorf("%s holds %x, want %02x", path, got, n)
		}
	}
}

func TestAQuarantineCutShortStillAlarms(t *testing.T) {
	t.Parallel()
	o := options(t)
	aside := o.Path + ".bad-20260102T030405Z"
	for _, path := range []string{aside, o.Path + ".bad-20250102T030405Z"} {
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The empty outbox that had been prepared is no obstacle.
	if err := os.WriteFile(filepath.Join(filepath.Dir(o.Path), ".queue.db.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := open(t, o)
	if q.Quarantined != aside {
		t.Errorf("quarantined %q, want %q", q.Quarantined, aside)
	}
	shut(t, q)
	q = open(t, o)
	defer shut(t, q)
	if q.Quarantined != "" {
		t.Errorf("the alarm came again for %q", q.Quarantined)
	}
}

func TestOneTornMetaPageCostsNothing(t *testing.T) {
	t.Parallel()
	o, file := sample(t)
	older := 4096 - latest(file)
	clear(file[older+16 : older+60])
	if err := os.WriteFile(o.Path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	q := open(t, o)
	defer shut(t, q)
	want := []kiosk.RecordID{"session-2-1", "session-3-1", "session-4-1"}
	if ids, err := q.Pending(t.Context()); err != nil || !slices.Equal(ids, want) || q.Quarantined != "" {
		t.Errorf("pending %v, %v, quarantined %q", ids, err, q.Quarantined)
	}
	put(t, q, 9, 1000)
}

func TestAnotherFormatIsLeftAlone(t *testing.T) {
	t.Parallel()
	o, sound := sample(t)
	newer := bytes.Clone(sound)
	// The bucket "outbox" is inline in the root page; its value of "format" is
	// found behind its key.
	for at := 0; ; {
		i := bytes.Index(newer[at:], []byte("format\x00\x01"))
		if i < 0 {
			break
		}
		newer[at+i+7] = 2
		at += i + 8
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	damagedToo := withFreelist(t, newer)
	freelist := binary.LittleEndian.Uint64(damagedToo[latest(damagedToo)+16+32:])
	clear(damagedToo[freelist*4096 : freelist*4096+16])

	for name, file := range map[string][]byte{
		"a newer outbox":             newer,
		"a newer and damaged outbox": damagedToo,
		"another program's bbolt":    read(t, foreign),
		"a newer version of bbolt":   edited(sound, func(m []byte) { binary.LittleEndian.PutUint32(m[4:], 3) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Path = filepath.Join(t.TempDir(), "queue.db")
			if err := os.WriteFile(o.Path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := queue.Inspect(t.Context(), o.Path); !errors.Is(err, kiosk.ErrQueueNewer) {
				t.Errorf("inspect: %v", err)
			}
			if _, err := queue.Open(t.Context(), o); !errors.Is(err, kiosk.ErrQueueNewer) {
				t.Errorf("open: %v", err)
			}
			if !bytes.Equal(read(t, o.Path), file) || len(names(t, o.Path)) != 1 {
				t.Error("something was changed")
			}
		})
	}
}

func TestOnlyARegularFileIsAnOutbox(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link":      func(path string) error { return os.Symlink("/dev/null", path) },
	} {
		o := options(t)
		if err := place(o.Path); err != nil {
			t.Fatal(err)
		}
		if _, err := queue.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("open a %s: %v", name, err)
		}
		if err := queue.Inspect(t.Context(), o.Path); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("inspect a %s: %v", name, err)
		}
	}
}

func TestInspectingASoundOrMissingOutboxFindsNothing(t *testing.T) {
	t.Parallel()
	o, file := sample(t)
	if err := queue.Inspect(t.Context(), o.Path); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(read(t, o.Path), file) {
		t.Error("the file changed")
	}
	missing := filepath.Join(t.TempDir(), "not", "there", "queue.db")
	if err := queue.Inspect(t.Context(), missing); err != nil {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(missing)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
}

// child starts the test binary in another role.
func child(t *testing.T, attr *syscall.SysProcAttr, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestSecondProcess$")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = attr
	return cmd
}

func childOptions(path string) (queue.Options, error) {
	keys, err := seal.Store{Dir: os.Getenv(keyEnv), Kind: seal.FileStore}.Open()
	return queue.Options{Path: path, Keys: keys}, err
}

// hold opens an outbox, acknowledges a record and waits to be killed.
func hold() error {
	o, err := childOptions(os.Getenv(holdEnv))
	if err != nil {
		return err
	}
	ctx, cancel := withoutTest()
	defer cancel()
	q, err := queue.Open(ctx, o)
	if err != nil {
		return err
	}
	if err := q.Put(ctx, queuetest.Submission(1, 5000)); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("saved\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, errors.New("nobody killed me"))
}

func TestAnotherProcessHoldsTheOutboxUntilItIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := queue.Options{Path: filepath.Join(dir, "queue.db")}
	keyPath := filepath.Join(dir, "keys")
	var err error
	if o.Keys, err = (seal.Store{Dir: keyPath, Kind: seal.FileStore}).Create(seal.X25519); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, nil, holdEnv+"="+o.Path, keyEnv+"="+keyPath)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() }) //nolint:errcheck // the other process is gone by then
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "saved\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	before := read(t, o.Path)
	for what, call := range map[string]func() error{
		"open":    func() error { _, err := queue.Open(t.Context(), o); return err },
		"inspect": func() error { return queue.Inspect(t.Context(), o.Path) },
	} {
		start := time.Now()
		if err := call(); !errors.Is(err, kiosk.ErrQueueBusy) {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	if !bytes.Equal(before, read(t, o.Path)) {
		t.Error("a busy outbox was changed")
	}
	// The hardest way to end: nothing is flushed or closed.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the other process ended by itself")
	}
	q := open(t, o)
	defer shut(t, q)
	if ids, err := q.Pending(t.Context()); err != nil || !slices.Equal(ids, []kiosk.RecordID{"session-1-1"}) || q.Quarantined != "" {
		t.Errorf("pending %v, %v, quarantined %q", ids, err, q.Quarantined)
	}
	if _, err := q.Job(t.Context(), "session-1-1"); err != nil {
		t.Error(err)
	}
}

// TestAFileCutShortUnderneathDoesNotEndTheProcess takes away mapped pages, as
// a disk does that no longer gives them.
func TestAFileCutShortUnderneathDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	s := put(t, q, 1, 50_000)
	if err := os.Truncate(o.Path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Job(t.Context(), s.Record); !errors.Is(err, kiosk.ErrSealBroken) {
		t.Errorf("job: %v", err)
	}
	if _, err := q.Pending(t.Context()); !errors.Is(err, kiosk.ErrQueueBad) {
		t.Errorf("pending: %v", err)
	}
	if err := q.Put(t.Context(), queuetest.Submission(2, 1000)); !errors.Is(err, kiosk.ErrQueueBad) {
		t.Errorf("put: %v", err)
	}
	_, used := q.Used(t.Context(), "x")
	for what, err := range map[string]error{"probe": q.Probe(t.Context()), "admit": q.Admit(t.Context()), "used": used} {
		if err == nil || !strings.Contains(err.Error(), "opened anew") {
			t.Errorf("%s after that: %v", what, err)
		}
	}
	shut(t, q)
	q = open(t, o)
	defer shut(t, q)
	if q.Quarantined == "" {
		t.Error("the short file was not found damaged")
	}
	put(t, q, 3, 1000)
}

// FuzzSurvey holds that what the survey lets through, bbolt can read and
// write: whatever a page says, the outbox comes up and works.
func FuzzSurvey(f *testing.F) {
	o, sound := sample(f)
	listed := withFreelist(f, sound)
	f.Add(uint32(0), []byte(nil))
	f.Add(uint32(256+16), []byte{0})
	f.Add(uint32(3*256+8), []byte{1})
	f.Add(uint32(7*256+20), []byte{2, 3})
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		file := bytes.Clone(sound)
		if len(change) > 64 {
			return
		}
		if len(change)%2 == 1 {
			file = bytes.Clone(listed)
		}
		// Aim at the heads of pages: what is behind them is sealed or free.
		at %= uint32(len(file) / 4096 * 256)
		copy(file[at/256*4096+at%256:], change)
		survive(t, o, file)
	})
}

// TestNoFlippedByteKeepsTheOutboxFromComingUp is the short form of FuzzSurvey
// that every run makes, aimed at the heads of pages.
func TestNoFlippedByteKeepsTheOutboxFromComingUp(t *testing.T) {
	t.Parallel()
	o, sound := sample(t)
	listed := withFreelist(t, sound)
	random := rand.New(rand.NewPCG(5, 6))
	bad := 0
	const rounds = 80
	for n := range rounds {
		file := bytes.Clone(sound)
		if n%2 == 0 {
			file = bytes.Clone(listed)
		}
		for range 1 + random.IntN(3) {
			at := random.IntN(len(file)/4096)*4096 + random.IntN(160)
			file[at] ^= 1 << random.IntN(8)
		}
		if survive(t, o, file) {
			bad++
		}
		if t.Failed() {
			return
		}
	}
	if bad == 0 || bad == rounds {
		t.Errorf("%d of %d files were found damaged: the test tests nothing", bad, rounds)
	}
}

// survive opens file as an outbox and uses it. It reports whether it was set
// aside.
func survive(t *testing.T, o queue.Options, file []byte) bool {
	t.Helper()
	o.Path = withEpochs(t, o.Path, file)
	walked := queue.Walk(t.Context(), bytes.NewReader(file), int64(len(file)))
	q, err := queue.Open(t.Context(), o)
	if errors.Is(walked, kiosk.ErrQueueNewer) {
		if !errors.Is(err, kiosk.ErrQueueNewer) {
			t.Errorf("open: %v, want %v", err, walked)
		}
		return false
	}
	if err != nil {
		t.Errorf("open: %v", err)
		return false
	}
	defer shut(t, q)
	if (walked == nil) != (q.Quarantined == "") {
		t.Errorf("quarantined %q, but the survey said %v", q.Quarantined, walked)
	}
	ids, err := q.Pending(t.Context())
	if err != nil {
		t.Errorf("pending: %v", err)
	}
	if _, err := q.Entries(t.Context()); err != nil {
		t.Errorf("entries: %v", err)
	}
	if _, err := q.Outages(t.Context()); err != nil {
		t.Errorf("outages: %v", err)
	}
	if _, err := q.Unfetched(t.Context()); err != nil {
		t.Errorf("bookings: %v", err)
	}
	if err := q.Prune(t.Context()); err != nil {
		t.Errorf("prune: %v", err)
	}
	if err := q.Book(t.Context(), queuetest.Booking(50)); err != nil {
		t.Errorf("book: %v", err)
	}
	for _, id := range ids {
		_, job := q.Job(t.Context(), id)
		_, image := q.Image(t.Context(), id, kiosk.Selfie, nil)
		if errors.Is(job, kiosk.ErrNoRecord) {
			continue
		}
		if broken := errors.Join(job, image); broken != nil {
			if !errors.Is(broken, kiosk.ErrSealBroken) && !errors.Is(broken, kiosk.ErrNoRecord) {
				t.Errorf("%q: %v", id, broken)
			}
			if err := q.Dead(t.Context(), id, "broken"); err != nil {
				t.Errorf("dead %q: %v", id, err)
			}
			continue
		}
		if err := q.Settle(t.Context(), id, succeed(id)); err != nil {
			t.Errorf("settle %q: %v", id, err)
		}
	}
	put(t, q, 77, 20_000)
	if err := q.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	return q.Quarantined != ""
}
