package pin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/pin"
)

// cheap is a price for tests.
var cheap = pin.Price{Memory: 64, Passes: 1, Lanes: 1}

func TestAHashIsOfItsPINAndOfNoOther(t *testing.T) {
	h, err := pin.New("493027", cheap)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pin.Parse(h.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	for digits, want := range map[string]bool{"493027": true, "493028": false, "4930270": false, "": false} {
		if again.Is(digits) != want {
			t.Errorf("%q is taken for the PIN: %v", digits, !want)
		}
	}
	if other, _ := pin.New("493027", cheap); other.String() == h.String() {
		t.Error("two hashes of one PIN are the same: no salt")
	}
	if strings.Contains(h.String(), "493027") {
		t.Errorf("the PIN stands in %s", h)
	}
}

func TestPINsThatAreNone(t *testing.T) {
	for _, digits := range []string{"", "12345", "1234567890123", "49302a", "49302٤", "000000", "123456", "345678", "987654", "890123"} {
		if _, err := pin.New(digits, cheap); err == nil {
			t.Errorf("%q is taken", digits)
		}
	}
}

func TestTextThatIsNoHash(t *testing.T) {
	h, err := pin.New("493027", cheap)
	if err != nil {
		t.Fatal(err)
	}
	good := h.String()
	for name, s := range map[string]string{
		"nothing":            "",
		"another hash":       strings.Replace(good, "argon2id", "argon2i", 1),
		"another version":    strings.Replace(good, "v=19", "v=16", 1),
		"memory without end": strings.Replace(good, "m=64", "m=4194304", 1),
		"no memory":          strings.Replace(good, "m=64", "m=1", 1),
		"passes without end": strings.Replace(good, "t=1", "t=1000", 1),
		"no lane":            strings.Replace(good, "p=1", "p=0", 1),
		"a sign":             strings.Replace(good, "t=1", "t=+1", 1),
		"half of it":         good[:len(good)/2],
		"something after it": good + "$x",
		"a PIN in the clear": "493027",
	} {
		if _, err := pin.Parse(s); !errors.Is(err, pin.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A desk has a clock, and a PIN that is "right".
type desk struct {
	t     *testing.T
	now   time.Duration
	guard *pin.Guard
}

func newDesk(t *testing.T, path string) *desk {
	t.Helper()
	d := &desk{t: t}
	d.guard = &pin.Guard{Path: path, Now: func() time.Duration { return d.now }}
	return d
}

// try returns how a try went: right, wrong, or paused for how long.
func (d *desk) try(right bool) (bool, time.Duration) {
	d.t.Helper()
	ok, err := d.guard.Try(func() (bool, error) { return right, nil })
	if p, is := errors.AsType[*kiosk.PausedError](err); is {
		return false, p.For
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return ok, 0
}

func TestFewTriesAreLookedAt(t *testing.T) {
	d := newDesk(t, "")
	for range 4 {
		d.try(false)
	}
	if ok, _ := d.try(true); !ok {
		t.Fatal("the right one after four that were wrong is not taken")
	}
	for n := range 5 {
		if _, paused := d.try(false); paused != 0 {
			t.Fatalf("paused at try %d", n)
		}
	}
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if ok, paused := d.try(true); ok || paused != want {
			t.Fatalf("taken: %v, paused %v, want %v", ok, paused, want)
		}
		d.now += want
		if _, paused := d.try(false); paused != 0 {
			t.Fatalf("still paused after %v", want)
		}
	}
	for range 20 {
		_, paused := d.try(true)
		if paused > time.Hour {
			t.Fatalf("paused for %v", paused)
		}
		d.now += paused
		d.try(false)
	}
	d.now += time.Hour
	if ok, _ := d.try(true); !ok {
		t.Error("the right one is not taken after the longest pause")
	}
}

// What many have, such as codes: nobody keeps the others out for long, and
// whoever has one cannot guess the others.
func TestOneOfManyClearsNoCount(t *testing.T) {
	d := newDesk(t, "")
	d.guard.Most, d.guard.Many = time.Minute, true
	d.now = 10 * time.Hour // as on a kiosk that runs for a while
	for range 4 {
		d.try(false)
	}
	d.try(true)
	d.try(false)
	for range 8 {
		if ok, paused := d.try(true); ok || paused != time.Minute {
			t.Fatalf("taken: %v, paused %v, want a minute", ok, paused)
		}
		d.now += time.Minute
		d.try(false)
	}
	d.now += time.Hour
	for n := range 5 {
		if _, paused := d.try(false); paused != 0 {
			t.Fatalf("after an hour paused at try %d", n)
		}
	}
}

// A pause runs from the start of the kiosk, and not from the first try.
func TestAPauseBeginsAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tries")
	d := newDesk(t, path)
	for range 5 {
		d.try(false)
	}
	d = newDesk(t, path)
	if err := d.guard.Load(); err != nil {
		t.Fatal(err)
	}
	d.now += time.Minute
	if ok, paused := d.try(true); !ok {
		t.Errorf("still paused for %v", paused)
	}
}

func TestTheCountOutlivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "tries")
	d := newDesk(t, path)
	for range 5 {
		d.try(false)
	}
	d = newDesk(t, path)
	if ok, paused := d.try(true); ok || paused != time.Minute {
		t.Fatalf("after a restart: taken %v, paused %v", ok, paused)
	}
	d.now += time.Minute
	if ok, _ := d.try(true); !ok {
		t.Fatal("not taken after the pause")
	}
	d = newDesk(t, path)
	if ok, _ := d.try(true); !ok {
		t.Error("the count was not cleared")
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, paused := newDesk(t, path).try(true); ok || paused == 0 {
		t.Error("a damaged count makes tries free")
	}
}

// Whoever pulls the plug while the hash is computed has used up a try.
func TestATryIsCountedBeforeItIsLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tries")
	d := newDesk(t, path)
	for range 5 {
		_, err := d.guard.Try(func() (bool, error) {
			d = newDesk(t, path) // as after a power cut
			return false, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ok, paused := d.try(true); ok || paused == 0 {
		t.Error("five tries that a power cut ended are free")
	}
}

func TestWhatCouldNotBeLookedAtIsNoTry(t *testing.T) {
	d := newDesk(t, filepath.Join(t.TempDir(), "tries"))
	broken := errors.New("broken")
	for range 9 {
		if _, err := d.guard.Try(func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
	if ok, _ := d.try(true); !ok {
		t.Error("it was counted")
	}
}

func TestACountThatCannotBeKeptStopsTries(t *testing.T) {
	dir := t.TempDir()
	g := &pin.Guard{Path: filepath.Join(dir, "tries"), Now: func() time.Duration { return 0 }}
	if err := os.Mkdir(g.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if ok, err := g.Try(func() (bool, error) { return true, nil }); ok || err == nil {
		t.Errorf("taken %v, %v", ok, err)
	}
}
