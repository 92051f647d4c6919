package volume_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/systemd/volume"
)

// A boot is what a child in a mount namespace of its own does, and what it found:
// whatever it mounts goes with it.
type boot struct {
	Volume volume.Volume
	Do     string // "mount", "mount and clear", "fallback", "die and fallback"

	Report   volume.Report
	Err      string
	Files    map[string]string // on what is mounted; the text
	Memory   bool              // whether that is memory
	Blocks   uint64            // of the file system
	Writable bool
	Full     bool // nothing can be written, and that is right
	Folders  map[string]string

	// The power goes Before or After a program: the image is then copied to Image.cut.
	Before, After, Image string
}

const childVariable = "LIVEKIOSK_VOLUME_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // TestMain
		}
		os.Exit(0) //nolint:forbidigo // TestMain
	}
	dir, err := os.MkdirTemp("", "volume")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // TestMain
	}
	template = filepath.Join(dir, "data")
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain
}

func child() (err error) {
	var b boot
	if err = json.NewDecoder(os.Stdin).Decode(&b); err != nil {
		return err
	}
	if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil && !errors.Is(err, unix.EINVAL) { // it is, where the root is not a mount
		return err
	}
	for program, script := range map[string]string{b.Before: "cp \"$2\" \"$2.cut\"; %[1]s", b.After: "%[1]s; code=$?; cp \"$2\" \"$2.cut\"; exit $code"} {
		if program == "" {
			continue
		}
		if err = instead(filepath.Dir(b.Volume.Dir), program, strings.ReplaceAll(script, "$2", b.Image)); err != nil {
			return err
		}
	}
	mounted := filepath.Join(b.Volume.Dir, "volume")
	switch b.Do {
	case "die and fallback": // the volume is mounted, and nothing was told
		if _, err = b.Volume.Mount(context.Background()); err == nil {
			err = os.WriteFile(filepath.Join(b.Volume.Dir, "report.json"), []byte(`{"state":"volatile","cause":"unfinished"}`), 0o600)
		}
		if err != nil {
			return err
		}
		fallthrough
	case "fallback":
		b.Report, err = b.Volume.Fallback()
	default:
		b.Report, err = b.Volume.Mount(context.Background())
	}
	if err != nil {
		b.Err = err.Error()
	}
	var of unix.Statfs_t
	if err = unix.Statfs(mounted, &of); err != nil {
		return err
	}
	b.Memory, b.Blocks = of.Type == unix.TMPFS_MAGIC, of.Blocks
	b.Files, b.Folders = map[string]string{}, map[string]string{}
	err = filepath.WalkDir(mounted, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() && !e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s has no owner", path)
		}
		if e.IsDir() {
			b.Folders[strings.TrimPrefix(path, mounted)] = fmt.Sprintf("%d %v", owner.Uid, info.Mode())
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b.Files[strings.TrimPrefix(path, mounted)] = fmt.Sprintf("%d %v %x", owner.Uid, info.Mode(), text[:min(64, len(text))])
		return nil
	})
	if err != nil {
		return err
	}
	b.Writable = os.WriteFile(filepath.Join(mounted, "new"), []byte("x"), 0o600) == nil && os.Remove(filepath.Join(mounted, "new")) == nil
	if b.Do == "mount and clear" {
		if err = volume.Clear(b.Volume.Dir); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(b)
}

// instead has a script run for a program, as which %[1]s stands for the program with
// its arguments, in this mount namespace. It needs room below a folder.
func instead(below, program, script string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(below, "")
	if err != nil {
		return err
	}
	// What is copied goes with the namespace.
	if err = unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	genuine, fake := filepath.Join(dir, program), filepath.Join(dir, "instead")
	script = "#!/bin/sh\n" + fmt.Sprintf(script, genuine+` "$@"`) + "\n"
	if err = errors.Join(os.WriteFile(genuine, text, 0o700), os.WriteFile(fake, []byte(script), 0o700)); err != nil { //nolint:gosec // programs
		return err
	}
	return unix.Mount(fake, path, "", unix.MS_BIND, "")
}

