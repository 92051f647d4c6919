package deliver

import "time"

// A place is where a task lies in a heap. It is void once the task was placed
// elsewhere: nothing is ever looked for in the middle of a heap.
type place struct {
	task  *task
	stamp uint64
	due   time.Time // what counts in heaps by time
	turn  uint64    // what counts in heaps by turn
}

func (p place) void() bool { return p.task.gone || p.task.running || p.stamp != p.task.stamp }

// before orders places: the earliest due first, then the least turn.
func (p place) before(q place) bool {
	if !p.due.Equal(q.due) {
		return p.due.Before(q.due)
	}
	return p.turn < q.turn
}

// places is a binary heap.
type places []place

func (h *places) push(p place) {
	s := append(*h, p)
	i := len(s) - 1
	for i > 0 && s[i].before(s[(i-1)/2]) {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
		i = (i - 1) / 2
	}
	*h = s
}

// pop removes the first place of a heap that is not empty.
func (h *places) pop() {
	s := *h
	last := len(s) - 1
	s[0], s[last] = s[last], place{}
	s = s[:last]
	for i := 0; ; {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(s) && s[child].before(s[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
}

// first returns the first place that is not void, and whether there is one.
// Those before it are removed.
func (h *places) first() (place, bool) {
	for len(*h) > 0 {
		if p := (*h)[0]; !p.void() {
			return p, true
		}
		h.pop()
	}
	return place{}, false
}
