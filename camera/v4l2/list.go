//go:build cgo

package v4l2

import (
	"fmt"

	"livekiosk/camera/trust"
)

// A Found is what is known of one video device of this machine.
type Found struct {
	Path  string
	ID    trust.Identity // as far as it told
	Modes []Mode         // of the formats that are of use
	Mode  Mode           // that Choose prefers
	Why   string         // it does
	Trust trust.Decision // whether it would be taken
	Err   error          // why it is no camera, or cannot be asked; nil: it is one
}

// List returns every video device under /dev, in order of their numbers, with
// what a camera of the options would make of it. It changes no device, and may
// be called while one streams. A machine without any is ErrNoCamera.
func List(o Options) ([]Found, error) {
	paths, err := candidates()
	if err != nil {
		return nil, err
	}
	all := make([]Found, len(paths))
	for i, path := range paths {
		all[i] = look(path, o)
	}
	return all, nil
}

func look(path string, o Options) Found {
	f := Found{Path: path}
	d, err := open(path)
	if d != nil {
		defer d.close()
		f.ID = d.id
	}
	if err != nil {
		f.Err = err
		return f
	}
	f.Trust = trust.Decide(d.id, o.Trust, o.Pin)
	if f.Modes, f.Err = d.modes(); f.Err == nil {
		if f.Mode, f.Why, err = Choose(f.Modes); err != nil {
			f.Err = fmt.Errorf("%s (%s): %w", path, d.id.Card, err)
		}
	}
	return f
}