// board boots once with a device, and returns what it found.
func board(t *testing.T, b boot) boot {
	t.Helper()
	if b.Volume.Dir == "" {
		b.Volume.Dir = filepath.Join(t.TempDir(), "run")
	}
	if b.Volume.Wait == 0 {
		b.Volume.Wait = time.Second
	}
	in, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var found boot
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if found.Err != "" {
		t.Fatal(found.Err)
	}
	if found.Writable == b.Full {
		t.Errorf("it can be written: %t, and full: %t", found.Writable, b.Full)
	}
	most, limit := b.Volume.Longest(), b.Volume.Wait.Seconds()
	for _, s := range found.Report.Steps {
		limit += s.Limit
	}
	if limit > most.Seconds() {
		t.Errorf("it may take %.0f s, and %v is the longest: %+v", limit, most, found.Report.Steps)
	}
	told, err := volume.Read(b.Volume.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if told.State != found.Report.State || told.Cause != found.Report.Cause {
		t.Errorf("the file says %s %s, and Mount %s %s", told.State, told.Cause, found.Report.State, found.Report.Cause)
	}
	if found.Memory == told.Durable() {
		t.Errorf("%s, and memory: %t", told.State, found.Memory)
	}
	return found
}

// needsRoot skips where somebody without root works on something else. Root, and CI,
// must have what makes a disk of a file.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root, to mount: CI must run this as root")
		}
		t.Skip("needs root, to mount")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Fatal("needs loop devices: modprobe loop, or give the container /dev/loop-control and its devices: ", err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "E2FSPROGS_FAKE_TIME=1790000000"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Sizes of the partition that is tried: large enough for a copy of the superblock.
const (
	megabyte  = 1 << 20
	size      = 24 * megabyte
	blockSize = 1024
)

// whole are the files below lib of a board that was in use: a daemon's, and its sealed
// key's.
var whole = map[string]int{
	"kioskd/outbox.db": megabyte, "kioskd/outbox.db.epochs-1": 4096, "kioskd/keys/device.key": 200, "kioskd/staff.pin": 100,
	"credstore.encrypted/device.key": 300, "systemd/credential.secret": 400,
}

// template is the file that each partition is a copy of.
var template string

// partition makes a file with a data partition in it, such as genimage makes.
func partition(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(template); errors.Is(err, fs.ErrNotExist) {
		run(t, "mv", genuine(t), template)
	}
	image := filepath.Join(t.TempDir(), "data")
	run(t, "cp", "--sparse=always", template, image)
	return image
}

// genuine makes the first.
func genuine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	lib := filepath.Join(dir, "tree", "lib")
	for _, folder := range []struct {
		path  string
		mode  fs.FileMode
		owner int
	}{{"..", 0o755, 0}, {".", 0o755, 0}, {"kioskd", 0o750, 900}, {"kioskd/keys", 0o700, 900}, {"credstore.encrypted", 0o700, 0}, {"systemd", 0o755, 0}} {
		path := filepath.Join(lib, folder.path)
		if err := errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, folder.mode), os.Chown(path, folder.owner, folder.owner)); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range whole {
		b := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(len(name))}).Read(b)
		path := filepath.Join(lib, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 900, 900); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "data")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", strconv.Itoa(blockSize), "-L", "data", "-m", "0", "-O", "^fast_commit",
		"-U", "6f0f2f5c-2f0d-4a52-9a6e-1d6a3c1e8a40", "-E", "hash_seed=0b0e4a0e-6d86-4a0f-8d0f-5b1f2b7c9d11", "-d", filepath.Join(dir, "tree"), image)
	return image
}

// loop makes a device of a file.
func loop(t *testing.T, image string, args ...string) string {
	t.Helper()
	device := strings.TrimSpace(run(t, "losetup", append(args, "--find", "--show", image)...))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil { //nolint:gosec // after the test's context
			t.Errorf("%v: %s", err, out)
		}
	})
	return device
}

// over writes over a file.
func over(t *testing.T, image string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// where returns a number that dumpe2fs or debugfs tells.
func where(t *testing.T, image, request, before string) int64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "debugfs", "-R", request, image) //nolint:gosec // debugfs
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBUGFS_PAGER=cat"}
	out, err := cmd.Output() // its version is told on stderr
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(out), before)
	var n int64
	if _, err = fmt.Sscanf(strings.TrimLeft(after, " :\t\n("), "%d", &n); !found || err != nil {
		t.Fatalf("debugfs %q says no %q: %v", request, before, err)
	}
	return n
}

