package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Volume is a data partition that is to be brought up.
type Volume struct {
	Device string // such as /dev/disk/by-partlabel/data
	Dir    string // the run folder: the volume is mounted on Dir/volume, and Dir/report.json tells of it

	// How long is waited, at most; 0 is the default.
	Wait   time.Duration // for the device: 20 s
	Preen  time.Duration // for a check that decides nothing: 1 min
	Repair time.Duration // for each of two checks that decide, and for putting files back: 2 min
	Other  time.Duration // for any other program or call: 30 s
}

// Longest is how long Mount may take if whatever it waits for takes as long as it may:
// TimeoutStartSec= of the unit must be more.
func (v Volume) Longest() time.Duration {
	v = v.defaults()
	// Of Other: to look, to mount three times, to keep evidence; to look what it is, and
	// whether it can be seen past the mount, six tries to read there, an image, and two
	// tries to format.
	const calls, programs = 5, 11
	return v.Wait + calls*v.Other + v.Repair + // to put back
		programs*(v.Other+lateness) + v.Preen + lateness + 2*(v.Repair+lateness)
}

// lateness is how long a program that was killed is waited for.
const lateness = 5 * time.Second

// defaults fills in what is unset.
func (v Volume) defaults() Volume {
	for _, d := range []struct {
		of    *time.Duration
		unset time.Duration
	}{{&v.Wait, defaultWait}, {&v.Preen, defaultPreen}, {&v.Repair, defaultRepair}, {&v.Other, defaultOther}} {
		if *d.of == 0 {
			*d.of = d.unset
		}
	}
	return v
}

// The defaults.
const (
	defaultWait   = 20 * time.Second
	defaultPreen  = time.Minute
	defaultRepair = 2 * time.Minute
	defaultOther  = 30 * time.Second
)

// What a data partition is mounted with. An error that is found later makes it
// read-only, which the daemon's probe of its outbox notices.
const (
	mountFlags   = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NOATIME
	mountOptions = "errors=remount-ro"
	memorySize   = "size=64m,mode=0755"
	rescueSize   = "size=256m,mode=0700"
	metadataFile = "metadata.qcow2"
)

// errSlow is of what did not end in time. What hangs in the kernel is left alone.
var errSlow = errors.New("did not end in time")

// A boot is one run of Mount.
type boot struct {
	Volume

	device string // behind the symbolic link
	r      Report
	whole  strings.Builder // what the programs said
	last   string          // what the last one said
	short  string          // what the rescue left behind
	unsure bool            // whether something else than a file system of ours may be on it
}

// Mount brings the partition up and tells what became of it. It fails only if
// there is nothing to write to at all. It must run once a boot, as root, in the
// machine's own mount namespace.
func (v Volume) Mount(ctx context.Context) (Report, error) {
	v = v.defaults()
	b := &boot{Volume: v, r: Report{State: Volatile, Cause: Unfinished, Device: v.Device}}
	for _, dir := range []string{v.mount(), b.evidence()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return b.r, err
		}
	}
	// Until it is known better: what reads this meanwhile must not believe that
	// what it writes lasts.
	if err := write(v.Dir, reportFile, b.r, 0o644); err != nil {
		return b.r, err
	}
	if err := unix.Mount("tmpfs", v.evidence(), "tmpfs", mountFlags, rescueSize); err != nil {
		b.say("no room for evidence: " + err.Error()) // but for what the run folder has
	}
	b.bring(ctx)
	if b.r.State == Volatile {
		if err := b.memory(); err != nil {
			return b.r, err
		}
	} else {
		b.keep()
	}
	b.forget()
	return b.r, write(v.Dir, reportFile, b.r, 0o644)
}

// Fallback is for a Mount that was killed or failed: it mounts memory if nothing is
// mounted, and says so.
func (v Volume) Fallback() (Report, error) {
	r, err := Read(v.Dir)
	if err == nil && (r.Durable() || r.State == Volatile && r.Cause != Unfinished) {
		return r, nil
	}
	b := &boot{Volume: v, r: Report{State: Volatile, Cause: Unfinished, Device: v.Device, Detail: "what brings the data partition up did not end"}}
	if err := os.MkdirAll(v.mount(), 0o755); err != nil {
		return b.r, err
	}
	// What may be mounted there is not known to be whole.
	_ = unix.Unmount(v.mount(), unix.MNT_DETACH)
	if err := b.memory(); err != nil {
		return b.r, err
	}
	return b.r, write(v.Dir, reportFile, b.r, 0o644)
}

