package crashtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	diskSize    = 24 << 20
	doubleEvery = 50 // images, of which one is crashed again while it recovers
	doublePick  = 6  // images of such a recovery
	childEvery  = 20 // images, of which a child reads one first
	mostProblem = 20 // examples kept
	mostTraces  = 1000
)

// A keeper does a run, in a mount namespace of its own.
type keeper struct {
	Options

	dir   string
	known map[uint64]bool // images that were tried

	mu     sync.Mutex
	report Report
}

// A trace is one workload that was recorded, and what it promises.
type trace struct {
	*keeper

	dir     string
	key     string // directory of the device keys
	seed    uint64
	empty   *disk // with an empty file system
	events  []Event
	ledgers []*Ledger // by event
	states  []int     // of the gateway, by event
	history *history
	vault   *vault
}

// now returns a copy of the report.
func (k *keeper) now() Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.report
	r.Images, r.Problems, r.Examples = maps.Clone(r.Images), maps.Clone(r.Problems), slices.Clone(r.Examples)
	return r
}

func (k *keeper) note(change func(*Report)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.report)
}

// problems notes what is wrong with an image, by the first word of each.
func (k *keeper) problems(where string, all []string) {
	k.note(func(r *Report) {
		for _, p := range all {
			kind, _, _ := strings.Cut(p, ":")
			r.Problems[kind]++
			if len(r.Examples) < mostProblem {
				r.Examples = append(r.Examples, where+": "+p)
			}
		}
	})
}

func (k *keeper) path(name string) string { return filepath.Join(k.dir, name) }

func (k *keeper) run(ctx context.Context) error {
	if err := unix.Mount("tmpfs", k.dir, "tmpfs", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount tmpfs at %s: %w", k.dir, err)
	}
	if k.Images > 0 {
		if err := k.images(ctx); err != nil {
			return err
		}
	}
	if k.Kills > 0 && ctx.Err() == nil {
		return k.kills(ctx)
	}
	return nil
}

// images records workloads and tries what a power cut could have left, until
// there were as many images as asked for.
func (k *keeper) images(ctx context.Context) error {
	k.known = map[uint64]bool{}
	var enough <-chan struct{}
	if k.Duration > 0 {
		timely, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.Duration)
		defer cancel()
		enough = timely.Done()
	}
	for n := range uint64(mostTraces) {
		left := k.Images - len(k.known)
		if left <= 0 || ctx.Err() != nil || k.now().Stopped {
			return nil
		}
		t := &trace{keeper: k, dir: k.path(fmt.Sprint("trace-", n)), key: k.path(fmt.Sprint("keys-", n)), seed: k.Seed + n}
		if err := t.run(ctx, left, enough); err != nil {
			return fmt.Errorf("workload of seed %d: %w", t.seed, err)
		}
	}
	return fmt.Errorf("%d workloads left no more than %d different images", mostTraces, len(k.known))
}

// run records a workload and tries up to images of its images, until enough is
// closed.
func (t *trace) run(ctx context.Context, images int, enough <-chan struct{}) error {
	start := time.Now()
	for _, dir := range []string{t.dir, t.key} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := makeKeys(t.key); err != nil {
		return err
	}
	var err error
	if t.empty, err = makeFileSystem(ctx, t.path("empty.img"), diskSize); err != nil {
		return err
	}
	if err = t.record(ctx); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err = t.read(); err != nil {
		return err
	}
	if t.Control == LyingDisk {
		for i, e := range t.events {
			if e.Kind == Flush {
				t.events[i] = Event{Kind: Tell} // nothing that anybody heard
			}
		}
	}
	t.note(func(r *Report) { r.Record += time.Since(start) })
	start = time.Now()
	err = t.tryAll(ctx, images, enough)
	t.note(func(r *Report) { r.Try += time.Since(start) })
	return errors.Join(err, os.RemoveAll(t.dir))
}

func (t *trace) path(name string) string { return filepath.Join(t.dir, name) }

