package main

import "time"

// A gateway serves calls first come, first served, at a steady rate: many
// workers behind one queue. The queue is short, so that nobody waits in it
// longer than it is worth; who finds it full is turned away at once, which
// costs the gateway something too.
type gateway struct {
	each   time.Duration // work of one call
	refuse time.Duration // work of turning one away
	room   time.Duration // work that may queue

	free time.Duration // when the work taken on is done

	offered, served []uint32 // calls in each second
}

const (
	roundTrip = 60 * time.Millisecond // to the gateway and back, over a shop's line
	handling  = 50 * time.Millisecond // of a call in a worker, beside the queueing
)

func newGateway(perSecond, refusal float64, room time.Duration) *gateway {
	each := time.Duration(float64(time.Second) / perSecond)
	return &gateway{each: each, refuse: time.Duration(refusal * float64(each)), room: room}
}

// ask makes a call. It returns how long the answer takes, and whether it is
// one that counts.
func (g *gateway) ask(now time.Duration) (time.Duration, bool) {
	second := int(now / time.Second)
	for len(g.offered) <= second {
		g.offered = append(g.offered, 0)
		g.served = append(g.served, 0)
	}
	g.offered[second]++
	g.free = max(g.free, now)
	if g.free-now > g.room {
		g.free += g.refuse
		return roundTrip, false
	}
	g.free += g.each
	g.served[second]++
	return roundTrip + handling + g.free - now, true
}
