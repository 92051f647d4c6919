package crashtest

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
)

const (
	blockSize  = 4096
	sectorSize = 512

	// superblockMiddle lies between the two sectors of ext4's superblock, which
	// has one checksum. No write is torn there: ext4 does not survive it, whatever
	// lies in it, until fsck takes a copy of the superblock.
	superblockMiddle = 1024 + sectorSize
)

// A block is one block of a disk. It does not change once it is part of one, so
// that thousands of disks share theirs.
type block struct {
	data [blockSize]byte
	sum  uint64
	seen atomic.Pointer[remains] // what the vault found in it
}

func newBlock(data [blockSize]byte) *block {
	sum := sha256.Sum256(data[:])
	return &block{data: data, sum: binary.LittleEndian.Uint64(sum[:])}
}

// A disk is the content of a block device at one moment.
type disk struct {
	blocks []*block
	sum    uint64 // of all: the same for the same content
}

func mix(i int, sum uint64) uint64 {
	x := sum ^ (uint64(i)+1)*0x9e3779b97f4a7c15
	x ^= x >> 31
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>27
}

// newDisk returns the disk that has this content, whose length is a multiple of
// the block size.
func newDisk(content []byte) *disk {
	d := &disk{blocks: make([]*block, len(content)/blockSize)}
	empty := newBlock([blockSize]byte{})
	for i := range d.blocks {
		d.blocks[i] = empty
		d.sum ^= mix(i, empty.sum)
		d.write(int64(i*blockSize), content[i*blockSize:(i+1)*blockSize])
	}
	return d
}

// clone returns a disk that changes independently of d.
func (d *disk) clone() *disk {
	return &disk{blocks: append([]*block(nil), d.blocks...), sum: d.sum}
}

// write overwrites bytes of the disk.
func (d *disk) write(off int64, data []byte) {
	for len(data) > 0 {
		i, at := int(off/blockSize), int(off%blockSize)
		n := min(blockSize-at, len(data))
		old := d.blocks[i]
		if string(old.data[at:at+n]) != string(data[:n]) {
			content := old.data
			copy(content[at:], data[:n])
			b := newBlock(content)
			d.sum ^= mix(i, old.sum) ^ mix(i, b.sum)
			d.blocks[i] = b
		}
		data, off = data[n:], off+int64(n)
	}
}

// read copies bytes of the disk, as many as there are.
func (d *disk) read(off int64, into []byte) int {
	n := 0
	for n < len(into) && off < int64(len(d.blocks)*blockSize) {
		c := copy(into[n:], d.blocks[off/blockSize].data[off%blockSize:])
		n, off = n+c, off+int64(c)
	}
	return n
}

// An Event is one thing that happened, in the order in which it did.
type Event struct {
	Kind  byte   // write, flush, line or effect
	Off   int64  // of a write
	Data  []byte // of a write or a line
	State int    // of an effect: which state the gateway is in from now on
}

// The kinds of events.
const (
	Write  byte = 'W' // to the disk, which may forget it until the next flush
	Flush  byte = 'F' // of the disk: all writes before it are safe
	Tell   byte = 'L' // the workload wrote a line
	Effect byte = 'E' // the gateway did something
)

// A Kind is how an image differs from what was written until then.
type Kind string

// The kinds of images.
const (
	Prefix  Kind = "prefix"  // every write so far has reached the disk
	Dropped Kind = "dropped" // no write since the last flush has
	Subset  Kind = "subset"  // some of those have, which is also every other order of them
	Torn    Kind = "torn"    // and one of them in part, up to or from a sector on
	Double  Kind = "double"  // an image of the recovery of another image
)

// Kinds returns the kinds of images in the order of reports.
func Kinds() []Kind { return []Kind{Prefix, Dropped, Subset, Torn, Double} }

// A candidate is an image that can be made.
type candidate struct {
	Kind Kind  // Dropped where it is that at some event, and a prefix at an earlier one
	At   []int // events before which this is on the disk, if the power goes then
	key  int   // the how-manieth that replay visits
	sum  uint64
}