func (v Volume) mount() string    { return filepath.Join(v.Dir, mountDir) }
func (v Volume) evidence() string { return filepath.Join(v.Dir, evidenceDir) }

// tree is what was rescued, as it lay on the volume.
func (v Volume) tree() string { return filepath.Join(v.evidence(), "tree") }

// bring takes the steps, from what changes least to what changes most, and leaves
// state and cause in the report.
func (b *boot) bring(ctx context.Context) {
	if b.r.Cause = b.find(ctx); b.r.Cause != NoCause {
		return
	}
	if b.foreign(ctx); b.r.Cause != NoCause {
		return
	}
	// e2fsck -p writes to the copies of the superblock and of the descriptors: what
	// only they lead to is read before.
	rescued := ""
	if !b.sees(ctx) {
		rescued = b.rescue(ctx)
	}
	preen, err := b.run(ctx, b.Preen, "e2fsck", "-p", b.device)
	if err == nil && preen < 4 {
		if err = b.attach(nil); err == nil {
			b.r.State = Ready
			b.grow(ctx)
			return
		}
		if !damage(err) {
			b.r.Cause = Broken
			return
		}
	}
	b.r.Cause = Damaged
	if rescued == "" {
		rescued = b.rescue(ctx)
	}
	b.image(ctx)
	for range 2 { // what the first pass mends may show more
		code, bad := b.run(ctx, b.Repair, "e2fsck", "-f", "-y", b.device)
		if errors.Is(bad, errSlow) {
			b.r.Cause = Slow
			return
		}
		if bad == nil && code < 4 {
			break
		}
	}
	// From here on the next boot finds a file system in order: the alarm is on it before
	// anything else is.
	if err = b.attach(&Loss{State: Repaired, Cause: Damaged, Detail: b.r.Detail}); err == nil {
		b.r.State = Repaired
		b.restore(rescued)
		b.grow(ctx)
		return
	}
	// What a new file system would hide must be gone, and not out of reach: the next
	// boot, or support, may read more.
	if !damage(err) || b.short != "" || b.unsure {
		b.r.Cause = Broken
		if b.short != "" {
			b.r.Detail = "not all that is on it could be read: " + b.short
		}
		return
	}
	if err := b.format(ctx, rescued); err != nil {
		b.r.Cause = Broken
		return
	}
	b.r.State = Formatted
}

// format makes a file system that has what was rescued, and the alarm, from the first:
// the power may go at any moment, and what is in memory with it.
func (b *boot) format(ctx context.Context, rescued string) error {
	// Whoever looks for what was lost finds more where nothing was discarded.
	args := []string{"-q", "-F", "-t", "ext4", "-L", "data", "-m", "0", "-O", "^fast_commit", "-E", "nodiscard"}
	loss := Loss{State: Formatted, Cause: Damaged, Detail: b.r.Detail}
	loss.Rescued = count(rescued)
	losses, err := note(b.tree(), loss)
	if err == nil {
		var code int
		if code, err = b.run(ctx, b.Other, "mke2fs", append(args, "-d", b.tree(), b.device)...); err == nil && code == 0 {
			if err = b.attach(nil); err == nil {
				b.r.Losses = losses
			}
			return err
		}
	}
	loss.Rescued = 0
	if code, err := b.run(ctx, b.Other, "mke2fs", append(args, b.device)...); err != nil {
		return err
	} else if code != 0 {
		return fmt.Errorf("mke2fs ended with %d", code)
	}
	if err := b.attach(&loss); err != nil {
		return err
	}
	b.restore(rescued)
	return nil
}

// find waits for the device and looks at it.
func (b *boot) find(ctx context.Context) Cause {
	late := time.NewTimer(b.Wait)
	defer late.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		cause := Missing
		if b.device, err = filepath.EvalSymlinks(b.Device); err == nil {
			var found Cause
			if err = b.within(b.Other, "look at "+b.device, func() (err error) {
				found, err = look(b.device)
				return err
			}); errors.Is(err, errSlow) {
				return Broken // and found is still written to
			}
			if !errors.Is(err, unix.EBUSY) {
				if err != nil {
					b.r.Detail = err.Error()
				}
				return found
			}
			cause, b.r.Steps = found, b.r.Steps[:len(b.r.Steps)-1] // told once, as the detail
		}
		select {
		case <-tick.C:
		case <-late.C:
			b.r.Detail = err.Error()
			return cause
		case <-ctx.Done():
			b.r.Detail = ctx.Err().Error()
			return Unfinished
		}
	}
}

