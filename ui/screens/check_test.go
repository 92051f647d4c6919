package screens_test

import (
	"testing"
	"time"

	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

func TestBuiltInFit(t *testing.T) {
	for _, l := range text.BuiltIn().Languages() {
		at := time.Now()
		for _, p := range screens.Check(l) {
			t.Errorf("%s: %s", l.Locale, p)
		}
		t.Log(time.Since(at))
	}
}
