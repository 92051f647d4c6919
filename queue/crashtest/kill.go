package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// killWithin is the longest time that a workload has before it is killed. All
// of it takes longer.
const killWithin = 400 * time.Millisecond

// killSessions is how many sessions a workload that is killed goes through at
// most.
const killSessions = 24

// kills ends workloads at random moments by SIGKILL, which loses what a process holds and
// nothing that the kernel has, and opens what they leave.
func (k *keeper) kills(ctx context.Context) error {
	keys := k.path("keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		return err
	}
	if err := makeKeys(keys); err != nil {
		return err
	}
	rounds := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(rounds)
		for n := range k.Kills {
			select {
			case rounds <- n:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	for i := range k.Workers {
		g.Go(func() (err error) {
			l := &lane{t: &trace{keeper: k, key: keys}, name: "kills-" + strconv.Itoa(i)}
			defer func() { err = errors.Join(err, l.close()) }()
			for n := range rounds {
				if err := l.killed(ctx, n); err != nil && ctx.Err() == nil {
					return fmt.Errorf("round %d of SIGKILL: %w", n, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// killed is one round.
func (l *lane) killed(ctx context.Context, n int) (err error) {
	dir := l.t.keeper.path(fmt.Sprintf("%s-%d", l.name, n))
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	outbox, state, lines := filepath.Join(dir, "outbox"), filepath.Join(dir, "gateway"), filepath.Join(dir, "lines")
	if err = os.MkdirAll(outbox, 0o700); err != nil {
		return err
	}
	if err = os.WriteFile(lines, nil, 0o600); err != nil {
		return err
	}
	w, err := openWorld(ctx, state, alive)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(l.t.Seed, uint64(n)+100)) //nolint:gosec // a moment, no secret
	c, err := l.t.spawnWorker(ctx, work{Dir: outbox, Lines: lines, Key: l.t.key, Gateway: w.url, Sessions: killSessions, Seed: l.t.Seed + uint64(n)})
	if err != nil {
		return errors.Join(err, w.close())
	}
	timer := time.NewTimer(time.Duration(random.Int64N(int64(killWithin))))
	defer timer.Stop()
	select {
	case <-timer.C:
		c.kill()
	case <-c.over:
		if err = c.verdict(); err != nil {
			return errors.Join(err, w.close())
		}
	case <-ctx.Done():
		c.kill()
		return errors.Join(ctx.Err(), w.close())
	}
	if err = w.close(); err != nil {
		return err
	}
	// A copy: a process that another round starts just now may have inherited the
	// lock on the directory, until it is the program that it will be.
	after := filepath.Join(dir, "gateway-after")
	if err = os.CopyFS(after, os.DirFS(state)); err != nil {
		return err
	}
	ledger := NewLedger()
	text, err := os.ReadFile(lines)
	if err != nil {
		return err
	}
	at := 0
	for line := range bytes.Lines(text) {
		if !json.Valid(line) { // the write that was killed
			break
		}
		if err = ledger.Hear(line, at); err != nil {
			return err
		}
		at++
	}
	f := l.ask(ctx, trial{Dir: outbox, Key: l.t.key, Gateway: after, Number: 2_000_000 + n})
	if ctx.Err() != nil {
		return nil
	}
	problems := []string{f.Failed}
	if f.Failed == "" {
		problems = append(ledger.Check(f.Before), ledger.Finish(f.Before, f.After, f.Confirmed, f.Extra)...)
	}
	l.t.note(func(r *Report) { r.Kills++ })
	l.t.problems(fmt.Sprintf("SIGKILL round %d after line %d", n, at), problems)
	return nil
}
