package camera_test

import (
	"bytes"
	"image"
	"testing"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

func TestPoolCopiesAreIndependentAndErased(t *testing.T) {
	p := camera.NewPool(2)
	f := small(7, nil)
	c := p.Copy(f)
	if c == nil || c.ID != 7 || c.Format != f.Format || c.Size != f.Size || !bytes.Equal(c.Data, f.Data) {
		t.Fatalf("Copy() = %v, want a copy of %v", c, f)
	}
	data := c.Data
	f.Release()
	if !bytes.Equal(data, []byte{7, 7, 7, 7}) {
		t.Error("releasing the frame changed its copy")
	}
	c.Release()
	if !bytes.Equal(data, make([]byte, 4)) {
		t.Error("a released copy is not erased")
	}
	if again := p.Copy(small(8, nil)); &again.Data[0] != &data[0] {
		t.Error("released memory is not used again")
	}
}

func TestPoolIsBounded(t *testing.T) {
	p := camera.NewPool(2)
	a, b := p.Copy(small(1, nil)), p.Copy(small(2, nil))
	if c := p.Copy(small(3, nil)); a == nil || b == nil || c != nil || p.Out() != 2 {
		t.Fatalf("copies %v, %v, %v; out %d; want two", a, b, c, p.Out())
	}
	a.Release()
	if c := p.Copy(small(3, nil)); c == nil {
		t.Error("no copy although one was released")
	}
}

func TestPoolGivesMemoryForFramesThatGrow(t *testing.T) {
	p := camera.NewPool(1)
	for _, side := range []int{2, 700, 3, 1000} {
		f := grey(1, image.Pt(side, side), 9, nil)
		c := p.Copy(f)
		if c == nil || !bytes.Equal(c.Data, f.Data) {
			t.Fatalf("no true copy of %d bytes", len(f.Data))
		}
		c.Release()
	}
}

func TestTeePassesTheFrameAndItsCopies(t *testing.T) {
	p := camera.NewPool(1)
	var first, second []*kiosk.Frame
	put := camera.Tee(p, func(f *kiosk.Frame) { first = append(first, f) }, func(f *kiosk.Frame) { second = append(second, f) })
	a := small(1, nil)
	put(a)
	put(small(2, nil)) // the pool's one copy is out
	if len(first) != 2 || first[0] != a || len(second) != 1 || second[0] == a || second[0].ID != 1 {
		t.Errorf("first got %v, second %v; want both frames and a copy of the first", first, second)
	}
	a.Release()
	if !bytes.Equal(second[0].Data, []byte{1, 1, 1, 1}) {
		t.Error("the copy went with the frame")
	}
}

func BenchmarkTee(b *testing.B) {
	p := camera.NewPool(2)
	put := camera.Tee(p, func(*kiosk.Frame) {}, (*kiosk.Frame).Release)
	f := grey(1, image.Pt(1<<10, 100), 5, nil)
	b.SetBytes(int64(len(f.Data)))
	b.ReportAllocs()
	for b.Loop() {
		put(f)
	}
}
