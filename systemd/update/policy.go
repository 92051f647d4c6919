package update

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A Policy is what a kiosk's administrator has to say.
type Policy struct {
	Ring   string  `toml:"ring"   json:"ring"`   // of this kiosk; "": broad
	Window Window  `toml:"window" json:"window"` // in which it may be updated; zero: always
	Floor  Version `toml:"floor"  json:"floor"`  // as Rollout.Floor, for an image that brings its own; "": none
}

// Broad is the ring of kiosks that name none: the last to be updated.
const Broad = "broad"

// ReadPolicy reads a policy's file. If there is none the defaults hold.
func ReadPolicy(file string) (Policy, error) {
	p := Policy{Ring: Broad}
	md, err := toml.DecodeFile(file, &p)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return p, nil
	case err != nil:
		return Policy{}, fmt.Errorf("%s: %w", file, err)
	case len(md.Undecoded()) > 0:
		return Policy{}, fmt.Errorf("%s: unknown key %s", file, md.Undecoded()[0])
	case p.Ring == "":
		return Policy{}, fmt.Errorf("%s: ring: want a name", file)
	}
	return p, nil
}

// A Window is a time of the day, such as "22:30-05:00". The zero value is the
// whole day.
type Window struct {
	from, to time.Duration // since midnight
}

// UnmarshalText reads a window.
func (w *Window) UnmarshalText(b []byte) error {
	from, to, found := strings.Cut(string(b), "-")
	begin, err := time.Parse("15:04", from)
	end, err2 := time.Parse("15:04", to)
	if !found || err != nil || err2 != nil || begin.Equal(end) {
		return fmt.Errorf("%q: want two times of the day, such as 22:30-05:00", b)
	}
	midnight := time.Date(begin.Year(), begin.Month(), begin.Day(), 0, 0, 0, 0, begin.Location())
	w.from, w.to = begin.Sub(midnight), end.Sub(midnight)
	return nil
}

// MarshalText writes it.
func (w Window) MarshalText() ([]byte, error) {
	day := time.Time{}
	return []byte(day.Add(w.from).Format("15:04") + "-" + day.Add(w.to).Format("15:04")), nil
}

// Open reports whether now is in the window, by now's own zone.
func (w Window) Open(now time.Time) bool {
	h, m, s := now.Clock()
	at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	switch {
	case w.from == w.to:
		return true
	case w.from < w.to:
		return w.from <= at && at < w.to
	}
	return at >= w.from || at < w.to // over midnight
}
