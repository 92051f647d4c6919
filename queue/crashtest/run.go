package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Control is a weakening of the product, or of the disk, that a run has to
// notice.
type Control string

// The controls.
const (
	None        Control = ""
	NoSync      Control = "nosync"      // commits are not flushed
	InPlace     Control = "inplace"     // the first file is made under its own name
	SettleEarly Control = "settleearly" // images are removed before the end is durable
	KeepEpochs  Control = "keepepochs"  // keys of what was removed are not destroyed
	LyingDisk   Control = "lyingdisk"   // the disk answers a flush and keeps nothing safe
	PlainText   Control = "plaintext"   // a capture is written as it is, too
)

// Controls returns all controls.
func Controls() []Control {
	return []Control{NoSync, InPlace, SettleEarly, KeepEpochs, LyingDisk, PlainText}
}

// Weakens reports whether the control needs a program built with the tag
// "weaken".
func (c Control) Weakens() bool {
	return c == NoSync || c == InPlace || c == SettleEarly || c == KeepEpochs
}

// Options returns a run that is large enough to notice the control. The caller
// adds the weakened program.
func (c Control) Options(seed uint64, workers int) Options {
	o := Options{Images: 120, Sessions: 8, Workers: workers, Seed: seed, Control: c}
	switch c {
	case InPlace: // is about the first moments alone
		o.Images, o.Sessions = 200, 1
	case PlainText: // is found in what was written
		o.Images, o.Sessions = 1, 1
	case None, NoSync, SettleEarly, KeepEpochs, LyingDisk:
	}
	return o
}

// Noticed reports whether a run noticed the control, and not only something
// else.
func (c Control) Noticed(r Report) bool {
	switch c {
	case NoSync, LyingDisk:
		return r.Problems["lost"] > 0
	case InPlace:
		return r.Problems["unopenable"] > 0
	case SettleEarly:
		return r.Problems["lost"]+r.Problems["changed"] > 0
	case KeepEpochs:
		return r.Problems["exposed"] > 0
	case PlainText:
		return r.Found > 0
	case None:
	}
	return false
}

// Options say how large a run is.
type Options struct {
	Images   int           `json:"images"`   // different images to try, at most as many as the run has; 0: none
	Kills    int           `json:"kills"`    // rounds of SIGKILL; 0: none
	Workers  int           `json:"workers"`  // images tried at a time; 0: 2
	Seed     uint64        `json:"seed"`     // of the workload and of all choices
	Sessions int           `json:"sessions"` // of each workload; 0: as the number of images asks for
	Duration time.Duration `json:"duration"` // after which no other image is begun; 0: no limit
	Control  Control       `json:"control"`
	Weakened string        `json:"weakened"` // program built with the tag "weaken", for controls that need it
}

// Validate reports the first value that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Images < 0:
		return fmt.Errorf("crash test: images is %d: must not be negative", o.Images)
	case o.Kills < 0:
		return fmt.Errorf("crash test: kills is %d: must not be negative", o.Kills)
	case o.Workers < 0 || o.Workers > 64:
		return fmt.Errorf("crash test: workers is %d: must be from 1 to 64", o.Workers)
	case o.Sessions < 0:
		return fmt.Errorf("crash test: sessions is %d: must not be negative", o.Sessions)
	case o.Duration < 0:
		return fmt.Errorf("crash test: duration is %v: must not be negative", o.Duration)
	case o.Control.Weakens() && o.Weakened == "":
		return fmt.Errorf("crash test: control %s needs a program built with the tag \"weaken\"", o.Control)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Sessions == 0 {
		o.Sessions = min(4+o.Images/40, 40)
	}
	return o
}

