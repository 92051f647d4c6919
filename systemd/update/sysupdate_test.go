//go:build sysupdate

// The tests of this file have Debian 13's own systemd-sysupdate write a disk, by
// the transfer files that images get. They need root: see make update-test.
package update_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/systemd/update"
)

// kills is how often an update is killed.
const kills = 50

// inside starts a program in Debian's tree, with the folder of the board in
// place of some of its folders, and nothing left behind.
const inside = `set -e
tree=$1 board=$2; shift 2
mount --make-rprivate /
mount -t tmpfs none /run
mkdir /run/up /run/work
mount -t overlay -o lowerdir="$tree",upperdir=/run/up,workdir=/run/work none "$tree"
mkdir -p "$tree/efi" "$tree/board" "$tree/var/lib/kioskd-update"
mount -t proc none "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --bind "$board" "$tree/board"
mount --bind "$board/efi" "$tree/efi"
mount --bind "$board/var/lib/kioskd-update" "$tree/var/lib/kioskd-update"
cp "$board/usr/lib/os-release" "$tree/usr/lib/os-release"
cp "$board/key.pub" "$tree/etc/systemd/import-pubring.gpg"
cp -r "$board/sysupdate.d" "$board/sysupdate.rollout.d" "$board/sysupdate.models.d" "$tree/usr/lib/"
exec chroot "$tree" "$@"
`

// A rig is a board that runs version 1, and its server.
type rig struct {
	update.Machine
	t     *testing.T
	tree  string // of Debian 13
	root  string // the board's files
	disk  string
	first []byte // what the slot that runs has to have
	keys  string // gpg's folder

	mu     sync.Mutex
	files  map[string][]byte // that are offered
	sent   int               // bytes, since it was last set to zero
	cut    string            // the end of the name of a file of which half is sent
	killAt int               // bytes after which the program is killed; 0: not
	late   time.Duration     // how long after that
	kill   func()
}

func tools(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(string(out))
}

// The layout of the disk, in sectors of 512 bytes.
const table = `label: gpt
start=2048, size=8192, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=kiosk_1
start=10240, size=2048, type=2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5, name=kiosk_1_verity
start=12288, size=8192, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=_empty
start=20480, size=2048, type=2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5, name=_empty
`