// look reads the beginning of a device that nobody else has in use.
func look(device string) (Cause, error) {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	switch {
	case errors.Is(err, unix.ENOMEDIUM), errors.Is(err, unix.ENXIO):
		return Missing, err
	case err != nil:
		return Broken, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	if _, err := io.ReadFull(f, head); err != nil {
		return Broken, fmt.Errorf("read %s: %w", device, err)
	}
	if ro, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET); err == nil && ro != 0 {
		return ReadOnly, fmt.Errorf("%s cannot be written", device)
	}
	if bytes.HasPrefix(head, []byte("LUKS\xba\xbe")) {
		return Foreign, fmt.Errorf("%s is encrypted by LUKS", device)
	}
	return NoCause, nil
}

// foreign looks for what somebody else put there, such as the file system of a stick
// that is called data, too. Not even e2fsck may write then: it finds what was there
// before. If that cannot be told, what is in order is used, and nothing is formatted.
func (b *boot) foreign(ctx context.Context) {
	code, err := b.run(ctx, b.Other, "blkid", "-p", "-o", "value", "-s", "TYPE", "-s", "PTTYPE", b.device)
	const nothing = 2
	if errors.Is(err, errSlow) {
		b.r.Cause = Broken
		return
	}
	if err != nil || code != 0 {
		b.unsure = err != nil || code != nothing
		return
	}
	for is := range strings.FieldsSeq(b.last) {
		switch is {
		case "ext2", "ext3", "ext4", "ext4dev":
		default:
			b.r.Cause, b.r.Detail = Foreign, fmt.Sprintf("%s has %s on it", b.device, is)
		}
	}
}

// attach mounts the device, notes a loss on it, if there is one, and proves that it can
// be written.
func (b *boot) attach(loss *Loss) error {
	var losses []Loss
	var unnoted error
	err := b.within(b.Other, "mount", func() error {
		if err := unix.Mount(b.device, b.mount(), "ext4", mountFlags, mountOptions); err != nil {
			return err
		}
		if loss != nil {
			loss.Adrift = count(filepath.Join(b.mount(), "lost+found"))
			losses, unnoted = note(b.mount(), *loss)
		}
		if err := prove(b.mount()); err != nil {
			return errors.Join(err, unix.Unmount(b.mount(), unix.MNT_DETACH))
		}
		return nil
	})
	if err != nil {
		b.r.Detail = err.Error()
		return err
	}
	if unnoted != nil { // no room: this boot tells of it at least
		b.say("note the loss: " + unnoted.Error())
	}
	b.r.Losses = losses
	return nil
}

// damage reports whether it is what is on the device that keeps it from being used:
// by what the kernel says of no file system, or of one that is not whole. Another one,
// or more memory, would not help against anything else: a kernel without ext4, somebody
// who has the device in use.
func damage(err error) bool {
	for _, of := range []error{unix.EUCLEAN, unix.EBADMSG, unix.EINVAL, unix.EIO, unix.EROFS} { // EBADMSG: a checksum
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// prove looks at each file, which the kernel checks then and e2fsck does not as long
// as the superblock calls the file system clean, and has a little reach the device. A
// file system without room is in order: the daemon takes nobody until there is some.
func prove(dir string) error {
	if err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil {
			_, err = e.Info()
		}
		return err
	}); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, below := range []string{".", stateDir} {
		name := filepath.Join(below, ".probe") // which a power cut may leave
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if below != "." && errors.Is(err, fs.ErrNotExist) {
			continue // nobody has used it yet
		}
		if full(err) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString("kioskd")
		for _, err := range []error{err, f.Sync(), f.Close(), root.Remove(name)} {
			if err != nil && !full(err) {
				return err
			}
		}
	}
	return nil
}

// full reports whether there was no room.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// grow has the file system take what the partition has. It is no fault if not.
func (b *boot) grow(ctx context.Context) {
	_, _ = b.run(ctx, b.Other, "resize2fs", b.device) // told in the steps
}

// image keeps what the metadata were before they are repaired: where the pieces of
// a lost file lay. It holds names, and nothing of what is in files.
func (b *boot) image(ctx context.Context) {
	file := filepath.Join(b.evidence(), metadataFile)
	if code, err := b.run(ctx, b.Other, "e2image", "-Q", b.device, file); err != nil || code != 0 {
		_ = os.Remove(file) // nothing, or too large
	}
}

