package queue

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Reading is what a machine knows of time without a clock on the wall: how
// long it runs. The zero Reading is of a machine that does not know.
type Reading struct {
	Boot string        // names this run of the machine: another one after each restart
	Up   time.Duration // since then, sleep included
}

// bootFile names this boot of the machine.
const bootFile = "/proc/sys/kernel/random/boot_id"

// machine returns what reads the kernel's CLOCK_BOOTTIME, and its boot id once:
// no process outlives a boot. It is the zero Reading where the kernel tells
// neither.
func machine() func() Reading {
	boot, err := os.ReadFile(bootFile)
	name := strings.TrimSpace(string(boot))
	return func() Reading {
		var now unix.Timespec
		if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
			return Reading{}
		}
		return Reading{Boot: name, Up: time.Duration(now.Nano())}
	}
}

// A moment is all that can be asked of time at once.
type moment struct {
	Reading

	Wall    time.Time
	Trusted bool // the wall clock is right enough to count by: not before the floor, and confirmed
}

// clockKey is where the clock lies, in outbox.
const clockKey = "clock"

// What a clock in the file can hold and be believed. Its sums stay far from
// what an int64 of nanoseconds holds.
const (
	elapsedMost = 100 * 365 * 24 * time.Hour
	bootMax     = 64 // bytes of a boot's name
	clockMax    = 1 << 10
)

// A clock counts the time that has certainly passed since the outbox was
// first opened, and no more: what is erased for its age must not be erased
// early because a clock on the wall was wrong.
//
// While the machine runs, its own count is proof. Over a restart nothing is,
// but the wall clock where it was trusted both before and after: what passed
// between two trusted readings counts once the second is there, also when the
// machine was restarted several times in between or learns the time an hour
// after it started. Everything else counts as nothing. So a clock can fall
// behind, and what is erased by it late, and it never runs ahead.
//
// The zero clock was never asked.
type clock struct {
	Format  uint16        `json:"format"`
	Boot    string        `json:"boot,omitempty"` // of the last moment
	Up      time.Duration `json:"up"`             // in that boot, ns
	Elapsed time.Duration `json:"elapsed"`        // proven until then, ns

	Trusted mark `json:"trusted,omitzero"` // the last moment at which the wall clock was trusted
}

// A mark is a moment that a later one of another boot can be held against.
type mark struct {
	Boot    string        `json:"boot,omitempty"`
	Wall    time.Time     `json:"wall"`
	Elapsed time.Duration `json:"elapsed"` // ns
}

// decodeClock returns the clock in b. The zero clock is in nothing.
func decodeClock(b []byte) (clock, error) {
	if b == nil {
		return clock{}, nil
	}
	if len(b) > clockMax {
		return clock{}, fmt.Errorf("clock: %d bytes", len(b))
	}
	var c clock
	if err := json.Unmarshal(b, &c); err != nil {
		return clock{}, fmt.Errorf("clock: %w", err)
	}
	switch {
	case c.Format != Format:
		return clock{}, fmt.Errorf("clock: format %d", c.Format)
	case len(c.Boot) > bootMax || len(c.Trusted.Boot) > bootMax:
		return clock{}, fmt.Errorf("clock: boots named with %d and %d bytes", len(c.Boot), len(c.Trusted.Boot))
	case c.Up < 0 || c.Up > elapsedMost || c.Elapsed < 0 || c.Elapsed > elapsedMost || c.Trusted.Elapsed < 0 || c.Trusted.Elapsed > c.Elapsed:
		return clock{}, fmt.Errorf("clock: %d ns, of them %d trusted, at %d: no clock counts so", c.Elapsed, c.Trusted.Elapsed, c.Up)
	}
	return c, nil
}

// at returns the clock at a later moment. Asked about an earlier one, of the
// same boot or of the wall, it stands still.
func (c clock) at(m moment) clock {
	next := clock{Format: Format, Boot: m.Boot, Up: min(max(m.Up, 0), elapsedMost), Elapsed: c.Elapsed, Trusted: c.Trusted}
	if m.Boot == c.Boot && m.Boot != "" {
		next.Elapsed += max(next.Up-c.Up, 0)
		next.Up = max(next.Up, c.Up)
	}
	if m.Trusted {
		// In the boot of the mark the machine's own count is there, and a wall
		// clock that was set proves nothing.
		if t := c.Trusted; !t.Wall.IsZero() && (t.Boot != m.Boot || t.Boot == "") {
			next.Elapsed = max(next.Elapsed, t.Elapsed+min(max(m.Wall.Sub(t.Wall), 0), elapsedMost))
		}
		next.Trusted.Boot, next.Trusted.Wall = m.Boot, m.Wall.UTC().Round(0)
	}
	next.Elapsed = min(next.Elapsed, elapsedMost)
	if m.Trusted {
		next.Trusted.Elapsed = next.Elapsed
	}
	return next
}

// seconds returns what has certainly passed, in whole seconds.
func (c clock) seconds() int64 { return int64(c.Elapsed / time.Second) }

// stamp returns what a record notes of the clock when it is put: whole
// seconds, rounded up and so never zero, which is what a record has that was
// not put under a clock.
func (c clock) stamp() int64 { return c.seconds() + 1 }

// age returns how long ago a record with that stamp was certainly put. It
// reports false if the stamp says nothing: if there is none, or if it lies so
// far ahead that it is of another clock. A restart without a trusted clock
// sets the clock back by as much as had not been saved, so a little ahead is
// ordinary.
func (c clock) age(stamp int64) (time.Duration, bool) {
	if stamp <= 0 || stamp > c.stamp()+int64(clockSlack/time.Second) || stamp > math.MaxInt64/int64(time.Second) {
		return 0, false
	}
	return max(c.Elapsed-time.Duration(stamp)*time.Second, 0), true
}

// tick returns the clock as it is now.
func (q *Queue) tick() clock {
	wall := time.Now()
	now := moment{Reading: q.o.Clock(), Wall: wall, Trusted: !wall.Before(q.o.Floor) && q.o.Trusted()}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clock = q.clock.at(now)
	return q.clock
}

// keepTime writes the clock, so that a restart loses little of what it counted.
func (q *Queue) keepTime(w *writing) error {
	kept, err := json.Marshal(q.tick())
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return w.tx.Bucket([]byte(outboxBucket)).Put([]byte(clockKey), kept)
}
