package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// bin is the width of the bins in which rates are taken. One of 10 s holds
// 12,000 calls of the standard scenario: peaks in it are not chance.
const bin = 10 * time.Second

// The bounds. A rate counts every call that reaches the gateway, those it turns
// away included.
const (
	mostPeak   = 3.0 // the busiest bin, in means over the drain
	mostDrain  = 2.0 // the drain, in times that the capacity alone needs for the backlog
	mostWalkin = presence
)

// A result is what one scenario came to.
type result struct {
	scenario
	backlog, busiest, with int // records at the start, of the busiest kiosk; kiosks that have any
	left                   int // records at the end

	drain   time.Duration // until the last queue was empty
	alone   time.Duration // that the capacity needs for the backlog's calls, and nothing else
	offered uint64
	served  uint64
	calls   float64 // that were served, for a record of the backlog
	mean    float64 // offered a second
	peak    float64 // in the busiest bin
	second  float64 // in the busiest second
	store   float64 // uploads a second, in the busiest bin

	half, late, last time.Duration // kiosks done: 50 %, 99 %, all
	drought          time.Duration // longest time in which a kiosk with a queue delivered nothing of it
	oldest           time.Duration // longest time from capture to verdict
	walkins          int
	walkinHalf       time.Duration // people during the drain, arrival to verdict: 50 %, 99 %
	walkinLate       time.Duration
	inTime           float64 // share of them who had it while they stood there

	bins []sample
}

// A sample is one bin: calls a second, and records left at its start.
type sample struct {
	at                       time.Duration
	offered, served, refused float64
	left                     int
}

func (f *fleet) result() *result {
	r := &result{
		scenario: f.scenario, backlog: f.backlog, busiest: f.busiest, with: f.started, left: f.left,
		drain: f.now, oldest: f.waited, walkins: len(f.walkins),
	}
	width := int(bin / time.Second)
	for from := 0; from < len(f.gateway.offered); from += width {
		to := min(from+width, len(f.gateway.offered))
		offered, served := sum(f.gateway.offered[from:to]), sum(f.gateway.served[from:to])
		r.offered += offered
		r.served += served
		// The last bin may be short: it counts as a whole one.
		s := sample{
			at: time.Duration(from) * time.Second, offered: float64(offered) / bin.Seconds(), served: float64(served) / bin.Seconds(),
			left: int(f.queued[from]),
		}
		s.refused = s.offered - s.served
		r.bins = append(r.bins, s)
		r.peak = max(r.peak, s.offered)
		r.second = max(r.second, float64(slices.Max(f.gateway.offered[from:to])))
		r.store = max(r.store, float64(sum(f.puts[from:to]))/bin.Seconds())
	}
	r.mean = float64(r.offered) / f.now.Seconds()
	r.calls = float64(f.spent) / float64(max(f.backlog-f.left, 1))
	r.alone = time.Duration(float64(f.backlog) * r.calls / f.Capacity * float64(time.Second))
	var done []time.Duration
	for i := range f.shops {
		k := &f.shops[i]
		if k.left > 0 { // given up at the horizon
			k.done = f.now
			k.drought = max(k.drought, f.now-k.progress)
		}
		if k.done > 0 {
			done = append(done, k.done)
		}
		r.drought = max(r.drought, k.drought)
	}
	slices.Sort(done)
	slices.Sort(f.walkins)
	r.half, r.late, r.last = quantile(done, 0.5), quantile(done, 0.99), quantile(done, 1)
	r.walkinHalf, r.walkinLate = quantile(f.walkins, 0.5), quantile(f.walkins, 0.99)
	inTime, _ := slices.BinarySearch(f.walkins, presence+1)
	r.inTime = float64(inTime) / float64(max(len(f.walkins), 1))
	return r
}

func sum(counts []uint32) uint64 {
	var n uint64
	for _, c := range counts {
		n += uint64(c)
	}
	return n
}

// quantile of sorted times; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(q*float64(len(sorted)-1)))]
}

// broken lists the bounds that do not hold.
func (r *result) broken() []error {
	var b []error
	if r.left > 0 {
		b = append(b, fmt.Errorf("%d records are left after %v", r.left, r.drain))
	}
	if x := r.peak / r.mean; x > mostPeak {
		b = append(b, fmt.Errorf("peak rate %.2f times the mean, more than %.0f", x, mostPeak))
	}
	if x := r.drain.Seconds() / r.alone.Seconds(); x > mostDrain {
		b = append(b, fmt.Errorf("last queue empty after %.2f times what the capacity alone needs, more than %.0f", x, mostDrain))
	}
	if r.drought > r.alone {
		b = append(b, fmt.Errorf("a kiosk with a queue delivered nothing of it for %v, longer than the capacity alone needs for all queues, %v",
			r.drought.Round(time.Second), r.alone.Round(time.Second)))
	}
	if r.RetryAfter == 0 && r.walkinLate > mostWalkin {
		b = append(b, fmt.Errorf("1 in 100 people waits longer than %v for the verdict, more than %v", r.walkinLate.Round(time.Second), mostWalkin))
	}
	return b
}
