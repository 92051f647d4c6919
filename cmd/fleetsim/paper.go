package main

import (
	"math"
	"time"

	"livekiosk/queue/deliver"
)

// A paper is the estimate of a scenario in closed form, from its numbers alone.
type paper struct {
	calls float64       // for a record
	alone time.Duration // that the capacity needs for the backlog
	drain time.Duration // until the last queue is empty
	peak  float64       // calls a second right after the gateway is back
}

// estimate works out what to expect of a scenario.
//
// Calls: the URLs, the confirmation, and one poll more than the verdict
// outlasts, at the times of deliver.PollWait and a gateway that is busy.
//
// Drain: while there are queues the gateway is busy all the time, and what is
// not needed for turning calls away (in balance, each answer shortens the gap
// by the factor Ease and each refusal doubles it) or for the people who come
// meanwhile goes into the backlog. Then the last kiosk speeds up alone: a sum
// of gaps that shrink by each record's answers.
//
// Peak: waits uniform up to Most end at twice the rate of their mean just after
// the gateway is back, and whoever stands there probes at limits of Person.
// Each accepted call is followed by the record's next one.
func estimate(r *result) paper {
	var e paper
	e.calls = 3
	lag := roundTrip + handling + r.Room
	for polls, since := 1, lag; since < time.Hour; polls++ {
		later := math.Log(float64(since)/float64(verdict)) / verdictSD
		e.calls += math.Erfc(later/math.Sqrt2) / 2
		since += deliver.PollWait(polls, since) + lag
	}
	work := float64(r.backlog) * e.calls
	e.alone = time.Duration(work / r.Capacity * float64(time.Second))

	arrivals := r.PerHour / 3600 * float64(r.Kiosks)
	turned := -math.Log(r.Policy.Ease) / math.Ln2 // refusals for each answer
	useful := r.Capacity/(1+turned*r.Refusal) - arrivals*e.calls
	tail := r.Policy.Most.Seconds() / (1 - math.Pow(r.Policy.Ease, e.calls))
	e.drain = time.Duration((work/useful + tail) * float64(time.Second))

	present := arrivals * presence.Seconds()
	probes := 2*float64(r.with)/r.Policy.Most.Seconds() + 2*present/r.Policy.Person.Seconds()
	// The rate F solves F = probes * (1 + a + a^2 + ...), a = capacity / F.
	low, high := probes, probes*e.calls
	for range 60 {
		e.peak = (low + high) / 2
		a := r.Capacity / e.peak
		follow := e.calls
		if a < 1 {
			follow = (1 - math.Pow(a, e.calls)) / (1 - a)
		}
		if probes*follow > e.peak {
			low = e.peak
		} else {
			high = e.peak
		}
	}
	return e
}