// A Report is what came of a run, so far or at its end.
type Report struct {
	Workloads  int            `json:"workloads"` // that were recorded
	Writes     int            `json:"writes"`    // to the disk by them
	Bytes      int64          `json:"bytes"`     // of them
	Flushes    int            `json:"flushes"`
	Lines      int            `json:"lines"`      // by which they told of their steps
	Effects    int            `json:"effects"`    // requests that the gateway answered
	Candidates int            `json:"candidates"` // different images that a power cut could have left
	Images     map[Kind]int   `json:"images"`     // different images that were tried; doubles come on top
	Kills      int            `json:"kills"`      // rounds of SIGKILL
	Secrets    int            `json:"secrets"`    // that were looked for in all that was written
	Found      int            `json:"found"`      // of them, in how many writes one was found
	Parts      int            `json:"parts"`      // wrapped parts that were ever in an outbox
	Keys       int            `json:"keys"`       // epoch keys that ever were in an epoch file
	Exposed    int            `json:"exposed"`    // images in which a key opens what was erased before
	Remains    int            `json:"remains"`    // images that hold parts of what was erased, which nothing opens
	Problems   map[string]int `json:"problems"`   // by kind
	Examples   []string       `json:"examples"`   // of problems: the first ones
	Record     time.Duration  `json:"record"`     // that recording took
	Try        time.Duration  `json:"try"`        // that trying the images took
	Stopped    bool           `json:"stopped"`    // before all images were tried
	Done       bool           `json:"done"`
	Failed     string         `json:"failed,omitempty"` // why the run itself could not go on
}

// Tried is how many different images of workloads were tried, those of
// recoveries not counted.
func (r Report) Tried() int {
	n := -r.Images[Double]
	for _, of := range r.Images {
		n += of
	}
	return n
}

// Broken is how many problems there were.
func (r Report) Broken() int {
	n := 0
	for _, of := range r.Problems {
		n += of
	}
	return n
}

// Run records a workload on a disk that fails, and tries the outbox in images
// that a power cut could have left of that disk. progress is told every ten
// seconds; nil: it is not. An error means that the run did not take place;
// what it found is in the report. Ending ctx ends it early, with a report.
//
// Everything happens in a child process with a mount namespace of its own: what
// it mounts and attaches goes with it, however it ends.
func Run(ctx context.Context, o Options, progress func(Report)) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	if err := Missing(); err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "crashtest-")
	if err != nil {
		return Report{}, fmt.Errorf("crash test: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what was mounted on it is gone
	keeper, err := spawn(ctx, roleKeeper, "", nil, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
	if err != nil {
		return Report{}, fmt.Errorf("crash test: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = keeper.in.Close() })()
	if err := keeper.send.Encode(assignment{Options: o.withDefaults(), Dir: dir}); err != nil {
		return Report{}, errors.Join(fmt.Errorf("crash test: %w", err), keeper.stop(patience))
	}
	var last Report
	for {
		var r Report
		if err := keeper.hear.Decode(&r); err != nil {
			ended := keeper.stop(patience)
			switch {
			case !errors.Is(err, io.EOF) || !last.Done:
				return last, fmt.Errorf("crash test: keeper: %w", errors.Join(err, ended))
			case last.Failed != "":
				return last, fmt.Errorf("crash test: %s", last.Failed)
			}
			return last, nil
		}
		if last = r; progress != nil && !r.Done {
			progress(r)
		}
	}
}

// An assignment is what the keeper is told.
type assignment struct {
	Options Options `json:"options"`
	Dir     string  `json:"dir"` // empty
}

// progressEvery is how often a run tells how far it is.
const progressEvery = 10 * time.Second

// beKeeper runs until its work is done or its input ends, and reports.
func beKeeper(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var a assignment
	if err := in.Decode(&a); err != nil {
		return err
	}
	// What is mounted here is nobody else's. In a chroot "/" is no mount, and
	// whoever made that says what its mounts share.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("keep mounts apart: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		var nothing struct{}
		_ = in.Decode(&nothing) // its end is what counts
	}()
	k := &keeper{Options: a.Options, dir: a.Dir}
	k.report.Images, k.report.Problems = map[Kind]int{}, map[string]int{}
	told := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(told)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if out.Encode(k.now()) != nil {
					cancel()
					return
				}
			}
		}
	}()
	err := k.run(ctx)
	close(stop)
	<-told
	if err != nil {
		k.report.Failed = err.Error()
	}
	k.report.Done = true
	return out.Encode(k.now())
}