// sees reports whether the daemon's folder, or that there is none, can be seen past
// the mount.
func (b *boot) sees(ctx context.Context) bool {
	_, err := b.run(ctx, b.Other, "debugfs", "-c", "-R", "stat /"+stateDir, b.device)
	return err == nil && (strings.Contains(b.last, "Inode: ") || strings.Contains(b.last, "File not found by ext2_lookup"))
}

// restore puts rescued files where they are missing. A part of a file is worth having,
// too: the daemon believes nothing in its outbox that does not prove itself.
func (b *boot) restore(from string) {
	if from == "" {
		return
	}
	put := new(atomic.Int64)
	if err := b.within(b.Repair, "restore", func() error {
		in, err := os.OpenRoot(from)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenRoot(b.mount())
		if err != nil {
			return err
		}
		defer out.Close()
		var all []error
		err = fs.WalkDir(in.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil {
				var file bool
				if file, err = restore(in, out, name, e); file && err == nil {
					put.Add(1)
				}
			}
			if all = append(all, err); err != nil && e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		})
		return errors.Join(append(all, err)...)
	}); err != nil {
		b.say("restore: " + err.Error())
	}
	if n := len(b.r.Losses); n > 0 {
		b.r.Losses[n-1].Rescued = int(put.Load())
	}
}

// restore copies a file or makes a folder, with owner and mode, unless it is there.
func restore(in, out *os.Root, name string, e fs.DirEntry) (file bool, err error) {
	if _, err = out.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	info, err := e.Info()
	if err != nil {
		return false, err
	}
	if e.IsDir() {
		err = out.Mkdir(name, 0o700)
	} else if file = e.Type().IsRegular(); file {
		err = copied(in, out, name)
	} else {
		return false, nil
	}
	if of, ok := info.Sys().(*syscall.Stat_t); err == nil && ok {
		err = out.Lchown(name, int(of.Uid), int(of.Gid))
	}
	if err == nil {
		err = out.Chmod(name, info.Mode().Perm())
	}
	return file, err
}

// copied copies a file, down to the device.
func copied(from, to *os.Root, name string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// count counts files.
func count(dir string) (n int) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return nil
	})
	return n
}

// memory mounts what stands in for the volume.
func (b *boot) memory() error {
	if err := unix.Mount("tmpfs", b.mount(), "tmpfs", mountFlags, memorySize); err != nil {
		return fmt.Errorf("mount memory on %s: %w", b.mount(), err)
	}
	return nil
}

// note writes an alarm, down to the device and beside those of earlier boots, on what
// is mounted on dir or will be made of it.
func note(dir string, l Loss) ([]Loss, error) {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		l.Boot = strings.TrimSpace(string(id))
	}
	l.When = time.Now().UTC().Truncate(time.Second)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return []Loss{l}, err
	}
	defer root.Close()
	if err = errors.Join(root.MkdirAll(filepath.Dir(ownDir), 0o755), root.MkdirAll(ownDir, 0o700)); err != nil {
		return []Loss{l}, err
	}
	before, bad := losses(root)
	evidence := fmt.Sprintf("%s/evidence-%d", ownDir, next(root))
	l.Evidence = "/var/" + evidence
	all := append(before, l)
	all = all[max(0, len(all)-mostLosses):]
	return all, errors.Join(bad, write(dir, lossesFile, all, 0o600), root.MkdirAll(evidence, 0o700))
}

