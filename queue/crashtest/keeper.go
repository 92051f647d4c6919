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
	mostProblem = 20 // examples kept
)

// A keeper does a run, in a mount namespace of its own.
type keeper struct {
	Options

	dir     string
	key     string
	empty   *disk   // with an empty file system
	events  []Event // of the workload
	ledgers []*Ledger
	states  []int // of the gateway, by event
	history *history
	vault   *vault

	mu     sync.Mutex
	report Report
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
	k.key = k.path("keys")
	if err := os.Mkdir(k.key, 0o700); err != nil {
		return err
	}
	if err := makeKeys(k.key); err != nil {
		return err
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

// images records the workload and tries what a power cut could have left.
func (k *keeper) images(ctx context.Context) error {
	start := time.Now()
	var err error
	if k.empty, err = makeFileSystem(ctx, k.path("empty.img"), diskSize); err != nil {
		return err
	}
	if err := k.record(ctx); err != nil {
		return fmt.Errorf("record the workload: %w", err)
	}
	if err := k.read(); err != nil {
		return err
	}
	k.note(func(r *Report) { r.Record = time.Since(start) })
	if k.Control == LyingDisk {
		k.events = slices.Clone(k.events)
		for i := range k.events {
			if k.events[i].Kind == Flush {
				k.events[i] = Event{Kind: Tell}
			}
		}
	}
	return k.tryAll(ctx)
}

// record runs the workload on a disk that is recorded.
func (k *keeper) record(ctx context.Context) (err error) {
	rec, mnt, state := k.path("recorder"), k.path("mnt"), k.path("gateway")
	for _, dir := range []string{rec, mnt} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	r, err := openRecorder(rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	w, err := openWorld(state, alive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	k.history = &history{}
	if _, err := k.history.add(w); err != nil {
		return err
	}
	var broken error // of the history, which nobody else would tell
	w.changed = func() {
		if n, err := k.history.add(w); err == nil {
			r.effect(n)
		} else {
			broken = errors.Join(broken, err)
		}
	}
	r.start(k.empty)
	l, err := attach(r.diskPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.detach()) }()
	if err := l.mount(mnt); err != nil {
		return err
	}
	job := work{
		Dir: mnt, Lines: r.linePath(), Archive: k.path("archive"), Key: k.key, Gateway: w.url,
		Sessions: k.Sessions, Seed: k.Seed, Plain: k.Control == PlainText,
	}
	err = k.work(ctx, job)
	k.events = r.stop()
	return errors.Join(err, unmount(context.WithoutCancel(ctx), mnt), broken)
}

// work runs the workload to its end.
func (k *keeper) work(ctx context.Context, job work) error {
	c, err := k.spawnWorker(job)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	<-c.over
	return errors.Join(ctx.Err(), c.verdict())
}

// spawnWorker starts the workload.
func (k *keeper) spawnWorker(job work) (*child, error) {
	program, environment := "", []string(nil)
	if k.Control.Weakens() {
		program, environment = k.Weakened, []string{"LIVEKIOSK_WEAKEN=" + string(k.Control)}
	}
	c, err := spawn(roleWorker, program, environment, nil)
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
func (k *keeper) read() error {
	ledger, state := NewLedger(), 0
	now := ledger.Clone()
	words := canaries()
	counts := Report{}
	for at, e := range k.events {
		k.ledgers, k.states = append(k.ledgers, now), append(k.states, state)
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
	k.ledgers, k.states = append(k.ledgers, now), append(k.states, state)
	counts.Secrets = len(words)
	counts.Found = leaks(words, k.events)
	if counts.Found > 0 {
		k.problems("writes", []string{fmt.Sprintf("leaked: secrets were found %d times in what was written to the disk", counts.Found)})
	}
	var err error
	if k.vault, err = openVault(k.path("archive"), k.path("vault"), k.key); err != nil {
		return err
	}
	k.note(func(r *Report) {
		r.Writes, r.Bytes, r.Flushes, r.Lines, r.Effects = counts.Writes, counts.Bytes, counts.Flushes, counts.Lines, counts.Effects
		r.Secrets, r.Found = counts.Secrets, counts.Found
		r.Parts, r.Keys, r.Opened = k.vault.parts, k.vault.keys, k.vault.opened
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

// tryAll tries the images that were chosen.
func (k *keeper) tryAll(ctx context.Context) error {
	start := time.Now()
	defer func() { k.note(func(r *Report) { r.Try = time.Since(start) }) }()
	more := min(max(1, (2*k.Images)/len(k.events)), 12)
	all := distinct(k.empty, k.events, more, k.Seed)
	chosen := choose(all, k.Images)
	k.note(func(r *Report) { r.Candidates, r.Chosen = len(all), len(chosen) })

	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan job)
	enough := make(chan struct{}) // closed when the time is up
	if k.Duration > 0 {
		timer := time.AfterFunc(k.Duration, func() { close(enough) })
		defer timer.Stop()
	}
	g.Go(func() error {
		defer close(jobs)
		key, number, stopped := 0, 0, false
		replay(k.empty, k.events, more, k.Seed, func(_ Kind, at int, make func() *disk) {
			c := chosen[key]
			key++
			if c == nil || stopped {
				return
			}
			number++
			j := job{number: number, kind: c.Kind, at: at, image: make(), state: k.states[c.At[len(c.At)-1]]}
			for _, at := range c.At {
				if n := len(j.ledgers); n == 0 || j.ledgers[n-1] != k.ledgers[at] {
					j.ledgers = append(j.ledgers, k.ledgers[at])
				}
			}
			select {
			case jobs <- j:
			case <-enough:
				stopped = true
			case <-ctx.Done():
				stopped = true
			}
		})
		if stopped {
			k.note(func(r *Report) { r.Stopped = true })
		}
		return nil
	})
	for i := range k.Workers {
		g.Go(func() (err error) {
			l, err := openLane(k, i)
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
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	} else if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