// record runs the workload on a disk that is recorded.
func (t *trace) record(ctx context.Context) (err error) {
	rec, mnt, state := t.path("recorder"), t.path("mnt"), t.path("gateway")
	for _, dir := range []string{rec, mnt} {
		if err = os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	r, err := openRecorder(rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	w, err := openWorld(ctx, state, alive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	t.history = &history{}
	if _, err = t.history.add(w); err != nil {
		return err
	}
	var broken error // of the history, which nobody else would tell
	w.changed = func() {
		n, failed := t.history.add(w)
		if failed != nil {
			broken = errors.Join(broken, failed)
			return
		}
		r.effect(n)
	}
	r.start(t.empty)
	l, err := attach(r.diskPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.detach()) }()
	if err = l.mount(mnt); err != nil {
		return err
	}
	job := work{
		Dir: mnt, Lines: r.linePath(), Archive: t.path("archive"), Key: t.key, Gateway: w.url,
		Sessions: t.Sessions, Seed: t.seed, Plain: t.Control == PlainText, Rotate: true,
	}
	err = t.work(ctx, job)
	t.events = r.stop()
	return errors.Join(err, unmount(context.WithoutCancel(ctx), mnt), broken)
}

// work runs the workload to its end.
func (k *keeper) work(ctx context.Context, job work) error {
	c, err := k.spawnWorker(ctx, job)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	<-c.over
	return errors.Join(ctx.Err(), c.verdict())
}

// spawnWorker starts the workload.
func (k *keeper) spawnWorker(ctx context.Context, job work) (*child, error) {
	program, environment := "", []string(nil)
	if k.Control.Weakens() {
		program, environment = k.Weakened, []string{"LIVEKIOSK_WEAKEN=" + string(k.Control)}
	}
	c, err := spawn(ctx, roleWorker, program, environment, nil)
	if err != nil {
		return nil, err
	}
	if err := c.send.Encode(job); err != nil {
		c.kill()
		return nil, errors.Join(err, c.verdict())
	}
	return c, nil
}

// read goes through what was recorded: what is promised at each event, which
// state the gateway is in, and whether anything readable reached the disk.
func (t *trace) read() error {
	ledger, state := NewLedger(), 0
	now := ledger.Clone()
	words := canaries()
	counts := Report{}
	for at, e := range t.events {
		t.ledgers, t.states = append(t.ledgers, now), append(t.states, state)
		switch e.Kind {
		case Write:
			counts.Writes++
			counts.Bytes += int64(len(e.Data))
		case Flush:
			counts.Flushes++
		case Effect:
			counts.Effects++
			state = e.State
		case Tell:
			counts.Lines++
			if err := ledger.Hear(e.Data, at); err != nil {
				return err
			}
			now = ledger.Clone()
			var line Line
			if err := json.Unmarshal(e.Data, &line); err == nil && line.Op == OpSecret {
				words = append(words, line.Secret)
			}
		}
	}
	t.ledgers, t.states = append(t.ledgers, now), append(t.states, state)
	counts.Secrets = len(words)
	counts.Found = leaks(words, t.events)
	if counts.Found > 0 {
		t.problems("writes", []string{fmt.Sprintf("leaked: secrets were found %d times in what was written to the disk", counts.Found)})
	}
	var err error
	if t.vault, err = openVault(t.path("archive"), t.path("vault"), t.key); err != nil {
		return err
	}
	t.note(func(r *Report) {
		r.Workloads++
		r.Writes, r.Bytes, r.Flushes = r.Writes+counts.Writes, r.Bytes+counts.Bytes, r.Flushes+counts.Flushes
		r.Lines, r.Effects = r.Lines+counts.Lines, r.Effects+counts.Effects
		r.Secrets, r.Found = r.Secrets+counts.Secrets, r.Found+counts.Found
		r.Parts, r.Keys = r.Parts+t.vault.parts, r.Keys+t.vault.keys
	})
	return nil
}

// leaks counts the writes to the disk in which a secret can be read, as it is,
// in base64 or in hexadecimal digits.
func leaks(secrets [][]byte, events []Event) int {
	var forms [][]byte
	for _, s := range secrets {
		forms = append(forms, s, []byte(hex.EncodeToString(s)))
		for shift := range 3 { // base64 looks different at each offset
			text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), s...))
			forms = append(forms, []byte(text[4*min(shift, 1):len(text)-4]))
		}
	}
	n := 0
	for _, e := range events {
		if e.Kind != Write {
			continue
		}
		for _, form := range forms {
			if bytes.Contains(e.Data, form) {
				n++
			}
		}
	}
	return n
}

// A job is an image to try.
type job struct {
	number  int
	kind    Kind
	at      int
	image   *disk
	ledgers []*Ledger // of all the events at which the image can be on the disk
	state   int       // of the gateway at the last of them
}

// tryAll tries up to n images of the trace, until enough is closed.
func (t *trace) tryAll(ctx context.Context, n int, enough <-chan struct{}) error {
	more := min(max(1, 2*n/len(t.events)), 12)
	all := slices.DeleteFunc(distinct(t.empty, t.events, more, t.seed), func(c *candidate) bool { return t.known[c.sum] })
	chosen := choose(all, n)
	for _, c := range chosen {
		t.known[c.sum] = true
	}
	t.note(func(r *Report) { r.Candidates += len(all) })

	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan job)
	g.Go(func() error {
		defer close(jobs)
		t.hand(ctx, chosen, more, jobs, enough)
		return nil
	})
	for i := range t.Workers {
		g.Go(func() (err error) {
			l, err := openLane(t, i)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.close()) }()
			for j := range jobs {
				if err := l.take(ctx, j); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) { // the run was ended
		return nil
	}
	return err
}

// hand makes the images that were chosen and hands them out, in the order of
// their events.
func (t *trace) hand(ctx context.Context, chosen map[int]*candidate, more int, jobs chan<- job, enough <-chan struct{}) {
	key, number, stopped := 0, 0, false
	replay(t.empty, t.events, more, t.seed, func(_ Kind, at int, image func() *disk) {
		c := chosen[key]
		key++
		if c == nil || stopped {
			return
		}
		number++
		j := job{number: number, kind: c.Kind, at: at, image: image(), state: t.states[c.At[len(c.At)-1]]}
		for _, at := range c.At {
			if n := len(j.ledgers); n == 0 || j.ledgers[n-1] != t.ledgers[at] {
				j.ledgers = append(j.ledgers, t.ledgers[at])
			}
		}
		select {
		case jobs <- j:
			return
		case <-enough:
		case <-ctx.Done():
		}
		stopped = true
		t.note(func(r *Report) { r.Stopped = true })
	})
}
