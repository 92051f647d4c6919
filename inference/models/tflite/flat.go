package tflite

import (
	"encoding/binary"
	"fmt"
)

// A flat reads a FlatBuffer that nobody vouches for. Every read is checked; the
// first that leaves the file is kept in err, and it and all later ones give
// zero, so that callers check once after a group of reads.
//
// https://flatbuffers.dev/internals
type flat struct {
	b   []byte
	err error
}

func (f *flat) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// slice returns n bytes at p, or nil.
func (f *flat) slice(p, n int) []byte {
	if f.err != nil {
		return nil
	}
	if p < 0 || n < 0 || p > len(f.b) || n > len(f.b)-p {
		f.fail("%d bytes at offset %d reach outside the file", n, p)
		return nil
	}
	return f.b[p : p+n]
}

func (f *flat) u8(p int) int {
	if b := f.slice(p, 1); b != nil {
		return int(b[0])
	}
	return 0
}

func (f *flat) u16(p int) int {
	if b := f.slice(p, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (f *flat) u32(p int) uint32 {
	if b := f.slice(p, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (f *flat) i32(p int) int { return int(int32(f.u32(p))) }

// follow returns the position that the unsigned offset at p points to.
func (f *flat) follow(p int) int {
	o := f.u32(p)
	if f.err == nil && (o == 0 || uint64(o) > uint64(len(f.b)-p)) {
		f.fail("offset %d at %d points outside the file", o, p)
	}
	if f.err != nil {
		return 0
	}
	return p + int(o)
}

// A table is one FlatBuffer table. Every field of it may be absent.
type table struct {
	f  *flat
	at int
}

// field returns the position of field i, or 0 if the table does not have it.
func (t table) field(i int) int {
	vt := t.at - t.f.i32(t.at)
	size := t.f.u16(vt)
	if t.f.err != nil || 4+2*i+2 > size {
		return 0
	}
	if o := t.f.u16(vt + 4 + 2*i); o != 0 {
		return t.at + o
	}
	return 0
}

func (t table) u8(i int) int {
	if p := t.field(i); p != 0 {
		return t.f.u8(p)
	}
	return 0
}

func (t table) i32(i, absent int) int {
	if p := t.field(i); p != 0 {
		return t.f.i32(p)
	}
	return absent
}

// sub returns the table that field i points to.
func (t table) sub(i int) (s table, ok bool) {
	p := t.field(i)
	if p == 0 {
		return table{}, false
	}
	return table{t.f, t.f.follow(p)}, t.f.err == nil
}

// vector returns where the n elements of the vector in field i start. A vector
// of more than most elements, or one that ends outside the file, is an error.
func (t table) vector(i, size, most int) (p, n int) {
	p = t.field(i)
	if p == 0 {
		return 0, 0
	}
	p = t.f.follow(p)
	u := t.f.u32(p)
	switch {
	case t.f.err != nil:
		return 0, 0
	case uint64(u) > uint64(most):
		t.f.fail("vector at %d has %d elements, at most %d are allowed", p, u, most)
		return 0, 0
	}
	n = int(u)
	if t.f.slice(p+4, n*size) == nil && t.f.err != nil {
		return 0, 0
	}
	return p + 4, n
}

func (t table) ints(i, most int) []int {
	p, n := t.vector(i, 4, most)
	r := make([]int, n)
	for k := range r {
		r[k] = t.f.i32(p + 4*k)
	}
	return r
}

func (t table) bytes(i, most int) []byte {
	p, n := t.vector(i, 1, most)
	return t.f.slice(p, n)
}

func (t table) tables(i int) []table {
	p, n := t.vector(i, 4, maxTables)
	r := make([]table, n)
	for k := range r {
		r[k] = table{t.f, t.f.follow(p + 4*k)}
	}
	return r
}
