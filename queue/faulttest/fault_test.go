package faulttest_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"livekiosk/queue/faulttest"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// allEnv has every fault be tried, instead of a sample.
const allEnv = "FAULTTEST_ALL"

// sampleSize is how many faults a run tries of each task otherwise.
const sampleSize = 55

// A bench is a file system that fails, and a worker on it.
type bench struct {
	t     *testing.T
	fs    *faulttest.FS
	at    string // the mount
	below string // the folder that it shows
	keys  string
	runs  int
	w     *process // nil: none runs
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, at: filepath.Join(dir, "at"), below: filepath.Join(dir, "below"), keys: filepath.Join(dir, "keys")}
	for _, d := range []string{b.at, b.below} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (seal.Store{Dir: b.keys, Kind: seal.FileStore}).Create(seal.X25519); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.fs, err = faulttest.Mount(b.below, b.at); err != nil {
		t.Skipf("needs root, or fusermount3, and /dev/fuse: %v", err)
	}
	t.Cleanup(func() {
		b.stop()
		if err := b.fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A process is a worker's.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr *bytes.Buffer
}

func (b *bench) start() *process {
	b.t.Helper()
	if b.w != nil {
		return b.w
	}
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(b.t.Context()), exe), stderr: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), keysEnv+"="+b.keys, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		b.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.w = p
	return p
}

// stop ends the worker and returns what it said last.
func (b *bench) stop() string {
	p := b.w
	if p == nil {
		return ""
	}
	b.w = nil
	_ = p.in.Close()
	_ = p.cmd.Wait() // how it ended is in what it said
	return p.stderr.String()
}

// do gives the worker a task and returns its reports. died is what the worker
// said if it came to its end before that of the task.
func (b *bench) do(t task) (reports []report, died string) {
	b.t.Helper()
	p := b.start()
	line, err := json.Marshal(t)
	if err != nil {
		b.t.Fatal(err)
	}
	patience := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer patience.Stop()
	if _, err = p.in.Write(append(line, '\n')); err == nil {
		for p.out.Scan() {
			var r report
			if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
				b.t.Fatalf("%q: %v", p.out.Text(), err)
			}
			if r.End {
				return reports, ""
			}
			reports = append(reports, r)
		}
	}
	return reports, cmp.Or(b.stop(), "it said nothing")
}

// A trial is one fault in one task.
type trial struct {
	do    string
	fault faulttest.Fault
}

func (tr trial) String() string { return tr.do + ", " + tr.fault.String() }

// A result is what came of a trial.
type result struct {
	hit  faulttest.Op
	died bool // the worker, of a page that could not be read
}

// try runs a trial and holds what is left against what was acknowledged.
func (b *bench) try(tr trial) (out result, wrong error) {
	b.t.Helper()
	b.runs++
	name := "run-" + strconv.Itoa(b.runs)
	if err := os.Mkdir(filepath.Join(b.below, name), 0o700); err != nil {
		b.t.Fatal(err)
	}
	defer b.remove(name)
	dir := filepath.Join(b.at, name)
	m := newModel(tr)
	b.fs.Arm(tr.fault)
	reports, died := b.do(task{Do: tr.do, Dir: dir})
	_, out.hit = b.fs.Lift()
	m.hit = out.hit
	wrong = m.learn(reports)
	if died != "" {
		// A mapped page that cannot be read ends a process that bbolt reads it in
		// by a goroutine of its own. Nothing else may.
		if !strings.Contains(died, "[signal SIGBUS") {
			wrong = errors.Join(wrong, fmt.Errorf("the process died: %s", died))
		}
		out.died = true
	}
	if tr.fault.Lost {
		wrong = errors.Join(wrong, b.powerCut(m, dir))
	}
	check, died := b.do(task{Do: "check", Dir: dir, Known: m.known})
	if died != "" || len(check) != 1 {
		return out, errors.Join(wrong, fmt.Errorf("after the fault: %s", died))
	}
	wrong = errors.Join(wrong, m.hold(check[0]))
	return out, wrong
}

