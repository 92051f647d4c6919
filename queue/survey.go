package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"

	"livekiosk/kiosk"
)

// bbolt maps its file and trusts it: a file cut short ends the process, a page
// that points anywhere is followed. So the whole tree is walked here first,
// with plain reads that cannot fault, and bbolt gets only what passed. Values
// are not read: each is authenticated when it is opened.

const (
	pageSize = 4096 // of files made here, on every board

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = 1<<64 - 1 // the free pages are found by a walk instead

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10

	bucketFlag = 0x01 // of a leaf element: its value is a bucket

	headerSize  = 16
	elementSize = 16
	bucketSize  = 16
	metaSize    = 64

	keyMax    = 32768 // bbolt's own limit
	nestedMax = 16    // buckets in buckets
	levelsMax = 64    // pages from the root of a bucket to a leaf
	noteMax   = 64    // bytes of the values that tell what kind of file this is
)

// A damageError says where a file breaks the rules.
type damageError struct{ what string }

func (e *damageError) Error() string { return e.what }

func (e *damageError) Unwrap() error { return kiosk.ErrQueueBad }

func damaged(format string, args ...any) error {
	return &damageError{what: kiosk.ErrQueueBad.Error() + ": " + fmt.Sprintf(format, args...)}
}

// survey reports whether file is a sound outbox of this format. It returns
// kiosk.ErrQueueBad for damage, and kiosk.ErrQueueNewer for another format or
// for another program's file.
func survey(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return walk(ctx, file, info.Size())
}

// given reports why the disk does not give all of the file at path, nil if it
// does. A page that it does not give faults where the file is mapped, and looks
// like damage there.
func given(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	b := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch _, err := file.Read(b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func walk(ctx context.Context, r io.ReaderAt, size int64) error {
	w := walker{r: r, done: ctx.Err, found: map[string]string{}}
	err := w.file(size)
	// The format comes first: a file too new is left alone even if its pages
	// make no sense here.
	format, known := w.found["outbox/format"]
	ours := w.found["outbox/magic"] == magic
	switch {
	case ours && known && format != string([]byte{0, Format}):
		return fmt.Errorf("format %x, this version reads %04x: %w", format, Format, kiosk.ErrQueueNewer)
	case err != nil:
		return err
	case !ours:
		return fmt.Errorf("bbolt file of another program: %w", kiosk.ErrQueueNewer)
	case !known:
		return damaged("no format")
	}
	if _, err := readEpochs([]byte(w.found[outboxBucket+"/"+epochsKey])); err != nil {
		return damaged("%v", err)
	}
	for _, name := range []string{pendingBucket, deadBucket, historyBucket} {
		if _, ok := w.found[name]; !ok {
			return damaged("no bucket %s", name)
		}
	}
	return nil
}

type walker struct {
	r     io.ReaderAt
	done  func() error // non-nil when the caller no longer waits
	size  int64        // bytes per page
	pages uint64       // pages in use: the high-water mark
	taken []uint64     // a bit for each page that something refers to

	// found has the names of the top buckets, and the values of "outbox" under
	// "outbox/" and their keys.
	found map[string]string
}

// at returns n bytes from offset off of the file. What the disk does not give
// is no damage: it may be a cable, and the file may be whole.
func (w *walker) at(off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := w.r.ReadAt(b, off); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, damaged("bytes %d to %d: %v", off, off+n, err)
		}
		return nil, err
	}
	return b, nil
}

type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64
	txid     uint64
}

// meta reads the meta page at off. It returns nil if the page does not hold
// what was written there.
func (w *walker) meta(off, size int64) (*meta, error) {
	if size < off+headerSize+metaSize {
		return nil, nil
	}
	b, err := w.at(off+headerSize, metaSize)
	if err != nil {
		return nil, err
	}
	sum := fnv.New64a()
	sum.Write(b[:56])
	le := binary.LittleEndian
	if le.Uint32(b) != boltMagic || le.Uint64(b[56:]) != sum.Sum64() {
		return nil, nil
	}
	if v := le.Uint32(b[4:]); v != boltVersion {
		return nil, fmt.Errorf("bbolt format %d, this version reads %d: %w", v, boltVersion, kiosk.ErrQueueNewer)
	}
	m := &meta{
		pageSize: le.Uint32(b[8:]), root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]),
		pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:]),
	}
	if p := m.pageSize; p < 1024 || p > 1<<16 || p&(p-1) != 0 {
		return nil, damaged("pages of %d bytes", p)
	}
	return m, nil
}

