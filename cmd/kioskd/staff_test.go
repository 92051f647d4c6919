package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/pin"
	"livekiosk/ui/text"
)

// keep writes what is kept of a PIN, made for a test's price.
func keep(t *testing.T, path, digits string) {
	t.Helper()
	h, err := pin.New(digits, pin.Price{Memory: 64, Passes: 1, Lanes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(h.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestThePINOfStaffIsReadWhereItIs(t *testing.T) {
	c := defaults()
	c.State.Dir = t.TempDir()
	given := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", given)
	try := func(digits string) error { return newLock(c).Open(t.Context(), digits) }

	if err := try("493027"); !errors.Is(err, kiosk.ErrWrongPIN) {
		t.Errorf("without one: %v", err)
	}
	keep(t, filepath.Join(c.State.Dir, "staff.pin"), "493027")
	if err := try("493027"); err != nil {
		t.Errorf("in state.dir: %v", err)
	}
	keep(t, filepath.Join(given, "staff.pin"), "806417")
	if err := try("806417"); err != nil {
		t.Errorf("as a credential: %v", err)
	}
	c.Staff.PINFile = filepath.Join(t.TempDir(), "pin")
	keep(t, c.Staff.PINFile, "119283")
	if err := try("119283"); err != nil {
		t.Errorf("in a file: %v", err)
	}
	if err := os.WriteFile(c.Staff.PINFile, []byte("119283\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try("119283"); !errors.Is(err, pin.ErrFormat) {
		t.Errorf("a PIN in the clear: %v", err)
	}
	keep(t, c.Staff.PINFile, "119283")
	for range 5 {
		if err := try("119284"); !errors.Is(err, kiosk.ErrWrongPIN) {
			t.Fatalf("a wrong one: %v", err)
		}
	}
	if _, paused := errors.AsType[*kiosk.PausedError](try("119283")); !paused {
		t.Error("after five wrong ones, each at another start of the daemon, the right one is looked at")
	}
}

// A book is bookings that are given.
type book struct {
	all []kiosk.Booking
	err error
}

func (b *book) Book(context.Context, kiosk.Booking) error         { return b.err }
func (b *book) Unbook(context.Context, string) error              { return b.err }
func (b *book) Bookings(context.Context) ([]kiosk.Booking, error) { return b.all, b.err }
func (b *book) expected(t *testing.T, code string) (kiosk.Launch, error) {
	t.Helper()
	return newRegister(b, text.BuiltIn().Match).Expected(t.Context(), code)
}

func TestACodeNamesOneBooking(t *testing.T) {
	b := &book{all: []kiosk.Booking{
		{CorrelationID: "b1", UserID: "u1", UserIDType: "T", Locale: kiosk.English}, {CorrelationID: "b2", UserID: "u2", Locale: kiosk.Indonesian},
	}}
	l, err := b.expected(t, kiosk.Code("b1"))
	want := kiosk.Launch{CorrelationID: "b1", UserID: "u1", UserIDType: "T", Locale: kiosk.English, Theme: kiosk.NoPreference}
	if err != nil || l != want {
		t.Errorf("launches %+v, %v", l, err)
	}
	if err := l.Validate(); err != nil {
		t.Errorf("a launch that is turned down: %v", err)
	}
	if _, err := b.expected(t, "00000000"); !errors.Is(err, kiosk.ErrNoBooking) {
		t.Errorf("a code of nobody's: %v", err)
	}
	b.all = append(b.all, b.all[0])
	if _, err := b.expected(t, kiosk.Code("b1")); !errors.Is(err, kiosk.ErrNoBooking) {
		t.Errorf("a code of two bookings: %v", err)
	}
	b.err = kiosk.ErrQueueBad
	if _, err := b.expected(t, kiosk.Code("b2")); !errors.Is(err, kiosk.ErrQueueBad) {
		t.Errorf("an outbox that is down: %v", err)
	}
}

func TestCodesCannotBeTriedForLong(t *testing.T) {
	g := newRegister(&book{}, text.BuiltIn().Match)
	var paused bool
	for range 6 {
		_, err := g.Expected(t.Context(), "00000000")
		_, paused = errors.AsType[*kiosk.PausedError](err)
	}
	if !paused {
		t.Error("the sixth wrong code in a row is looked at")
	}
}