// intact are the files as they come from partition.
func intact(t *testing.T) boot {
	t.Helper()
	f := board(t, boot{Volume: volume.Volume{Device: loop(t, partition(t))}})
	if f.Report.State != volume.Ready || f.Report.Cause != volume.NoCause || len(f.Report.Losses) > 0 {
		t.Fatalf("a whole partition: %+v", f.Report)
	}
	if len(f.Files) != len(whole) {
		t.Fatalf("a whole partition has %v", slices.Sorted(maps.Keys(f.Files)))
	}
	return f
}

// has reports whether all of want is there, with owner, mode and beginning.
func has(got, want map[string]string) bool {
	for name, text := range want {
		if got[name] != text {
			return false
		}
	}
	return true
}

// A disk is what is to be damaged.
type disk struct {
	t     *testing.T
	image string
}

func TestADamagedVolumeComesUp(t *testing.T) {
	needsRoot(t)
	want := intact(t)
	for _, tt := range []struct {
		name   string
		damage func(d disk)
		state  volume.State
		cause  volume.Cause
		keeps  bool // every file of the daemon
	}{
		{"a power cut while files were written", func(d disk) { cut(d.t, d.image) }, volume.Ready, volume.NoCause, true},
		{"the superblock is zero", func(d disk) { over(d.t, d.image, 1024, make([]byte, 1024)) }, volume.Repaired, volume.Damaged, true},
		{"superblock and descriptors are noise", func(d disk) { over(d.t, d.image, 0, noise(4*blockSize, 1)) }, volume.Repaired, volume.Damaged, true},
		{"the descriptors are zero", func(d disk) { over(d.t, d.image, 2*blockSize, make([]byte, blockSize)) }, volume.Repaired, volume.Damaged, true},
		{"the journal is noise after a power cut", func(d disk) {
			cut(d.t, d.image)
			over(d.t, d.image, journal(d.t, d.image)*blockSize, noise(32*blockSize, 2))
		}, volume.Ready, volume.NoCause, true},
		{"half an inode table is noise", func(d disk) {
			over(d.t, d.image, where(d.t, d.image, "stats", "inode table at")*blockSize+2048, noise(blockSize, 3))
		}, volume.Repaired, volume.Damaged, false},
		{"the first megabyte is zero", func(d disk) { over(d.t, d.image, 0, make([]byte, megabyte)) }, volume.Repaired, volume.Damaged, false},
		{"the bitmaps are noise", func(d disk) {
			blocks, inodes := where(d.t, d.image, "stats", "block bitmap at"), where(d.t, d.image, "stats", "inode bitmap at")
			over(d.t, d.image, blocks*blockSize, noise(blockSize, 4))
			over(d.t, d.image, inodes*blockSize, noise(blockSize, 5))
		}, volume.Repaired, volume.Damaged, true},
		{"the root directory is gone", func(d disk) { run(d.t, "debugfs", "-w", "-R", "clri <2>", d.image) }, volume.Repaired, volume.Damaged, false},
		{"a feature that no program knows", func(d disk) {
			run(d.t, "debugfs", "-w", "-R", "set_super_value feature_incompat 0x400002c2", d.image)
		}, volume.Formatted, volume.Damaged, true},
		{"a feature with which it can be read only", func(d disk) {
			run(d.t, "debugfs", "-w", "-R", "set_super_value feature_ro_compat 0x4000046b", d.image)
		}, volume.Formatted, volume.Damaged, true},
		{"everything is zero", func(d disk) {
			if err := os.Truncate(d.image, 0); err != nil {
				d.t.Fatal(err)
			}
			if err := os.Truncate(d.image, size); err != nil {
				d.t.Fatal(err)
			}
		}, volume.Formatted, volume.Damaged, false},
		{"everything is noise", func(d disk) {
			for at := int64(0); at < size; at += 4 * megabyte {
				over(d.t, d.image, at, noise(4*megabyte, byte(at>>22)))
			}
		}, volume.Formatted, volume.Damaged, false},
		{"there is no room for a file system", func(d disk) {
			if err := os.Truncate(d.image, 16<<10); err != nil {
				d.t.Fatal(err)
			}
		}, volume.Volatile, volume.Broken, false},
		{"it is encrypted", func(d disk) { over(d.t, d.image, 0, []byte("LUKS\xba\xbe\x00\x02")) }, volume.Volatile, volume.Foreign, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := partition(t)
			tt.damage(disk{t, image})
			device, dir := loop(t, image), filepath.Join(t.TempDir(), "run")
			f := board(t, boot{Volume: volume.Volume{Device: device, Dir: dir}})
			if f.Report.State != tt.state || f.Report.Cause != tt.cause {
				t.Errorf("%s, %q (%s), want %s, %q\n%+v", f.Report.State, f.Report.Cause, f.Report.Detail, tt.state, tt.cause, f.Report.Steps)
			}
			if tt.keeps && !has(f.Folders, want.Folders) {
				t.Errorf("folders %v, want %v", f.Folders, want.Folders)
			}
			if kept := has(f.Files, want.Files); kept != tt.keeps {
				t.Errorf("every file is there: %t, want %t: %+v %v", kept, tt.keeps, f.Report.Steps, slices.Sorted(maps.Keys(f.Files)))
			}
			alarms := 0
			if tt.state == volume.Repaired || tt.state == volume.Formatted {
				alarms = 1
			}
			if len(f.Report.Losses) != alarms {
				t.Fatalf("%d alarms, want %d: %+v", len(f.Report.Losses), alarms, f.Report.Losses)
			}
			if alarms == 0 {
				return
			}
			loss := f.Report.Losses[0]
			said := strings.TrimPrefix(loss.Evidence, "/var") + "/said.txt"
			if _, ok := f.Files[said]; !ok || loss.State != tt.state || loss.Boot == "" {
				t.Errorf("no evidence: %+v of %v", loss, slices.Sorted(maps.Keys(f.Files)))
			}
			if tt.state == volume.Formatted && (loss.Rescued > 0) != tt.keeps {
				t.Errorf("%d files rescued", loss.Rescued)
			}
			// The alarm lasts over boots, until somebody has taken note of it.
			again := board(t, boot{Volume: volume.Volume{Device: device, Dir: filepath.Join(t.TempDir(), "run")}, Do: "mount and clear"})
			if again.Report.State != volume.Ready || len(again.Report.Losses) != 1 || again.Report.Losses[0] != loss {
				t.Errorf("at the next boot %+v", again.Report)
			}
			if tt.state != volume.Formatted {
				return
			}
			last := board(t, boot{Volume: volume.Volume{Device: device}})
			if last.Report.State != volume.Ready || len(last.Report.Losses) != 0 {
				t.Errorf("after it was cleared %+v", last.Report)
			}
			if want := len(f.Files) - 1; len(last.Files) != want { // losses.json
				t.Errorf("the next boots made %d files of %d", len(last.Files), want)
			}
		})
	}
}

