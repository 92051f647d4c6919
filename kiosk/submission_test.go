package kiosk_test

import (
	"regexp"
	"strconv"
	"testing"

	"livekiosk/kiosk"
)

func TestCodesOfBookings(t *testing.T) {
	digits := regexp.MustCompile(`^[0-9]{8}$`)
	seen := map[string]bool{}
	for i := range 2000 {
		id := "branch-" + strconv.Itoa(i)
		code := kiosk.Code(id)
		if !digits.MatchString(code) || code != kiosk.Code(id) {
			t.Fatalf("the code of %s is %q", id, code)
		}
		seen[code] = true
	}
	if len(seen) < 1999 { // one pair in fifty such tests is chance; two are a bad code
		t.Errorf("2000 bookings have %d codes", len(seen))
	}
	if got := kiosk.Code("b1"); got != "58734559" { // printed on invitations: it must not change
		t.Errorf("the code of b1 is %s", got)
	}
}
