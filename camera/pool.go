package camera

import (
	"sync"

	"livekiosk/kiosk"
)

// bufferStep is what buffer sizes are rounded up to: JPEG sizes vary from
// frame to frame, and a buffer should fit the next one too.
const bufferStep = 64 << 10

// A Pool lends memory for copies of frames and takes it back, erased, when
// they are released. Any goroutine may use it, and release its frames.
type Pool struct {
	mu   sync.Mutex
	max  int
	out  int
	free [][]byte
}

// NewPool returns a pool of which at most limit frames are out at a time; at
// least 1. It holds no memory until it is used.
func NewPool(limit int) *Pool { return &Pool{max: max(1, limit)} }

// Copy returns a frame with the facts of f and a copy of its bytes. It returns
// nil while all frames of the pool are out: somebody holds them too long, and
// more memory would only hide it. f stays its owner's.
func (p *Pool) Copy(f *kiosk.Frame) *kiosk.Frame {
	buf := p.take(len(f.Data))
	if buf == nil {
		return nil
	}
	copy(buf, f.Data)
	c := *f
	c.Data = buf
	return kiosk.NewFrame(c, func() { p.give(buf) })
}

// Out returns how many frames are not released yet.
func (p *Pool) Out() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out
}

func (p *Pool) take(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == p.max {
		return nil
	}
	p.out++
	// Frames are of much the same size, so the last buffer fits or none does;
	// one that has become too small is left to the garbage collector.
	if last := len(p.free) - 1; last >= 0 {
		buf := p.free[last]
		p.free[last] = nil
		p.free = p.free[:last]
		if cap(buf) >= n {
			return buf[:n]
		}
	}
	return make([]byte, n, max(1, (n+bufferStep-1)/bufferStep)*bufferStep)
}

// give takes back a buffer that kiosk.Frame.Release has erased.
func (p *Pool) give(buf []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out--
	p.free = append(p.free, buf[:0])
}

// Tee returns a put that passes each frame to first, and a copy of it from
// pool to each of the rest, in order. Where the pool is exhausted, the rest go
// without and first does not.
//
// A frame has one owner, and counting references would make every reader
// guess who else reads. Copying the compressed bytes costs about 10 us for a
// frame of 100 KB, which is less than a thousandth of decoding it.
func Tee(pool *Pool, first func(*kiosk.Frame), rest ...func(*kiosk.Frame)) func(*kiosk.Frame) {
	return func(f *kiosk.Frame) {
		for _, put := range rest {
			if c := pool.Copy(f); c != nil {
				put(c)
			}
		}
		first(f)
	}
}
