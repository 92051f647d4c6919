package update

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Rollout says which kiosks may have which version when. Whoever releases
// images publishes one as rollout_N.json, with a higher number for each change;
// systemd-sysupdate verifies its signature, and never takes a lower number.
type Rollout struct {
	Version Version `json:"version"` // that is offered

	// Floor is the oldest version that may still be installed: a signed image of
	// an older one, with holes that are known, is refused.
	Floor Version `json:"floor,omitempty"`

	// Rings has when the turn of each group of kiosks begins. A ring that is not
	// there has to wait for the next rollout.
	Rings map[string]time.Time `json:"rings"`

	// SpreadHours is over how many hours the kiosks of a ring follow each other.
	SpreadHours int `json:"spread_hours,omitempty"`

	// Until is when this is not to be believed any more, so that nobody can keep
	// a kiosk at an old version by an old rollout without being noticed.
	Until time.Time `json:"until"`
}

// ParseRollout reads a rollout. An unknown key is an error.
func ParseRollout(b []byte) (Rollout, error) {
	var r Rollout
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Rollout{}, fmt.Errorf("rollout: %w", err)
	}
	switch {
	case d.More():
		return Rollout{}, errors.New("rollout: more than one value")
	case r.Version == "":
		return Rollout{}, errors.New("rollout: no version")
	case r.Version.Compare(r.Floor) < 0:
		return Rollout{}, fmt.Errorf("rollout: version %s is below its floor %s", r.Version, r.Floor)
	case r.SpreadHours < 0 || r.SpreadHours > 24*365:
		return Rollout{}, fmt.Errorf("rollout: spread_hours %d: want 0 to a year", r.SpreadHours)
	case r.Until.IsZero():
		return Rollout{}, errors.New("rollout: no until")
	}
	return r, nil
}
