package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A lane tries one image at a time. It keeps its device and its verifier from
// one to the next.
type lane struct {
	t *trace

	name     string
	mnt      string
	state    string // directory of the gateway
	memory   []byte // the disk, as the device's file
	loop     *loop
	recorder *recorder // for recoveries
	verifier *child
}

func openLane(t *trace, n int) (l *lane, err error) {
	l = &lane{t: t, name: "lane-" + strconv.Itoa(n)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", l.name, err), l.close())
		}
	}()
	l.mnt, l.state = t.path(l.name+"-mnt"), t.path(l.name+"-gateway")
	rec := t.path(l.name + "-recorder")
	for _, dir := range []string{l.mnt, l.state, rec} {
		if err = os.Mkdir(dir, 0o700); err != nil {
			return l, err
		}
	}
	file, err := os.Create(t.path(l.name + ".img"))
	if err != nil {
		return l, err
	}
	defer file.Close()
	if err = file.Truncate(diskSize); err != nil {
		return l, err
	}
	if l.memory, err = unix.Mmap(int(file.Fd()), 0, diskSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return l, err
	}
	if l.loop, err = attach(file.Name()); err != nil {
		return l, err
	}
	l.recorder, err = openRecorder(rec)
	return l, err
}

func (l *lane) close() error {
	var err error
	if l.verifier != nil {
		err = l.verifier.stop(patience)
	}
	if l.loop != nil {
		err = errors.Join(err, l.loop.detach())
	}
	if l.recorder != nil {
		err = errors.Join(err, l.recorder.close())
	}
	if l.memory != nil {
		err = errors.Join(err, unix.Munmap(l.memory))
	}
	return err
}

// take tries an image, and for some the images of its recovery.
func (l *lane) take(ctx context.Context, j job) error {
	if err := l.try(ctx, j); err != nil {
		return err
	}
	if j.number%doubleEvery != doubleEvery/2 {
		return nil
	}
	events, err := l.recover(ctx, j)
	if err != nil {
		return fmt.Errorf("record a recovery: %w", err)
	}
	again := choose(distinct(j.image, events, 1, l.t.seed), doublePick)
	key := 0
	replay(j.image, events, 1, l.t.seed, func(_ Kind, _ int, image func() *disk) {
		if again[key] != nil && err == nil && ctx.Err() == nil {
			second := j
			second.kind, second.image = Double, image()
			err = l.try(ctx, second)
		}
		key++
	})
	return err
}

// recover records what mounting an image and opening its outbox writes.
func (l *lane) recover(ctx context.Context, j job) (events []Event, err error) {
	l.recorder.start(j.image)
	defer l.recorder.stop()
	device, err := attach(l.recorder.diskPath())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, device.detach()) }()
	if failed := device.mount(l.mnt); failed != nil {
		return nil, nil // the image was tried before: it is noted as one that does not mount
	}
	l.ask(ctx, trial{Dir: l.mnt, Key: l.t.key, Recover: true})
	events = l.recorder.stop()
	return events, unmount(context.WithoutCancel(ctx), l.mnt)
}

// try mounts an image, has the outbox in it opened and used, and judges what was
// found.
func (l *lane) try(ctx context.Context, j job) error {
	where := fmt.Sprintf("%s image at event %d", j.kind, j.at)
	for i, b := range j.image.blocks {
		if at := l.memory[i*blockSize:][:blockSize]; string(at) != string(b.data[:]) {
			copy(at, b.data[:])
		}
	}
	if err := l.loop.forget(); err != nil {
		return err
	}
	if why := l.loop.mount(l.mnt); why != nil {
		l.done(j, where, []string{"unmountable: " + why.Error()})
		return nil //nolint:nilerr // it is noted
	}
	if err := l.t.history.put(j.state, l.state); err != nil {
		return errors.Join(err, unmount(context.WithoutCancel(ctx), l.mnt))
	}
	problems, ciphertext := l.t.vault.check(j.image, j.ledgers[len(j.ledgers)-1])
	f := l.ask(ctx, trial{Dir: l.mnt, Key: l.t.key, Gateway: l.state, Number: 2_000_000 + j.number, Child: j.number%childEvery == 0})
	left, err := l.t.vault.checkFile(l.mnt, f)
	problems = append(problems, left...)
	if err = errors.Join(err, unmount(context.WithoutCancel(ctx), l.mnt)); err != nil {
		return err
	}
	if ctx.Err() == nil { // otherwise what was found may be half
		l.judge(j, where, f, problems, ciphertext)
	}
	return nil
}

// judge holds what was found against what was promised.
func (l *lane) judge(j job, where string, f finding, problems []string, ciphertext bool) {
	for _, message := range f.Alarms {
		problems = append(problems, "alarm: "+message)
	}
	if f.Failed != "" {
		problems = append(problems, f.Failed)
	} else {
		for _, ledger := range j.ledgers {
			problems = append(problems, ledger.Check(f.Before)...)
		}
		problems = append(problems, j.ledgers[len(j.ledgers)-1].Finish(f.Before, f.After, f.Confirmed, f.Extra)...)
	}
	slices.Sort(problems)
	problems = slices.Compact(problems)
	l.t.note(func(r *Report) {
		if ciphertext {
			r.Remains++
		}
		if slices.ContainsFunc(problems, isExposed) {
			r.Exposed++
		}
	})
	l.done(j, where, problems)
}

// done notes an image that was tried.
func (l *lane) done(j job, where string, problems []string) {
	l.t.note(func(r *Report) { r.Images[j.kind]++ })
	l.t.problems(where, problems)
}

// ask has the verifier try what is mounted. One that dies or hangs is replaced,
// and what it did is found.
func (l *lane) ask(ctx context.Context, t trial) finding {
	failed := func(why string, err error) finding {
		if l.verifier != nil {
			l.verifier.kill()
			err = errors.Join(err, l.verifier.verdict())
			l.verifier = nil
		}
		return finding{Failed: fmt.Sprintf("%s: %v", why, err)}
	}
	if l.verifier == nil {
		var err error
		if l.verifier, err = spawn(ctx, roleVerifier, "", nil, nil); err != nil {
			return failed("unopenable: no verifier", err)
		}
	}
	verifier := l.verifier
	timer := time.AfterFunc(patience+5*time.Second, verifier.kill)
	defer timer.Stop()
	defer context.AfterFunc(ctx, verifier.kill)()
	if err := verifier.send.Encode(t); err != nil {
		return failed("unopenable: the verifier", err)
	}
	var f finding
	if err := verifier.hear.Decode(&f); err != nil {
		return failed("unopenable: the process that opened it died", err)
	}
	return f
}

func epochFiles(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, queueFile+".epochs-*"))
}