func (w *walker) file(size int64) error {
	first, err := w.meta(0, size)
	if err != nil {
		return err
	}
	w.size = pageSize
	if first != nil {
		w.size = int64(first.pageSize)
	}
	second, err := w.meta(w.size, size)
	if err != nil {
		return err
	}
	m := first
	switch {
	case first == nil && second == nil:
		return damaged("neither meta page is whole")
	case second != nil && int64(second.pageSize) != w.size:
		return damaged("pages of %d and of %d bytes", w.size, second.pageSize)
	case first == nil || second != nil && second.txid > first.txid:
		m = second
	}
	if m.pages < 4 || m.pages > uint64(size/w.size) {
		return damaged("%d pages in use, but the file has %d bytes", m.pages, size)
	}
	w.pages = m.pages
	w.taken = make([]uint64, m.pages/64+1)
	if err := w.bucket(m.root, nil, 0); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return w.free(m.freelist)
}

// take notes that something refers to n pages from id on. Each page has one
// place only.
func (w *walker) take(id, n uint64) error {
	if id < 2 || id >= w.pages || n > w.pages-id {
		return damaged("page %d+%d of %d", id, n, w.pages)
	}
	for p := id; p < id+n; p++ {
		if w.taken[p/64]&(1<<(p%64)) != 0 {
			return damaged("page %d has two places", p)
		}
		w.taken[p/64] |= 1 << (p % 64)
	}
	return nil
}

// A page is a page's head and the bytes behind it that were read already.
type page struct {
	id    uint64
	flags uint16
	count int
	size  int64  // with overflow pages and header
	base  int64  // offset in the file
	body  []byte // from base on, at most one page
}

func (w *walker) page(id uint64) (*page, error) {
	if err := w.done(); err != nil {
		return nil, err
	}
	if id < 2 || id >= w.pages {
		return nil, damaged("page %d of %d", id, w.pages)
	}
	base := int64(id) * w.size
	body, err := w.at(base, w.size)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if got := le.Uint64(body); got != id {
		return nil, damaged("page %d says it is page %d", id, got)
	}
	n := uint64(le.Uint32(body[12:])) + 1
	if err := w.take(id, n); err != nil {
		return nil, err
	}
	return &page{
		id: id, flags: le.Uint16(body[8:]), count: int(le.Uint16(body[10:])),
		base: base, size: int64(n) * w.size, body: body,
	}, nil
}

// slice returns n bytes from off of the page.
func (w *walker) slice(p *page, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > p.size || n > p.size-off {
		return nil, damaged("page %d reaches to byte %d of %d", p.id, off+n, p.size)
	}
	if off+n <= int64(len(p.body)) {
		return p.body[off : off+n], nil
	}
	return w.at(p.base+off, n)
}

// bucket walks the bucket with the root page id, at path.
func (w *walker) bucket(id uint64, path []string, depth int) error {
	if depth > nestedMax {
		return damaged("buckets nested more than %d deep", nestedMax)
	}
	_, err := w.tree(id, nil, nil, path, depth, 0)
	return err
}

// tree walks the subtree with the root page id, whose keys are at least low
// and below high (nil: any). It returns the last key.
func (w *walker) tree(id uint64, low, high []byte, path []string, depth, level int) ([]byte, error) {
	if level > levelsMax {
		return nil, damaged("tree of more than %d levels", levelsMax)
	}
	p, err := w.page(id)
	if err != nil {
		return nil, err
	}
	switch p.flags {
	case leafFlag:
		return w.leaf(p, low, high, path, depth)
	case branchFlag:
		return w.branch(p, low, high, path, depth, level)
	default:
		return nil, damaged("page %d has kind %x", id, p.flags)
	}
}

// key returns element i's key and checks its place among its neighbours. The
// first key of a page may equal low; the others must be above it.
func (w *walker) key(p *page, i int, pos, size uint32, low, high []byte) ([]byte, error) {
	if size == 0 || size > keyMax {
		return nil, damaged("page %d has a key of %d bytes", p.id, size)
	}
	k, err := w.slice(p, elementAt(i)+int64(pos), int64(size))
	if err != nil {
		return nil, err
	}
	order := bytes.Compare(low, k)
	if low != nil && (order > 0 || order == 0 && i > 0) || high != nil && bytes.Compare(k, high) >= 0 {
		return nil, damaged("page %d has keys out of order", p.id)
	}
	return k, nil
}

func elementAt(i int) int64 { return headerSize + int64(i)*elementSize }

