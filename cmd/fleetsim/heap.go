package main

import "time"

// A kind says what an event is.
type kind uint8

const (
	wake    kind = iota // a kiosk looks for something to do
	visit               // somebody walks up to a kiosk
	served              // a record's call is answered
	refused             // a record's call is turned away
	restart             // a kiosk loses power
	boot                // and is back
)

// An event is due at a time after the gateway came back.
type event struct {
	at   time.Duration
	who  int32 // a kiosk; of served and refused a record
	kind kind
	life uint8 // of the kiosk: answers to one that restarted are nobody's
}

// A queue yields events by time. It is a heap of four branches: half as deep as
// one of two, and its children share a cache line.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent].at <= e.at {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
	*q = h
}

// pop takes the earliest event of a queue that is not empty.
func (q *queue) pop() event {
	h := *q
	first, e := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].at < h[least].at {
				least = c
			}
		}
		if h[least].at >= e.at {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
	return first
}