// cut leaves the image as a power cut does: mounted, with a journal to replay.
func cut(t *testing.T, image string) {
	t.Helper()
	copied := image + ".cut"
	run(t, "unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", `
		mkdir -p "$1.mnt"
		mount -o loop "$1" "$1.mnt"
		for n in 1 2 3 4 5 6 7 8; do mkdir "$1.mnt/more-$n"; done
		sync -f "$1.mnt"
		cp "$1" "$2"
		umount "$1.mnt"`, "sh", image, copied)
	if err := os.Rename(copied, image); err != nil {
		t.Fatal(err)
	}
	if said := run(t, "dumpe2fs", "-h", image); !strings.Contains(said, "needs_recovery") {
		t.Fatalf("the journal is empty:\n%s", said)
	}
}

// TestAnAlarmOutlivesThePower cuts it when the next boot would find a file system in
// order.
func TestAnAlarmOutlivesThePower(t *testing.T) {
	needsRoot(t)
	for name, tt := range map[string]struct {
		b      boot
		damage func(d disk)
		state  volume.State
	}{
		"after it was formatted": {boot{After: "mke2fs"}, func(d disk) {
			run(d.t, "debugfs", "-w", "-R", "set_super_value feature_incompat 0x400002c2", d.image)
		}, volume.Formatted},
		"after it was repaired": {boot{Before: "resize2fs"}, func(d disk) { over(d.t, d.image, 1024, make([]byte, 1024)) }, volume.Repaired},
	} {
		t.Run(name, func(t *testing.T) {
			image := partition(t)
			tt.damage(disk{t, image})
			tt.b.Volume, tt.b.Image = volume.Volume{Device: loop(t, image)}, image
			f := board(t, tt.b)
			again := board(t, boot{Volume: volume.Volume{Device: loop(t, image+".cut")}})
			if f.Report.State != tt.state || again.Report.State != volume.Ready || len(again.Report.Losses) != 1 || again.Report.Losses[0].State != tt.state {
				t.Fatalf("%s, and after the power cut %+v", f.Report.State, again.Report)
			}
			for name := range whole {
				if _, ok := again.Files["/lib/"+name]; !ok {
					t.Errorf("no %s in %v", name, slices.Sorted(maps.Keys(again.Files)))
				}
			}
			if tt.state == volume.Formatted && again.Report.Losses[0].Rescued != len(whole) {
				t.Errorf("%+v", again.Report.Losses)
			}
		})
	}
}