const (
	slotA = 2048 * 512
	slotB = 12288 * 512
	slot  = 10240 * 512 // both of its partitions
)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, root: t.TempDir(), keys: t.TempDir(), files: map[string][]byte{}}
	r.tree = tools(t, ".", "../../buildroot/test/image/debian", "systemd", "systemd-container", "gpg", "gpgv")
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	for _, dir := range []string{"efi/EFI/Linux", "var/lib/kioskd-update/models", "usr/lib", "etc"} {
		if err := os.MkdirAll(filepath.Join(r.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	r.write("usr/lib/os-release", "ID=kiosk\nIMAGE_VERSION=1\n")
	r.write("efi/EFI/Linux/kiosk_1.efi", "kernel 1")
	for _, dir := range []string{"sysupdate.d", "sysupdate.rollout.d", "sysupdate.models.d"} {
		if err := os.CopyFS(filepath.Join(r.root, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(r.root, dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no transfers in %s: %v", dir, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := regexp.MustCompile(`(?m)^Path=https:.*`).ReplaceAllString(string(b), "Path="+server.URL+"/")
			text = strings.Replace(text, "Path=auto", "Path=/board/disk", 1) // the tree's own disk is this machine's
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.disk = filepath.Join(r.root, "disk")
	r.first = noise(slot)
	r.write("disk", "")
	if err := errors.Join(os.Truncate(r.disk, 24<<20), r.put(slotA, r.first)); err != nil {
		t.Fatal(err)
	}
	r.empty()
	r.newKey()
	tools(t, ".", "gpg", "--homedir", r.keys, "--batch", "--export", "--output", filepath.Join(r.root, "key.pub"))
	r.Machine = update.Machine{Root: r.root, Run: r.run}
	return r
}

// empty takes whatever is in the slot that does not run out of it.
func (r *rig) empty() {
	r.t.Helper()
	kernels, err := filepath.Glob(filepath.Join(r.root, "efi/EFI/Linux/kiosk_[^1]*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range kernels {
		if err := os.Remove(file); err != nil {
			r.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(r.t.Context(), "sfdisk", "-q", r.disk)
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("sfdisk: %v: %s", err, out)
	}
}

// newKey has what is signed from now on signed by another key.
func (r *rig) newKey() {
	r.t.Helper()
	r.keys = r.t.TempDir()
	tools(r.t, ".", "gpg", "--homedir", r.keys, "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "update test", "ed25519", "sign", "never")
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.root, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) put(at int64, b []byte) error {
	f, err := os.OpenFile(r.disk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

func (r *rig) read(at int64, n int) []byte {
	r.t.Helper()
	f, err := os.Open(r.disk)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		r.t.Fatal(err)
	}
	return b
}

// run runs a program of the board. What knows of boots is not there: version 1
// was kept, and a restart does nothing.
func (r *rig) run(ctx context.Context, name string, args ...string) (string, error) {
	switch filepath.Base(name) {
	case "systemd-bless-boot":
		return "good", nil
	case "systemctl":
		return "active", nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.kill = cancel
	r.mu.Unlock()
	command := append([]string{
		"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside, "inside", r.tree, r.root,
		"env", "SYSTEMD_ESP_PATH=/efi", "SYSTEMD_RELAX_ESP_CHECKS=1", "SYSTEMD_LOG_TARGET=console", name,
	}, args...)
	out, err := exec.CommandContext(ctx, "unshare", command...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// ServeHTTP offers the files.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	b, ok := r.files[name]
	cut := r.cut != "" && strings.HasSuffix(name, r.cut)
	r.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if cut {
		b = b[:len(b)/2]
	}
	for len(b) > 0 {
		n := min(len(b), 32<<10)
		if _, err := w.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
		r.mu.Lock()
		if r.sent += n; r.killAt > 0 && r.sent >= r.killAt {
			time.AfterFunc(r.late, r.kill)
			r.killAt = 0
		}
		r.mu.Unlock()
	}
}

// offer has the server offer a version, by a rollout with this number.
func (r *rig) offer(v update.Version, number int, floor update.Version) {
	r.t.Helper()
	rollout, err := json.Marshal(update.Rollout{
		Version: v, Floor: floor, Rings: map[string]time.Time{update.Broad: time.Now().Add(-time.Hour)}, Until: time.Now().Add(time.Hour),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	files := map[string][]byte{
		fmt.Sprintf("kiosk_%s_%s.root.raw", v, uuid()):   noise(3 << 20),
		fmt.Sprintf("kiosk_%s_%s.verity.raw", v, uuid()): noise(300 << 10),
		fmt.Sprintf("kiosk_%s.efi", v):                   noise(400 << 10),
		fmt.Sprintf("rollout_%d.json", number):           rollout,
	}
	r.mu.Lock()
	r.files = files
	r.mu.Unlock()
	r.sign()
}

func uuid() string {
	b := noise(16)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// sign signs what is offered.
func (r *rig) sign() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var sums strings.Builder
	for name, b := range r.files {
		if !strings.HasPrefix(name, "SHA256SUMS") {
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(b), name)
		}
	}
	dir := r.t.TempDir()
	file := filepath.Join(dir, "SHA256SUMS")
	if err := os.WriteFile(file, []byte(sums.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
	tools(r.t, dir, "gpg", "--homedir", r.keys, "--batch", "--quiet", "--detach-sign", "--output", "SHA256SUMS.gpg", file)
	signature, err := os.ReadFile(file + ".gpg")
	if err != nil {
		r.t.Fatal(err)
	}
	r.files["SHA256SUMS"], r.files["SHA256SUMS.gpg"] = []byte(sums.String()), signature
}

// file returns the name and the bytes of the file that is offered and ends so.
func (r *rig) file(end string) (string, []byte) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, b := range r.files {
		if strings.HasSuffix(name, end) {
			return name, b
		}
	}
	r.t.Fatalf("no %s is offered", end)
	return "", nil
}

// whole fails unless the version that runs is as it was, and the board would boot
// into one whole version: into want, or, with "", into either.
func (r *rig) whole(want update.Version) {
	r.t.Helper()
	if !bytes.Equal(r.read(slotA, slot), r.first) {
		r.t.Fatal("the slot that runs was written")
	}
	kernels, err := filepath.Glob(filepath.Join(r.root, "efi/EFI/Linux/kiosk_*.efi"))
	if err != nil {
		r.t.Fatal(err)
	}
	var newest update.Version
	has := map[update.Version]string{}
	for _, file := range kernels {
		v, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "kiosk_"), ".efi"), "+")
		has[update.Version(v)] = file
		if update.Version(v).Compare(newest) > 0 {
			newest = update.Version(v)
		}
	}
	if has["1"] == "" {
		r.t.Fatalf("the kernel of the version that runs is gone: %v", kernels)
	}
	if want != "" && newest != want {
		r.t.Fatalf("version %s would boot, want %s: %v", newest, want, kernels)
	}
	if newest == "1" {
		return
	}
	root, rootBytes := r.file(".root.raw")
	verity, verityBytes := r.file(".verity.raw")
	_, kernelBytes := r.file(".efi")
	kernel, err := os.ReadFile(has[newest])
	if err != nil {
		r.t.Fatal(err)
	}
	if !bytes.Equal(kernel, kernelBytes) || !bytes.Equal(r.read(slotB, len(rootBytes)), rootBytes) || !bytes.Equal(r.read(slotB+8192*512, len(verityBytes)), verityBytes) {
		r.t.Fatalf("version %s would boot and is not whole", newest)
	}
	parts := tools(r.t, ".", "sfdisk", "--dump", r.disk)
	for name, label := range map[string]string{root: "kiosk_" + string(newest), verity: "kiosk_" + string(newest) + "_verity"} {
		id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(name)
		if !regexp.MustCompile(`(?i)uuid=` + id + `, name="` + label + `"`).MatchString(parts) {
			r.t.Fatalf("no partition %s of UUID %s:\n%s", label, id, parts)
		}
	}
}

func TestSysupdateInstallsWhatIsDecided(t *testing.T) {
	r := newRig(t)
	r.offer("2", 1, "1")
	d, err := update.Apply(t.Context(), r, time.Minute)
	if want := (update.Decision{Action: update.Restart, Reason: update.Installed, Version: "2"}); err != nil || d != want {
		t.Fatalf("decided %v, %v", d, err)
	}
	r.whole("2")
	f, err := r.Facts(t.Context())
	if err != nil || len(f.Slots) != 2 || f.Slots[1] != (update.Slot{Version: "2", Tries: 3}) {
		t.Errorf("slots %v, %v", f.Slots, err)
	}

	// Three boots did not work, and 1 runs again.
	linux := filepath.Join(r.root, "efi/EFI/Linux")
	if err := os.Rename(filepath.Join(linux, "kiosk_2+3-0.efi"), filepath.Join(linux, "kiosk_2+0-3.efi")); err != nil {
		t.Fatal(err)
	}
	if d, err := update.Apply(t.Context(), r, time.Minute); err != nil || d.Reason != update.Broken {
		t.Errorf("decided %v, %v about a version that did not work", d, err)
	}
	r.offer("3", 2, "1")
	if d, err := update.Apply(t.Context(), r, time.Minute); err != nil || d.Action != update.Restart || d.Version != "3" {
		t.Errorf("decided %v, %v about the one that mends it", d, err)
	}
	r.whole("3")
}

func TestSysupdateRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(r *rig)
		reason update.Reason // "": an error
		says   string        // some of it
	}{
		{"nothing that is as it should be", func(*rig) {}, update.Installed, ""},
		{"a signature by another key", func(r *rig) { r.newKey(); r.sign() }, "", "Signature verification failed"},
		{"sums that were changed", func(r *rig) { r.files["SHA256SUMS"] = append(r.files["SHA256SUMS"], '\n') }, "", "Signature verification failed"},
		{"no signature", func(r *rig) { delete(r.files, "SHA256SUMS.gpg") }, "", "404"},
		{"a root that was changed", func(r *rig) { _, b := r.file(".root.raw"); b[len(b)/2] ^= 1 }, "", "did not check out"},
		{"a kernel that was changed", func(r *rig) { _, b := r.file(".efi"); b[len(b)/2] ^= 1 }, "", "did not check out"},
		{"a rollout that was changed", func(r *rig) { _, b := r.file(".json"); b[len(b)/2] ^= 1 }, "", "did not check out"},
		{"a root that ends early", func(r *rig) { r.cut = ".root.raw" }, "", "Transfer"},
		{"a kernel that ends early", func(r *rig) { r.cut = ".efi" }, "", "Transfer"},
		{"a version that is not there", func(r *rig) { name, _ := r.file(".efi"); delete(r.files, name); r.sign() }, "", "not found"},
		{"a version below the floor of the kiosk", func(r *rig) { r.write("etc/kioskd/update.toml", "floor = \"3\"\n") }, update.BelowFloor, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if err := os.Mkdir(filepath.Join(r.root, "etc/kioskd"), 0o755); err != nil {
				t.Fatal(err)
			}
			r.offer("2", 1, "")
			tt.change(r)
			d, err := update.Apply(t.Context(), r, time.Minute)
			if tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) || tt.reason != "" && (err != nil || d.Reason != tt.reason) {
				t.Errorf("decided %v, %v", d, err)
			}
			if tt.reason == update.Installed {
				r.whole("2")
				return
			}
			r.whole("1")
		})
	}
}

// TestSysupdateTakesNoEarlierRollout has somebody in between repeat what was
// signed before.
func TestSysupdateTakesNoEarlierRollout(t *testing.T) {
	r := newRig(t)
	r.offer("2", 1, "")
	early := r.files
	r.offer("3", 2, "2.5")
	r.cut = ".root.raw" // 3 does not get here
	if d, err := update.Apply(t.Context(), r, time.Minute); err == nil {
		t.Fatalf("decided %v", d)
	}
	r.cut, r.files = "", early
	d, err := update.Apply(t.Context(), r, time.Minute)
	if err == nil || d.Version != "3" {
		t.Errorf("decided %v, %v, want it to look for 3 in vain", d, err)
	}
	r.whole("1")
}

// TestSysupdateIsKilled has the update killed at moments all over it, of which
// a seed makes the same each time as far as the machine allows.
func TestSysupdateIsKilled(t *testing.T) {
	r := newRig(t)
	r.offer("2", 1, "")
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := 0
	for name, b := range r.files {
		if !strings.HasSuffix(name, ".json") {
			all += len(b)
		}
	}
	random := mathrand.New(mathrand.NewPCG(1, 1))
	killed, done := 0, 0
	for i := range kills {
		r.mu.Lock()
		r.sent, r.killAt = 0, 1+random.IntN(all)
		r.late = 0
		if i%2 == 0 { // all is here, and then it takes its place
			r.killAt, r.late = all, time.Duration(random.IntN(100))*time.Millisecond
		}
		r.mu.Unlock()
		if r.Install(t.Context(), "2") == nil {
			done++ // too late
			r.whole("2")
			r.empty()
			continue
		}
		killed++
		r.whole("")
	}
	t.Logf("killed %d times, done %d times", killed, done)
	if killed < kills/3 {
		t.Errorf("killed only %d times", killed)
	}
	r.mu.Lock()
	r.killAt = 0
	r.mu.Unlock()
	if err := r.Install(t.Context(), "2"); err != nil {
		t.Error(err)
	}
	r.whole("2")
}

// TestSysupdateBundles has bundles of models fetched: whole, signed, the newest, and
// never so that the one in use and the one before go.
func TestSysupdateBundles(t *testing.T) {
	r := newRig(t)
	fetch := func() error {
		_, err := r.run(t.Context(), "/usr/lib/systemd/systemd-sysupdate", "--component=models", "update")
		return err
	}
	offer := func(name string) []byte {
		b := noise(1 << 20)
		r.mu.Lock()
		r.files = map[string][]byte{name: b}
		r.mu.Unlock()
		r.sign()
		return b
	}
	there := func() (names []string) {
		found, err := filepath.Glob(filepath.Join(r.root, "var/lib/kioskd-update/models/*.bundle"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, filepath.Base(f))
		}
		return names
	}
	want := offer("models_2.0.bundle")
	r.mu.Lock()
	r.cut = ".bundle"
	r.mu.Unlock()
	if err := fetch(); err == nil || len(there()) > 0 {
		t.Errorf("half a bundle is taken: %v, %v", there(), err)
	}
	r.mu.Lock()
	r.cut = ""
	r.mu.Unlock()
	if err := fetch(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(r.root, "var/lib/kioskd-update/models/models_2.0.bundle"))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for _, v := range []string{"2.1", "2.2", "2.10"} {
		offer("models_" + v + ".bundle")
		if err := fetch(); err != nil {
			t.Fatal(err)
		}
	}
	if names := there(); len(names) != 4 {
		t.Errorf("after four versions there are %v", names)
	}
	offer("models_2.9.bundle")
	if err := fetch(); err != nil || len(there()) != 4 {
		t.Errorf("an older one is taken: %v, %v", there(), err)
	}
	r.newKey() // a stranger's
	offer("models_3.0.bundle")
	if err := fetch(); err == nil || len(there()) != 4 {
		t.Errorf("a stranger's is taken: %v, %v", there(), err)
	}
}