// powerCut goes on for one record after a flush that lost something, and opens
// what the disk has then.
func (b *bench) powerCut(m *model, dir string) error {
	b.t.Helper()
	name := filepath.Base(dir)
	touched, died := b.do(task{Do: "touch", Dir: dir, Known: m.known})
	if died != "" || len(touched) != 1 || touched[0].Err != "" {
		return fmt.Errorf("going on: %s %v", died, touched)
	}
	cut := filepath.Join(b.below, name+"-cut")
	defer b.remove(filepath.Base(cut))
	if err := duplicate(filepath.Join(b.below, name), cut); err != nil {
		return err
	}
	m.records[touchedRecord] = map[string]bool{"pending": true}
	check, died := b.do(task{Do: "check", Dir: cut, Known: m.known})
	if died != "" || len(check) != 1 {
		return fmt.Errorf("on the disk: %s", died)
	}
	if err := m.hold(check[0]); err != nil {
		return fmt.Errorf("on the disk: %w", err)
	}
	return nil
}

func (b *bench) remove(name string) {
	b.t.Helper()
	if err := os.RemoveAll(filepath.Join(b.below, name)); err != nil {
		b.t.Error(err)
	}
}

// duplicate copies a folder of files, for this user only.
func duplicate(from, to string) error {
	files, err := os.ReadDir(from)
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}
	for _, f := range files {
		b, wrong := os.ReadFile(filepath.Join(from, f.Name()))
		err = errors.Join(err, wrong, os.WriteFile(filepath.Join(to, f.Name()), b, 0o600))
	}
	return err
}

// variants are the ways in which an operation can fail.
func variants(do string, at int, kind faulttest.Kind) []trial {
	var all []trial
	add := func(f faulttest.Fault) {
		f.At = at
		all = append(all, trial{do, f})
	}
	spans := []faulttest.Span{faulttest.Once, faulttest.Kept}
	errnos := []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO}
	switch kind {
	case faulttest.Read, faulttest.Unlink, faulttest.Statfs:
		errnos = []syscall.Errno{syscall.EIO}
	case faulttest.Write, faulttest.Sync, faulttest.Resize, faulttest.Rename, faulttest.Open:
	}
	for _, errno := range errnos {
		for _, span := range spans {
			add(faulttest.Fault{Errno: errno, Span: span})
		}
		if kind == faulttest.Write {
			add(faulttest.Fault{Errno: errno, Span: faulttest.Once, Short: true})
		}
	}
	add(faulttest.Fault{Errno: syscall.EIO, Span: faulttest.Gone})
	return all
}

// count returns the operations of a task in which nothing fails.
func (b *bench) count(do string, lossy bool) []faulttest.Op {
	b.t.Helper()
	name := fmt.Sprintf("counted-%v", lossy)
	if err := os.Mkdir(filepath.Join(b.below, name), 0o700); err != nil {
		b.t.Fatal(err)
	}
	b.fs.Arm(faulttest.Fault{At: -1, Lost: lossy})
	reports, died := b.do(task{Do: do, Dir: filepath.Join(b.at, name)})
	ops, _ := b.fs.Lift()
	if died != "" {
		b.t.Fatal(died)
	}
	for _, r := range reports {
		if r.Err != "" {
			b.t.Fatalf("%s without a fault: %s", r.Step, r.Err)
		}
	}
	return ops
}