// replay visits the images of a run that began with base, in the order of its
// events: for each event the prefix before it, the same without what was not
// flushed, and more random images of both other kinds. The same seed gives the
// same ones. image must be called before visit returns.
func replay(base *disk, events []Event, more int, random uint64, visit func(kind Kind, at int, image func() *disk)) {
	r := rand.New(rand.NewPCG(random, 1)) //nolint:gosec // a choice of images, no secret
	now, safe := base.clone(), base.clone()
	var unsafe []Event
	for at := 0; ; at++ {
		visit(Prefix, at, now.clone)
		if len(unsafe) > 0 {
			visit(Dropped, at, safe.clone)
		}
		for range more {
			if len(unsafe) > 0 {
				// Drawn here and not in image, so that what comes after does not depend on
				// whether an image is made.
				a, b := r.Uint64(), r.Uint64()
				visit(Subset, at, func() *disk { return some(safe, unsafe, rand.New(rand.NewPCG(a, 2)), false) }) //nolint:gosec // as above
				visit(Torn, at, func() *disk { return some(safe, unsafe, rand.New(rand.NewPCG(b, 3)), true) })    //nolint:gosec // as above
			}
		}
		if at == len(events) {
			return
		}
		switch e := events[at]; e.Kind {
		case Write:
			now.write(e.Off, e.Data)
			unsafe = append(unsafe, e)
		case Flush:
			for _, w := range unsafe {
				safe.write(w.Off, w.Data)
			}
			unsafe = unsafe[:0]
		}
	}
}

// some returns safe with some of the writes, and one of them torn.
func some(safe *disk, writes []Event, r *rand.Rand, torn bool) *disk {
	d := safe.clone()
	share := []float64{0.1, 0.5, 0.9}[r.IntN(3)]
	tear := -1
	if torn {
		tear = r.IntN(len(writes))
		if r.IntN(2) == 0 { // most power cuts tear the newest
			tear = len(writes) - 1
		}
	}
	for i, w := range writes {
		switch {
		case i == tear && len(w.Data) > sectorSize:
			cut := sectorSize * (1 + r.IntN(len(w.Data)/sectorSize-1))
			if w.Off+int64(cut) == superblockMiddle {
				cut += sectorSize
			}
			if r.IntN(4) == 0 {
				d.write(w.Off+int64(cut), w.Data[cut:])
			} else {
				d.write(w.Off, w.Data[:cut])
			}
		case r.Float64() < share:
			d.write(w.Off, w.Data)
		}
	}
	return d
}

// distinct returns the different images of a run, each with all the events at
// which it can be on the disk.
func distinct(base *disk, events []Event, more int, random uint64) []*candidate {
	var all []*candidate
	known := map[uint64]*candidate{}
	key := 0
	replay(base, events, more, random, func(kind Kind, at int, image func() *disk) {
		sum := image().sum
		if c := known[sum]; c == nil {
			c = &candidate{Kind: kind, At: []int{at}, key: key, sum: sum}
			known[sum] = c
			all = append(all, c)
		} else {
			if c.At[len(c.At)-1] != at {
				c.At = append(c.At, at)
			}
			if kind == Dropped {
				c.Kind = kind
			}
		}
		key++
	})
	return all
}

// choose returns n of the candidates, spread over the run, and of every kind as
// many as there are of it in proportion, though no less than an eighth of n
// where there are as many.
func choose(all []*candidate, n int) map[int]*candidate {
	by := map[Kind][]*candidate{}
	for _, c := range all {
		by[c.Kind] = append(by[c.Kind], c)
	}
	chosen := map[int]*candidate{}
	quota := map[Kind]int{}
	left, rest := n, len(all)
	for _, kind := range Kinds() {
		quota[kind] = min(len(by[kind]), n/8)
		left -= quota[kind]
		rest -= quota[kind]
	}
	for _, kind := range Kinds() {
		spare := len(by[kind]) - quota[kind]
		if rest > 0 && left > 0 {
			add := min(spare, (left*spare+rest-1)/rest)
			quota[kind] += add
			left -= add
			rest -= spare
		}
		for i := range quota[kind] {
			c := by[kind][i*len(by[kind])/quota[kind]]
			chosen[c.key] = c
		}
	}
	return chosen
}

// resize makes the disk n blocks long; new ones are empty.
func (d *disk) resize(n int) {
	empty := newBlock([blockSize]byte{})
	for len(d.blocks) > n {
		i := len(d.blocks) - 1
		d.sum ^= mix(i, d.blocks[i].sum)
		d.blocks = d.blocks[:i]
	}
	for len(d.blocks) < n {
		d.sum ^= mix(len(d.blocks), empty.sum)
		d.blocks = append(d.blocks, empty)
	}
}