func (w *walker) branch(p *page, low, high []byte, path []string, depth, level int) ([]byte, error) {
	if p.count == 0 {
		return nil, damaged("page %d has no branches", p.id)
	}
	table, err := w.slice(p, headerSize, int64(p.count)*elementSize)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	keys := make([][]byte, p.count)
	for i := range keys {
		e := table[i*elementSize:]
		if keys[i], err = w.key(p, i, le.Uint32(e), le.Uint32(e[4:]), low, high); err != nil {
			return nil, err
		}
		low = keys[i]
	}
	var last []byte
	for i, k := range keys {
		next := high
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		if last, err = w.tree(le.Uint64(table[i*elementSize+8:]), k, next, path, depth, level+1); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (w *walker) leaf(p *page, low, high []byte, path []string, depth int) ([]byte, error) {
	table, err := w.slice(p, headerSize, int64(p.count)*elementSize)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	for i := range p.count {
		e := table[i*elementSize:]
		flags, pos, ksize, vsize := le.Uint32(e), le.Uint32(e[4:]), le.Uint32(e[8:]), le.Uint32(e[12:])
		k, err := w.key(p, i, pos, ksize, low, high)
		if err != nil {
			return nil, err
		}
		low = k
		value := elementAt(i) + int64(pos) + int64(ksize)
		if value+int64(vsize) > p.size {
			return nil, damaged("page %d has a value that reaches out of it", p.id)
		}
		if flags&bucketFlag != 0 {
			if err := w.nested(p, k, value, int64(vsize), path, depth); err != nil {
				return nil, err
			}
		} else if err := w.note(p, k, value, int64(vsize), path); err != nil {
			return nil, err
		}
	}
	return low, nil
}

// note keeps the few values that tell what kind of file this is.
func (w *walker) note(p *page, key []byte, off, n int64, path []string) error {
	if len(path) == 0 { // bbolt keeps only buckets there
		return damaged("page %d has a value where only buckets are", p.id)
	}
	if len(path) != 1 || path[0] != outboxBucket || n > noteMax {
		return nil
	}
	v, err := w.slice(p, off, n)
	if err != nil {
		return err
	}
	w.found[path[0]+"/"+string(key)] = string(v)
	return nil
}

// nested walks the bucket that is the value at off of p: a page of its own, or
// inline behind its header.
func (w *walker) nested(p *page, key []byte, off, n int64, path []string, depth int) error {
	if n < bucketSize {
		return damaged("page %d has a bucket of %d bytes", p.id, n)
	}
	v, err := w.slice(p, off, bucketSize)
	if err != nil {
		return err
	}
	if len(path) == 0 {
		w.found[string(key)] = ""
	}
	path = append(slices.Clip(path), string(key))
	if root := binary.LittleEndian.Uint64(v); root != 0 {
		return w.bucket(root, path, depth+1)
	}
	if n < bucketSize+headerSize || n > w.size {
		return damaged("page %d has an inline bucket of %d bytes", p.id, n)
	}
	if v, err = w.slice(p, off+bucketSize, n-bucketSize); err != nil {
		return err
	}
	inline := &page{
		id: p.id, flags: binary.LittleEndian.Uint16(v[8:]), count: int(binary.LittleEndian.Uint16(v[10:])),
		size: int64(len(v)), body: v,
	}
	if inline.flags != leafFlag {
		return damaged("page %d has an inline bucket of kind %x", p.id, inline.flags)
	}
	if depth+1 > nestedMax {
		return damaged("buckets nested more than %d deep", nestedMax)
	}
	_, err = w.leaf(inline, nil, nil, path, depth+1)
	return err
}

// free walks the list of free pages: each is in the file, is named once, and
// is no page of the tree.
func (w *walker) free(id uint64) error {
	p, err := w.page(id)
	if err != nil {
		return err
	}
	if p.flags != freelistFlag {
		return damaged("page %d has kind %x, want the free list", id, p.flags)
	}
	off, n := int64(headerSize), uint64(p.count)
	if p.count == 0xFFFF {
		var b []byte
		if b, err = w.slice(p, off, 8); err != nil {
			return err
		}
		off, n = off+8, binary.LittleEndian.Uint64(b)
	}
	if n > w.pages {
		return damaged("%d free pages of %d", n, w.pages)
	}
	ids, err := w.slice(p, off, int64(n)*8)
	if err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[8:] {
		if err := w.take(binary.LittleEndian.Uint64(ids), 1); err != nil {
			return err
		}
	}
	return nil
}