// TestNoFaultLosesWhatWasAcknowledged fails each operation of an outbox's life,
// in each way.
func TestNoFaultLosesWhatWasAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	for _, do := range []string{"life", "quarantine"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var all []trial
			counts := map[faulttest.Kind]int{}
			ops := b.count(do, false)
			for i, op := range ops {
				counts[op.Kind]++
				all = append(all, variants(do, i, op.Kind)...)
			}
			for i, op := range b.count(do, true) {
				if op.Kind == faulttest.Sync {
					all = append(all, trial{do, faulttest.Fault{At: i, Errno: syscall.EIO, Span: faulttest.Once, Lost: true}})
				}
			}
			for _, kind := range []faulttest.Kind{faulttest.Write, faulttest.Sync, faulttest.Resize, faulttest.Rename, faulttest.Open, faulttest.Read} {
				if counts[kind] == 0 {
					t.Errorf("no %s among the operations: %v", kind, counts)
				}
			}
			tried := all
			if os.Getenv(allEnv) == "" && len(all) > sampleSize {
				seed := rand.NewPCG(uint64(len(all)), 11)
				rand.New(seed).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				tried = all[:sampleSize]
			}
			hit, deaths := 0, 0
			for _, tr := range tried {
				out, wrong := b.try(tr)
				if wrong != nil {
					t.Errorf("%s (%s %s):\n%v", tr, out.hit.Kind, out.hit.Name, wrong)
				}
				if out.hit != (faulttest.Op{}) {
					hit++
				}
				if out.died {
					deaths++
				}
			}
			t.Logf("%d operations %v, %d faults in them, %d tried, %d came to pass; the process died of an unreadable page in %d",
				len(ops), counts, len(all), len(tried), hit, deaths)
			if hit < len(tried)*9/10 {
				t.Errorf("only %d of %d faults came to pass", hit, len(tried))
			}
		})
	}
}

// A model is where everything may be, from what was acknowledged. What failed
// may have been done or not.
type model struct {
	tr      trial
	hit     faulttest.Op
	records places
	marks   map[string]map[bool]bool // whether it may be marked
	people  map[string]map[string]bool
	known   []string          // damaged outboxes that were moved aside
	sums    map[string]string // of those that are known to the last byte
	damaged string            // sum of the file that was damaged, and is next to be moved
}

// places are where each record may be.
type places map[string]map[string]bool

const (
	absent = "absent"
	half   = "half" // of damage: what of it was done is not known
)

func newModel(tr trial) *model {
	return &model{
		tr: tr, records: places{}, marks: map[string]map[bool]bool{}, people: map[string]map[string]bool{},
		sums: map[string]string{},
	}
}

func (p places) at(id string) map[string]bool {
	if p[id] == nil {
		p[id] = map[string]bool{absent: true}
	}
	return p[id]
}

// moves says where a verb brings a record.
func moves(verb string) (to string, moves bool) {
	to, moves = map[string]string{
		"put": "pending", "settle": "history EXIT_SUCCESS", "dead": "dead", "recapture": "dead", "drop": "history EXIT_ERROR",
	}[verb]
	return to, moves
}

// learn takes in what the worker said.
func (m *model) learn(reports []report) error {
	var wrong []error
	begun := report{}
	for _, r := range reports {
		if r.Begins {
			begun = r
			continue
		}
		begun = report{}
		if r.Err != "" {
			wrong = append(wrong, m.named(r))
		}
		if err := m.step(r); err != nil {
			wrong = append(wrong, err)
		}
	}
	if begun.Begins { // the process died in it
		begun.Err = "died"
		wrong = append(wrong, m.step(begun))
	}
	return errors.Join(wrong...)
}

// named reports an error that has the wrong name.
func (m *model) named(r report) error {
	stores := !slices.Contains([]string{"open", "close", "admit", "damage", "take away"}, r.Step)
	full := slices.Contains(r.Is, "full")
	space := m.tr.fault.Errno == syscall.ENOSPC || m.tr.fault.Errno == syscall.EDQUOT
	switch {
	case slices.Contains(r.Is, "newer"):
		return fmt.Errorf("%s: %s", r.Step, r.Err)
	case m.tr.fault.Span != faulttest.Once || !stores || len(r.Is) > 0 && !full:
		return nil // the first error of several is named in another trial
	case m.hit.Kind == faulttest.Sync && !r.Stopped:
		return fmt.Errorf("%s goes on after a flush that failed: %s", r.Step, r.Err)
	case m.hit.Kind == faulttest.Write && m.hit.Name == "queue.db" && space && !full && !r.Stopped:
		return fmt.Errorf("%s without room is not named as that: %s", r.Step, r.Err)
	case !space && full:
		return fmt.Errorf("%s has room and says that it is full: %s", r.Step, r.Err)
	}
	return nil
}