// TestTheUnitWaitsForAllSteps holds the limits of the steps, which each boot of these
// tests holds against the longest, against that of the unit.
func TestTheUnitWaitsForAllSteps(t *testing.T) {
	text, err := os.ReadFile("../units/kioskd-volume.service")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nTimeoutStartSec=")
	line, _, _ := strings.Cut(after, "\n")
	unit, err := time.ParseDuration(strings.TrimSuffix(line, "in")) // 20min
	if longest := (volume.Volume{}).Longest(); err != nil || unit < longest+time.Minute {
		t.Errorf("the unit is stopped after %q, and may take %v: %v", line, longest, err)
	}
}

// climb has an entry of the daemon's folder lead out of it, to beside the run folder of
// the board if it is joined to where what is rescued goes.
func climb(t *testing.T, image string) {
	t.Helper()
	const plain, evil = "..x..x..x..x..xevil", "../../../../../evil"
	run(t, "tune2fs", "-O", "^metadata_csum", image)
	content := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(content, []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "debugfs", "-w", "-R", "write "+content+" /lib/kioskd/"+plain, image)
	all, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(all, []byte(plain)); n != 1 {
		t.Fatalf("the name is there %d times", n)
	}
	over(t, image, int64(bytes.Index(all, []byte(plain))), []byte(evil))
}

// TestAPartitionWritesNothingElsewhere is of a card that somebody made: its names, and
// its symbolic links, lead to files of the board.
func TestAPartitionWritesNothingElsewhere(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	image := partition(t)
	climb(t, image)
	run(t, "debugfs", "-w", "-R", "symlink /lib/kioskd-volume "+elsewhere, image)
	over(t, image, 1024, make([]byte, 1024))
	f := board(t, boot{Volume: volume.Volume{Device: loop(t, image), Dir: filepath.Join(dir, "run")}})
	if f.Report.State != volume.Repaired || len(f.Report.Losses) != 1 {
		t.Errorf("%+v", f.Report)
	}
	for _, in := range []string{dir, elsewhere} {
		entries, err := os.ReadDir(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); in != dir || name != "run" && name != "elsewhere" {
				t.Errorf("%s has been written", filepath.Join(in, name))
			}
		}
	}
}

// journal returns the first block of the journal.
func journal(t *testing.T, image string) int64 {
	t.Helper()
	return where(t, image, "bmap <8> 0", "")
}

// TestWhatCannotBeWrittenIsLeftAsItIs has a worn card, no card, a repair that takes
// too long, and a program that was killed.
func TestWhatCannotBeWrittenIsLeftAsItIs(t *testing.T) {
	needsRoot(t)
	image := partition(t)
	cut(t, image)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	gone := volume.Volume{Device: filepath.Join(t.TempDir(), "data"), Wait: time.Millisecond}
	if f := board(t, boot{Volume: gone}); f.Report.State != volume.Volatile || f.Report.Cause != volume.Missing || len(f.Files) > 0 {
		t.Errorf("no device: %+v, %v", f.Report, f.Files)
	}
	if f := board(t, boot{Volume: volume.Volume{Device: loop(t, image, "--read-only")}}); f.Report.Cause != volume.ReadOnly {
		t.Errorf("read-only: %+v", f.Report)
	}
	for name, do := range map[string]string{"killed before it began": "fallback", "killed at the end": "die and fallback"} {
		gone.Dir = filepath.Join(t.TempDir(), "run")
		if f := board(t, boot{Volume: gone, Do: do}); f.Report.State != volume.Volatile || f.Report.Durable() {
			t.Errorf("%s: %+v", name, f.Report)
		}
	}
	over(t, image, 1024, make([]byte, 1024))
	slow := volume.Volume{Device: loop(t, image), Repair: time.Nanosecond}
	if f := board(t, boot{Volume: slow}); f.Report.Cause != volume.Slow {
		t.Errorf("a slow repair: %+v", f.Report)
	}
	over(t, image, 1024, before[1024:2048])
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the partition was written, %v", err)
	}
}