// losses are those of earlier boots.
func losses(root *os.Root) (all []Loss, err error) {
	info, err := root.Lstat(lossesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > mostLosses<<16 {
		return nil, fmt.Errorf("%s is no such file", lossesFile)
	}
	text, err := root.ReadFile(lossesFile)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

// keep puts the evidence of this boot's loss on the volume, or takes the losses of
// earlier boots from it.
func (b *boot) keep() {
	root, err := os.OpenRoot(b.mount())
	if err != nil {
		b.say(err.Error())
		return
	}
	defer root.Close()
	if b.r.State == Ready {
		if b.r.Losses, err = losses(root); err != nil {
			b.say(err.Error())
		}
		return
	}
	all := slices.Clone(b.r.Losses)
	said := []byte(b.whole.String())
	if err := b.within(b.Other, "keep the evidence", func() error {
		err := write(b.mount(), lossesFile, all, 0o600)
		if to := strings.TrimPrefix(all[len(all)-1].Evidence, "/var/"); to != "" {
			err = errors.Join(err, deposit(root, to, said, b.evidence()))
		}
		return err
	}); err != nil {
		b.say(err.Error())
	}
}

// next numbers evidence, and removes what is too old.
func next(root *os.Root) int {
	var numbers []int
	entries, _ := fs.ReadDir(root.FS(), ownDir)
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "evidence-%d", &n); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for len(numbers) >= mostEvidence {
		_ = root.RemoveAll(fmt.Sprintf("%s/evidence-%d", ownDir, numbers[0]))
		numbers = numbers[1:]
	}
	if len(numbers) == 0 {
		return 1
	}
	return numbers[len(numbers)-1] + 1
}

// deposit writes what was said, and the image of the metadata if there is one.
func deposit(root *os.Root, to string, said []byte, from string) error {
	err := root.WriteFile(filepath.Join(to, "said.txt"), said, 0o600)
	in, bad := os.OpenRoot(from)
	if bad != nil {
		return errors.Join(err, bad)
	}
	defer in.Close()
	if _, none := in.Stat(metadataFile); none != nil {
		return err
	}
	out, bad := root.OpenRoot(to)
	if bad != nil {
		return errors.Join(err, bad)
	}
	defer out.Close()
	if full := copied(in, out, metadataFile); full != nil {
		err = errors.Join(err, full, out.Remove(metadataFile))
	}
	return err
}

// forget gives the memory of the evidence back.
func (b *boot) forget() {
	_ = os.RemoveAll(b.tree())
	_ = unix.Unmount(b.evidence(), unix.MNT_DETACH)
	_ = os.Remove(b.evidence())
}

func (b *boot) say(line string) { _, _ = fmt.Fprintln(&b.whole, line) }

// within has do end in time, or goes on without it: what waits for a device that no
// longer answers can be neither stopped nor killed.
func (b *boot) within(limit time.Duration, name string, do func() error) error {
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- do() }()
	late := time.NewTimer(limit)
	defer late.Stop()
	s := Step{Run: name, Limit: limit.Seconds()}
	var err error
	select {
	case err = <-ended:
	case <-late.C:
		err = errSlow
	}
	if s.Seconds = time.Since(began).Seconds(); err != nil {
		s.Code, s.Said = -1, err.Error()
		b.say(name + ": " + err.Error())
	}
	b.r.Steps = append(b.r.Steps, s)
	return err
}

// run runs a program that must end within limit. An error is a program that could
// not be run, or errSlow.
func (b *boot) run(ctx context.Context, limit time.Duration, name string, args ...string) (code int, err error) {
	s := Step{Run: name + " " + strings.Join(args, " "), Limit: (limit + lateness).Seconds()}
	if ends, ok := ctx.Deadline(); ok { // one of several that have a limit together
		limit, s.Limit = max(0, min(limit, time.Until(ends))), 0
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &tail{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/", "DEBUGFS_PAGER=cat", "PAGER=cat"}
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- cmd.Run() }()
	b.say("$ " + s.Run)
	b.last = ""
	late := time.NewTimer(limit + lateness) // it was killed, and does not go
	defer late.Stop()
	select {
	case err = <-ended:
		b.last = out.String()
		b.say(b.last)
		lines := strings.Split(strings.TrimSpace(b.last), "\n")
		s.Said = lines[len(lines)-1]
	case <-late.C:
		err = errSlow
	}
	s.Seconds = time.Since(began).Seconds()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		code, err = failed.ExitCode(), nil
	}
	if ctx.Err() != nil && err != nil {
		err = errSlow
	}
	if s.Code = code; err != nil {
		s.Code = -1
		b.say(err.Error())
	}
	if b.r.Steps = append(b.r.Steps, s); err != nil || code != 0 {
		b.r.Detail = fmt.Sprintf("%s: %s", name, s.Said)
	}
	return code, err
}

// A tail keeps the beginning and the end of what is written to it: a torn inode
// table makes e2fsck say megabytes.
type tail struct{ head, end []byte }

const tailMost = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	room := min(n, tailMost-len(t.head))
	t.head = append(t.head, p[:room]...)
	if p = p[room:]; len(p) > 0 {
		t.end = append(t.end, p...)
		t.end = t.end[max(0, len(t.end)-tailMost):]
	}
	return n, nil
}

func (t *tail) String() string {
	if len(t.end) == 0 {
		return string(t.head)
	}
	return string(t.head) + "\n...\n" + string(t.end)
}
