// Package volume brings up the data partition of a board that has nobody who
// could look after it: it checks it, repairs it, and formats it anew if nothing
// else helps. Whatever happens there is something to write to in the end, so that
// the kiosk starts and says on its screen what is wrong, and what was lost stays an
// alarm until somebody has taken note of it.
//
// It runs as root, before /var is there: see kioskd-volume.service. The daemon reads
// the report alone.
package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A State is what became of the data partition at this boot.
type State string

// The states.
const (
	Ready     State = "ready"     // mounted: there was nothing to decide
	Repaired  State = "repaired"  // mounted, after e2fsck decided by itself what to keep
	Formatted State = "formatted" // mounted, and new: nothing is on it but what could be rescued
	Volatile  State = "volatile"  // not mounted: memory stands in for it, and what is written is gone with the power
)

// A Cause is why the state is not Ready.
type Cause string

// The causes.
const (
	NoCause    Cause = ""
	Missing    Cause = "missing"    // no such partition within the time that it is waited for
	ReadOnly   Cause = "read_only"  // the kernel lets nobody write to it: worn flash does that, and a switch on a card
	Foreign    Cause = "foreign"    // it is encrypted, or has something else than ext4 on it: formatting would lose what somebody put there
	Damaged    Cause = "damaged"    // the file system was not whole
	Broken     Cause = "broken"     // it cannot be read, or written, or formatted, or must not be: it may hold what could not be read
	Slow       Cause = "slow"       // repairing it did not end in time, and is tried again at the next boot
	Unfinished Cause = "unfinished" // what brings it up has not ended, or never ran
)

// A Report says what became of the partition. The zero value is no report.
type Report struct {
	State  State  `json:"state"`
	Cause  Cause  `json:"cause,omitempty"`
	Device string `json:"device"`
	Detail string `json:"detail,omitempty"` // what the program that gave up said last
	Steps  []Step `json:"steps,omitempty"`  // in order
	Losses []Loss `json:"losses,omitempty"` // of this boot and of earlier ones, oldest first, until they are cleared
}

// A Step is a program that was run.
type Step struct {
	Run     string  `json:"run"`
	Code    int     `json:"code"` // its exit code; -1: it did not end by itself
	Seconds float64 `json:"seconds"`
	Limit   float64 `json:"limit"`          // in seconds: it was given up then; 0: within that of the step before
	Said    string  `json:"said,omitempty"` // its last line
}

// A Loss is an alarm: something that was on the partition may be gone. How many
// captures that were is not known here: what counted them is what was lost.
type Loss struct {
	When     time.Time `json:"when"` // by the board's clock, which may be wrong that early
	Boot     string    `json:"boot"` // the kernel's id of that boot
	State    State     `json:"state"`
	Cause    Cause     `json:"cause"`
	Detail   string    `json:"detail,omitempty"`
	Adrift   int       `json:"adrift"`             // pieces without a name, which e2fsck put into lost+found
	Rescued  int       `json:"rescued"`            // files of the daemon that were missing afterwards, had been read before, and were put back
	Evidence string    `json:"evidence,omitempty"` // folder on the volume with what was said, and an image of the metadata
}

// Durable reports whether what is written outlives the power.
func (r Report) Durable() bool {
	return r.State == Ready || r.State == Repaired || r.State == Formatted
}

// The files of the run folder, and of the volume.
const (
	reportFile   = "report.json"
	mountDir     = "volume"
	evidenceDir  = "evidence"          // memory of a bounded size
	ownDir       = "lib/kioskd-volume" // on the volume
	stateDir     = "lib/kioskd"        // on the volume: what is rescued
	lossesFile   = ownDir + "/losses.json"
	mostLosses   = 20
	mostEvidence = 2
)

// Read returns the report in the run folder dir. A folder without one is that of a
// board where it is still to be written, or what writes it never ran: Volatile, as
// long as that is so. No folder is a board that has no such partition: the zero
// Report.
func Read(dir string) (Report, error) {
	b, err := os.ReadFile(filepath.Join(dir, reportFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return Report{}, nil
		}
		return Report{State: Volatile, Cause: Unfinished}, nil
	}
	if err != nil {
		return Report{State: Volatile, Cause: Unfinished}, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{State: Volatile, Cause: Unfinished}, fmt.Errorf("%s: %w", filepath.Join(dir, reportFile), err)
	}
	switch r.State {
	case Ready, Repaired, Formatted, Volatile:
		return r, nil
	}
	return Report{State: Volatile, Cause: Unfinished}, fmt.Errorf("%s: no state %q", filepath.Join(dir, reportFile), r.State)
}

// Clear takes the losses out of the report in dir, and off the volume, because
// somebody has taken note of them. Their evidence stays.
func Clear(dir string) error {
	r, err := Read(dir)
	if err != nil {
		return err
	}
	if r.Durable() {
		root, err := os.OpenRoot(filepath.Join(dir, mountDir))
		if err != nil {
			return err
		}
		defer root.Close()
		if err := root.Remove(lossesFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	r.Losses = nil
	return write(dir, reportFile, r, 0o644)
}

// write replaces a file below dir by v as JSON, whole or not at all. No symbolic link
// leads it out of dir.
func write(dir, name string, v any, mode os.FileMode) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	if err = root.Rename(temp, name); err != nil {
		return err
	}
	d, err := root.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