// TestAFullVolumeIsInOrder has no room: that is no damage, and what fills it is what
// must not be lost.
func TestAFullVolumeIsInOrder(t *testing.T) {
	needsRoot(t)
	for name, fill := range map[string]string{
		"to the last block": `dd if=/dev/zero of="$1.mnt/lib/kioskd/fill" bs=64k 2>"$1.said" && exit 1
			grep -q "No space left" "$1.said"
			sync -f "$1.mnt"; dd if=/dev/zero of="$1.mnt/lib/kioskd/rest" bs=1k 2>"$1.said" && exit 1`,
		"of inodes": `touch "$1.mnt"/lib/kioskd/fill-{1..99} 2>"$1.said" && exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "data")
			run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", strconv.Itoa(blockSize), "-m", "0", "-N", "64", image, "6m")
			run(t, "unshare", "--mount", "--propagation", "unchanged", "bash", "-ec", `mkdir "$1.mnt"; mount -o loop "$1" "$1.mnt"; mkdir -p "$1.mnt/lib/kioskd"; `+fill+`
				sync -f "$1.mnt"; df --output=avail,iavail "$1.mnt" | tail -n 1 | grep -qw 0; umount "$1.mnt"`, "bash", image)
			f := board(t, boot{Volume: volume.Volume{Device: loop(t, image)}, Full: true})
			if f.Report.State != volume.Ready || f.Report.Cause != volume.NoCause || len(f.Report.Losses) > 0 || len(f.Files) == 0 {
				t.Errorf("%+v with %d files", f.Report, len(f.Files))
			}
		})
	}
}

// TestWhatIsNotLostIsNotFormatted has devices that cannot be used now, and whose data
// is still there.
func TestWhatIsNotLostIsNotFormatted(t *testing.T) {
	needsRoot(t)
	unknown := func(d disk) { run(d.t, "debugfs", "-w", "-R", "set_super_value feature_incompat 0x400002c2", d.image) }
	for _, tt := range []struct {
		name   string
		damage func(d disk)
		detail string
	}{
		{"a file of it cannot be read", func(d disk) {
			run(d.t, "debugfs", "-w", "-R", "set_inode_field /lib/kioskd/outbox.db block[0] 0xdead", d.image)
			unknown(d)
		}, "not all that is on it could be read"},
		{"it holds more than the memory", func(d disk) {
			run(d.t, "debugfs", "-w", "-R", "set_inode_field /lib/kioskd/outbox.db size 0x40000000", d.image)
			unknown(d)
		}, `no room for 1073741824 bytes of "lib/kioskd/outbox.db"`},
		{"a name in it is no name", func(d disk) {
			climb(d.t, d.image)
			unknown(d)
		}, "/../evil/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := partition(t)
			tt.damage(disk{t, image})
			untouched(t, image, volume.Broken, tt.detail)
		})
	}
	for _, maker := range [][]string{{"mkfs.vfat", "-n", "DATA"}, {"mkswap"}} {
		t.Run(maker[0]+" was run on it", func(t *testing.T) {
			image := partition(t) // copies of whose superblock stay
			run(t, maker[0], append(maker[1:], image)...)
			untouched(t, image, volume.Foreign, " has ")
		})
	}
	t.Run("somebody has it in use", func(t *testing.T) {
		image := partition(t)
		device, dir := loop(t, image), t.TempDir()
		if err := unix.Mount(device, dir, "ext4", unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		used(t, image, device, volume.Broken, "busy")
	})
}

// untouched boots with an image, which must come up volatile for cause, and not change.
func untouched(t *testing.T, image string, cause volume.Cause, detail string) {
	t.Helper()
	used(t, image, loop(t, image), cause, detail)
}

func used(t *testing.T, image, device string, cause volume.Cause, detail string) {
	t.Helper()
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	f := board(t, boot{Volume: volume.Volume{Device: device, Wait: 300 * time.Millisecond}})
	if f.Report.State != volume.Volatile || f.Report.Cause != cause || !strings.Contains(f.Report.Detail, detail) {
		t.Errorf("%s, %q (%s)\n%+v", f.Report.State, f.Report.Cause, f.Report.Detail, f.Report.Steps)
	}
	after, err := os.ReadFile(image)
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d bytes of %d, %v", len(after), len(before), err)
	}
	for at := range before {
		if before[at] != after[at] {
			t.Fatalf("byte %#x of the partition was written\n%+v", at, f.Report.Steps)
		}
	}
}

// TestAFallbackLeavesWhatWorks is of a unit that is stopped at the end of the day.
func TestAFallbackLeavesWhatWorks(t *testing.T) {
	needsRoot(t)
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	report := []byte(`{"state":"ready","device":"/dev/data"}`)
	if err := os.WriteFile(filepath.Join(dir, "report.json"), report, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := volume.Volume{Dir: dir}.Fallback()
	if err != nil || r.State != volume.Ready {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "volume")); !os.IsNotExist(err) {
		t.Errorf("it mounted something: %v", err)
	}
}

// TestItGrowsOverThePartition has a card that is larger than the image.
func TestItGrowsOverThePartition(t *testing.T) {
	needsRoot(t)
	image := partition(t)
	if err := os.Truncate(image, 2*size); err != nil {
		t.Fatal(err)
	}
	f := board(t, boot{Volume: volume.Volume{Device: loop(t, image)}})
	for _, step := range f.Report.Steps {
		if strings.HasPrefix(step.Run, "resize2fs") && step.Code != 0 && !may(t, unix.CAP_SYS_RESOURCE) {
			t.Skip("needs CAP_SYS_RESOURCE, to grow what is mounted")
		}
	}
	if f.Report.State != volume.Ready || f.Blocks*blockSize < 2*size*9/10 {
		t.Errorf("%+v %s with %d MB of %d", f.Report.Steps, f.Report.State, f.Blocks*blockSize/megabyte, 2*size/megabyte)
	}
}

// may reports whether this process has a capability.
func may(t *testing.T, capability int) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "CapEff:")
	var have uint64
	if _, err := fmt.Sscanf(after, "%x", &have); err != nil {
		t.Fatal(err)
	}
	return have&(1<<capability) != 0
}

// TestWhateverIsDamagedItComesUp damages at random: it must come up with something
// to write to, and not a second time with another loss.
func TestWhateverIsDamagedItComesUp(t *testing.T) {
	needsRoot(t)
	random := rand.New(rand.NewPCG(8, 4)) //nolint:gosec // the same each time
	sound := partition(t)
	states := map[volume.State]int{}
	for n := range 4 {
		image := filepath.Join(t.TempDir(), "data")
		run(t, "cp", "--sparse=always", sound, image)
		for range 4 + random.IntN(24) {
			b := noise(1<<(6+random.IntN(10)), byte(random.Uint32()))
			if random.IntN(3) == 0 {
				clear(b)
			}
			over(t, image, random.Int64N(int64(1)<<(15+random.IntN(10))), b)
		}
		if n == 0 { // what chance need not meet
			over(t, image, 0, make([]byte, 4*blockSize))
		}
		device := loop(t, image)
		f := board(t, boot{Volume: volume.Volume{Device: device}})
		states[f.Report.State]++
		if !f.Report.Durable() {
			t.Errorf("damage %d: %+v", n, f.Report)
		}
		if again := board(t, boot{Volume: volume.Volume{Device: device}}); again.Report.State != volume.Ready || len(again.Report.Losses) != len(f.Report.Losses) {
			t.Errorf("damage %d: %s, and at the next boot %+v", n, f.Report.State, again.Report)
		}
	}
	t.Log(states)
	if states[volume.Ready] == 4 {
		t.Error("nothing was damaged")
	}
}

func TestAReportIsReadAsItIs(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		state      volume.State
		bad        bool
	}{
		{"nothing has run yet", "", volume.Volatile, false},
		{"a partition in order", `{"state":"ready","device":"/dev/mmcblk0p4"}`, volume.Ready, false},
		{"half a report", `{"state":"rea`, volume.Volatile, true},
		{"a state of another release", `{"state":"fine"}`, volume.Volatile, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.text != "" {
				if err := os.WriteFile(filepath.Join(dir, "report.json"), []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := volume.Read(dir); r.State != tt.state || (err != nil) != tt.bad {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	if r, err := volume.Read(filepath.Join(t.TempDir(), "none")); err != nil || r.State != "" {
		t.Errorf("a board without such a partition: %+v, %v", r, err)
	}
}