func (m *model) step(r report) error {
	verb, what, _ := strings.Cut(r.Step, " ")
	refused := slices.ContainsFunc(r.Is, func(is string) bool {
		return is == "full" || is == "no record" || is == "no booking" || is == "not open"
	})
	switch {
	case verb == "open" && r.Aside != "":
		return m.moved(r.Aside)
	case verb == "damage" && r.Err == "" && r.Sum != "":
		m.damaged = r.Sum
	case verb == "damage":
		m.damaged = half
	}
	if refused {
		return nil
	}
	if to, does := moves(verb); does {
		was := m.records.at(what)
		if r.Err == "" {
			clear(was)
		}
		was[to] = true
		if verb == "put" && r.Err == "" {
			m.marks[what] = map[bool]bool{false: true}
		}
	}
	switch verb {
	case "mark":
		if r.Err == "" || m.marks[what] == nil {
			m.marks[what] = map[bool]bool{}
		}
		m.marks[what][true] = true
		if r.Err != "" {
			m.marks[what][false] = true
		}
	case "book", "unbook", "fetch":
		m.person(verb, r.Err == "", what)
	}
	return nil
}

func (m *model) person(verb string, done bool, n string) {
	number, _ := strconv.Atoi(n)
	id := queuetest.Booking(number).CorrelationID
	was := m.people[id]
	if was == nil {
		was = map[string]bool{absent: true}
		m.people[id] = was
	}
	if done {
		clear(was)
	}
	was[map[string]string{"book": "booked", "unbook": absent, "fetch": "fetched"}[verb]] = true
}

// moved notes that the outbox was moved aside, as only a damaged one may be.
func (m *model) moved(to string) error {
	m.known = append(m.known, to)
	switch m.damaged {
	case "":
		return fmt.Errorf("a whole outbox was moved aside to %s", to)
	case half:
	default:
		m.sums[to] = m.damaged
	}
	m.damaged, m.records, m.marks, m.people = "", places{}, map[string]map[bool]bool{}, map[string]map[string]bool{}
	return nil
}

// hold compares what is there after the fault.
func (m *model) hold(r report) error {
	var wrong []error
	if r.Aside != "" { // by the check, or by an opening that came no further
		wrong = append(wrong, m.moved(r.Aside))
	}
	for name, want := range m.sums {
		if got, there := r.Files[name]; there && got != want {
			wrong = append(wrong, fmt.Errorf("%s was changed", name))
		}
	}
	if m.damaged == half {
		return errors.Join(wrong...) // whether it is an outbox still is open
	}
	return errors.Join(errors.Join(wrong...), m.match(r))
}

// match compares where everything is with where it may be.
func (m *model) match(r report) error {
	var wrong []error
	for id, may := range m.records {
		at, marked := strings.CutSuffix(cmp.Or(r.Records[id], absent), ", marked")
		if !may[at] {
			wrong = append(wrong, fmt.Errorf("%s is %s, want %v", id, at, slices.Sorted(maps.Keys(may))))
		}
		if may := m.marks[id]; at == "pending" && may != nil && !may[marked] {
			wrong = append(wrong, fmt.Errorf("%s is marked: %v, want %v", id, marked, !marked))
		}
	}
	for id, at := range r.Records {
		if m.records[id] == nil {
			wrong = append(wrong, fmt.Errorf("%s was never put and is %s", id, at))
		}
	}
	for id, may := range m.people {
		if at := cmp.Or(r.People[id], absent); !may[at] {
			wrong = append(wrong, fmt.Errorf("booking %s is %s, want %v", id, at, slices.Sorted(maps.Keys(may))))
		}
	}
	for id := range r.People {
		if m.people[id] == nil {
			wrong = append(wrong, fmt.Errorf("%s was never booked", id))
		}
	}
	return errors.Join(wrong...)
}
