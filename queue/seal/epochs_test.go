package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"livekiosk/queue/seal"
)

const base = "outbox.db"

func epochs(tb testing.TB, dir string, slots int) *seal.Epochs {
	tb.Helper()
	e, err := seal.CreateEpochs(dir, base, slots)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func reopen(tb testing.TB, dir, id string) *seal.Epochs {
	tb.Helper()
	e, err := seal.OpenEpochs(dir, base, id)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

func take(tb testing.TB, e *seal.Epochs) *seal.Epoch {
	tb.Helper()
	p, err := e.Take()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func wrap(tb testing.TB, p *seal.Epoch, aad, sealed string) []byte {
	tb.Helper()
	w, err := p.Wrap([]byte(aad), []byte(sealed))
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// unwrapsWith says whether a part unwraps with what lies in a slot.
func unwrapsWith(e *seal.Epochs, slot uint32, aad string, wrapped []byte) (string, error) {
	p, err := e.At(slot)
	if err != nil {
		return "", err
	}
	got, err := p.Unwrap([]byte(aad), bytes.Clone(wrapped))
	return string(got), err
}

func epochFile(dir string, e *seal.Epochs) string {
	return filepath.Join(dir, base+".epochs-"+e.ID())
}

func TestAPartUnwrapsOnlyInItsPlaceAndWithItsKey(t *testing.T) {
	e := epochs(t, t.TempDir(), 4)
	p, other := take(t, e), take(t, e)
	for _, aes := range []bool{true, false} {
		wrapped, err := p.WrapOn(aes, []byte("place"), []byte("a sealed part"))
		if err != nil {
			t.Fatal(err)
		}
		if len(wrapped) != len("a sealed part")+seal.EpochOverhead {
			t.Errorf("wrapped to %d bytes", len(wrapped))
		}
		if got, err := p.Unwrap([]byte("place"), bytes.Clone(wrapped)); err != nil || string(got) != "a sealed part" {
			t.Errorf("unwrapped %q, %v", got, err)
		}
		changed := func(i int, b byte) []byte {
			c := bytes.Clone(wrapped)
			c[i] ^= b
			return c
		}
		for name, tc := range map[string]struct {
			key     *seal.Epoch
			aad     string
			wrapped []byte
		}{
			"another key":     {other, "place", wrapped},
			"another place":   {p, "places", wrapped},
			"another suite":   {p, "place", changed(0, 0x11^0x12)},
			"no suite":        {p, "place", changed(0, 0x10)},
			"another nonce":   {p, "place", changed(1, 1)},
			"a changed byte":  {p, "place", changed(14, 1)},
			"a changed tag":   {p, "place", changed(len(wrapped)-1, 0x80)},
			"a byte missing":  {p, "place", wrapped[:len(wrapped)-1]},
			"a byte too many": {p, "place", append(bytes.Clone(wrapped), 0)},
			"nothing":         {p, "place", nil},
			"zeros":           {p, "place", make([]byte, 100)},
		} {
			if got, err := tc.key.Unwrap([]byte(tc.aad), bytes.Clone(tc.wrapped)); err == nil {
				t.Errorf("with AES %t, %s: unwrapped to %q", aes, name, got)
			}
		}
	}
}

// TestAWrappedPartIsAsWrittenDown opens one with the package's words and the
// standard library only.
func TestAWrappedPartIsAsWrittenDown(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 3)
	take(t, e)
	p := take(t, e)
	file, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	id := hex.EncodeToString(file[18:34])
	if string(file[:18]) != "livekiosk epochs\x00\x01" || id != e.ID() || len(file) != 4096+3*32 {
		t.Fatalf("the file of %d bytes begins with %q", len(file), file[:34])
	}
	for suite, withAES := range map[byte]bool{0x11: true, 0x12: false} {
		w, err := p.WrapOn(withAES, []byte("place"), []byte("part"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := hkdf.Key(sha256.New, file[4096+32:4096+64], nil, "livekiosk epoch\x00"+string(rune(suite)), 32)
		if err != nil {
			t.Fatal(err)
		}
		var aead cipher.AEAD
		if withAES {
			block, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			aead, err = cipher.NewGCM(block)
			if err != nil {
				t.Fatal(err)
			}
		} else if aead, err = chacha20poly1305.New(key); err != nil {
			t.Fatal(err)
		}
		if got, err := aead.Open(nil, w[1:13], w[13:], []byte("place")); err != nil || w[0] != suite || string(got) != "part" {
			t.Errorf("opened %q, %v, of suite %#x", got, err, w[0])
		}
	}
}

func TestADestroyedKeyUnwrapsNothing(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 3)
	kept, gone := take(t, e), take(t, e)
	wrappedKept, wrappedGone := wrap(t, kept, "", "kept"), wrap(t, gone, "", "gone")
	before, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Destroy([]uint32{gone.Slot()}); err != nil {
		t.Fatal(err)
	}
	if got, err := gone.Unwrap(nil, bytes.Clone(wrappedGone)); err == nil {
		t.Errorf("a key that somebody still holds unwrapped %q", got)
	}
	if _, err := gone.Wrap(nil, []byte("x")); err == nil {
		t.Error("a key that somebody still holds wrapped")
	}
	if got, err := unwrapsWith(e, gone.Slot(), "", wrappedGone); err == nil {
		t.Errorf("the slot unwrapped %q", got)
	}
	again := take(t, e)
	if again.Slot() != gone.Slot() {
		t.Errorf("slot %d was taken, want the one that is free again, %d", again.Slot(), gone.Slot())
	}
	if got, err := again.Unwrap(nil, bytes.Clone(wrappedGone)); err == nil {
		t.Errorf("the slot's next key unwrapped %q", got)
	}
	if got, err := unwrapsWith(e, kept.Slot(), "", wrappedKept); err != nil || got != "kept" {
		t.Errorf("the other key unwrapped %q, %v", got, err)
	}
	after, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	at := 4096 + 32*int(gone.Slot())
	if bytes.Contains(after, before[at:at+32]) {
		t.Error("the file still has the key")
	}
	if !bytes.Equal(slices.Concat(after[:at], after[at+32:]), slices.Concat(before[:at], before[at+32:])) {
		t.Error("other bytes of the file changed")
	}
}

// TestNoSlotLiesInTwoSectors holds that a torn write takes one key at most.
func TestNoSlotLiesInTwoSectors(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 40)
	was, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		p := take(t, e)
		if err := e.Destroy([]uint32{p.Slot()}); err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(epochFile(dir, e))
		if err != nil {
			t.Fatal(err)
		}
		first, last := -1, -1
		for i := range is {
			if is[i] != was[i] {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		if first < 4096 || last-first >= 32 || first/512 != last/512 {
			t.Fatalf("slot %d lies at %d to %d", p.Slot(), first, last)
		}
		was = is
		if _, err := e.At(p.Slot()); err == nil {
			t.Fatal("a free slot has a key")
		}
		take(t, e) // so that the next one is the next
	}
}

func TestSlotsAreGivenOutOnce(t *testing.T) {
	e := epochs(t, t.TempDir(), 64)
	var mu sync.Mutex
	var group sync.WaitGroup
	seen := map[uint32]bool{}
	for range 8 {
		group.Go(func() {
			for range 8 {
				p, err := e.Take()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[p.Slot()] {
					t.Errorf("slot %d was given out twice", p.Slot())
				}
				seen[p.Slot()] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if _, err := e.Take(); !errors.Is(err, seal.ErrNoEpoch) {
		t.Errorf("the 65th of 64 slots: %v", err)
	}
}

func TestWhatIsReturnedIsFreeAndWhatIsSpoiledIsNot(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 2)
	returned, spoiled := take(t, e), take(t, e)
	written := wrap(t, spoiled, "", "perhaps on disk")
	e.Return(returned.Slot())
	e.Spoil(spoiled.Slot())
	e.Return(spoiled.Slot()) // it is not the caller's any more
	e.Return(77)
	for name, p := range map[string]*seal.Epoch{"returned": returned, "spoiled": spoiled} {
		if _, err := p.Wrap(nil, nil); err == nil {
			t.Errorf("a key that was %s still wraps", name)
		}
	}
	if p := take(t, e); p.Slot() != returned.Slot() {
		t.Errorf("slot %d was taken, want the one that was returned", p.Slot())
	}
	if _, err := e.Take(); !errors.Is(err, seal.ErrNoEpoch) {
		t.Errorf("a spoiled slot was given out, or %v", err)
	}
	if err := e.Destroy(nil); err != nil {
		t.Fatal(err)
	}
	p := take(t, e)
	if got, err := p.Unwrap(nil, written); p.Slot() != spoiled.Slot() || err == nil {
		t.Errorf("slot %d unwrapped %q", p.Slot(), got)
	}
}

func TestBeginErasesWhatNothingUses(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 8)
	var wrapped [][]byte
	for i := range 8 {
		wrapped = append(wrapped, wrap(t, take(t, e), "", strconv.Itoa(i)))
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = reopen(t, dir, e.ID())
	if got, err := unwrapsWith(e, 3, "", wrapped[3]); err != nil || got != "3" {
		t.Errorf("before Begin: %q, %v", got, err)
	}
	if _, err := e.Take(); err == nil {
		t.Error("a key was taken before it was known which are free")
	}
	if err := e.Destroy([]uint32{1}); err == nil {
		t.Error("a key was destroyed before it was known which are used")
	}
	used := map[uint32]bool{2: true, 3: false, 7: true}
	if err := e.Begin(used, 20); err != nil {
		t.Fatal(err)
	}
	if e.Slots() != 20 {
		t.Errorf("%d slots, want 20", e.Slots())
	}
	for i, w := range wrapped {
		got, err := unwrapsWith(e, uint32(i), "", w)
		if used[uint32(i)] && (err != nil || got != strconv.Itoa(i)) {
			t.Errorf("key %d is used and unwraps %q, %v", i, got, err)
		}
		if !used[uint32(i)] && err == nil {
			t.Errorf("key %d is not used and unwraps %q", i, got)
		}
	}
	free := 0
	for ; ; free++ {
		p, err := e.Take()
		if err != nil {
			break
		}
		for i, w := range wrapped {
			if got, err := p.Unwrap(nil, bytes.Clone(w)); err == nil {
				t.Errorf("key %d, which is new, unwraps part %d to %q", p.Slot(), i, got)
			}
		}
	}
	if free != 18 {
		t.Errorf("%d keys were free, want 18", free)
	}
	if err := e.Begin(nil, 4); err != nil || e.Slots() != 20 {
		t.Errorf("fewer slots: %d, %v; a file never shrinks", e.Slots(), err)
	}
}

func TestAnEpochFileThatCannotBeRightIsRefusedAndLeftAlone(t *testing.T) {
	good := t.TempDir()
	e := epochs(t, good, 4)
	text, err := os.ReadFile(epochFile(good, e))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, s string) []byte {
		b := bytes.Clone(text)
		copy(b[at:], s)
		return b
	}
	for name, tc := range map[string]struct {
		text []byte
		mode fs.FileMode
		want string
	}{
		"empty":                 {nil, 0o600, "damaged"},
		"header cut short":      {text[:100], 0o600, "damaged"},
		"no keys":               {text[:4096], 0o600, "damaged"},
		"half a key":            {text[:4096+20], 0o600, "damaged"},
		"zeros":                 {make([]byte, len(text)), 0o600, "damaged"},
		"another magic":         {changed(3, "X"), 0o600, "damaged"},
		"another id":            {changed(18, "X"), 0o600, "damaged"},
		"a newer format":        {changed(16, "\x00\x02"), 0o600, "format 0002"},
		"readable by the group": {text, 0o640, "mode 0640"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, filepath.Base(epochFile(good, e)))
			if err := os.WriteFile(path, tc.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := seal.OpenEpochs(dir, base, e.ID())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want it to name the file and say %q", err, tc.want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, tc.text) {
				t.Errorf("the file changed (%v)", err)
			}
		})
	}
	if _, err := seal.OpenEpochs(t.TempDir(), base, e.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	for _, id := range []string{"", "x", strings.ToUpper("ab" + e.ID()[2:]), "../../../../../etc/passwd"} {
		if _, err := seal.OpenEpochs(good, base, id); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestAFileThatLacksAUsedKeyIsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 8)
	if err := os.Truncate(epochFile(dir, e), 4096+5*32+7); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	e = reopen(t, dir, e.ID())
	if err := e.Begin(map[uint32]bool{5: true}, 8); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a used key is not there: %v", err)
	}
	if after, err := os.ReadFile(epochFile(dir, e)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file changed (%v)", err)
	}
	// Half a slot is what a power cut leaves of a file that grew.
	if err := e.Begin(map[uint32]bool{4: true}, 5); err != nil || e.Slots() != 5 {
		t.Errorf("%d slots, %v", e.Slots(), err)
	}
	if info, err := os.Stat(epochFile(dir, e)); err != nil || info.Size() != 4096+5*32 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

func TestAKeyOfZerosIsNone(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 2)
	f, err := os.OpenFile(epochFile(dir, e), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 32), 4096); err != nil {
		t.Fatal(err)
	}
	if p, err := e.Take(); err == nil {
		t.Errorf("took %v: whoever knows that can unwrap", p)
	}
}

func TestAfterAFailureNothingIsBelieved(t *testing.T) {
	e := epochs(t, t.TempDir(), 4)
	p := take(t, e)
	broken := errors.New("input/output error")
	e.Fail(broken)
	for name, err := range map[string]error{
		"Take":    second(e.Take()),
		"At":      second(e.At(p.Slot())),
		"Destroy": e.Destroy(nil),
		"Begin":   e.Begin(nil, 4),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s after a failed flush: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAClosedFileHasNoKeys(t *testing.T) {
	e := epochs(t, t.TempDir(), 4)
	p := take(t, e)
	w := wrap(t, p, "", "x")
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Unwrap(nil, w); err == nil {
		t.Errorf("unwrapped %q", got)
	}
	for name, err := range map[string]error{"Take": second(e.Take()), "At": second(e.At(0)), "Destroy": e.Destroy([]uint32{0}), "Begin": e.Begin(nil, 1)} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyTheEpochFilesOfThisStoreAreRemoved(t *testing.T) {
	dir := t.TempDir()
	a, b, keep := epochs(t, dir, 3), epochs(t, dir, 3), epochs(t, dir, 3)
	linked := filepath.Join(dir, "linked") // to see what lies where the file lay
	if err := os.Link(epochFile(dir, a), linked); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(linked)
	if err != nil {
		t.Fatal(err)
	}
	others := []string{base, "other.epochs-" + a.ID(), base + ".epochs-x", base + ".epochs-" + a.ID() + "~", base + ".bad-20260102T030405Z"}
	for _, name := range append(others, "."+base+".epochs.new") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := seal.RemoveEpochs(dir, base, keep.ID()); err != nil {
		t.Fatal(err)
	}
	want := append([]string{filepath.Base(epochFile(dir, keep)), "linked"}, others...)
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	after, err := os.ReadFile(linked)
	if err != nil {
		t.Fatal(err)
	}
	for slot := range 3 {
		if bytes.Contains(after, before[4096+32*slot:][:32]) {
			t.Errorf("key %d lies where it lay", slot)
		}
	}
	if err := seal.RemoveEpochs(dir, base, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(epochFile(dir, keep)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("\"\" keeps one: %v", err)
	}
	if err := seal.RemoveEpochs(filepath.Join(dir, "missing"), base, ""); err != nil {
		t.Errorf("no directory, so nothing to remove: %v", err)
	}
	_ = b
}

// snapshots copies a directory after each step of what change does.
func snapshots(t *testing.T, dir string, change func(step func(string))) map[string]string {
	t.Helper()
	taken := map[string]string{}
	change(func(what string) {
		to := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Error(err)
		}
		for _, name := range names(t, to) { // the copy has other modes
			if err := errors.Join(os.Chmod(filepath.Join(to, name), 0o600), os.Chmod(to, 0o700)); err != nil {
				t.Error(err)
			}
		}
		taken[fmt.Sprintf("%d %s", len(taken), what)] = to
	})
	if len(taken) < 2 {
		t.Errorf("saw %d steps", len(taken))
	}
	return taken
}

func TestACreationThatEndsAnywhereLeavesNothingInTheWay(t *testing.T) {
	dir := t.TempDir()
	for name, left := range snapshots(t, dir, func(step func(string)) {
		e, err := seal.CreateEpochsWatched(dir, base, 100, step)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}) {
		files, err := filepath.Glob(filepath.Join(left, base+".epochs-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files { // what has its name is whole
			id := strings.TrimPrefix(filepath.Base(file), base+".epochs-")
			if e := reopen(t, left, id); e.Slots() != 100 {
				t.Errorf("%s: %d slots", name, e.Slots())
			}
		}
		e := epochs(t, left, 10)
		if err := seal.RemoveEpochs(left, base, e.ID()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(left); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d files are left, want one, %v", name, len(entries), err)
		}
	}
}

func TestAChangeThatEndsAnywhereKeepsEveryKeyThatIsUsed(t *testing.T) {
	used := map[uint32]bool{1: true, 3: true, 8: true}
	for name, change := range map[string]func(e *seal.Epochs) error{
		"Destroy": func(e *seal.Epochs) error { return e.Destroy([]uint32{0, 2, 4, 5, 9}) },
		"Begin":   func(e *seal.Epochs) error { return e.Begin(used, 300) },
	} {
		dir := t.TempDir()
		e := epochs(t, dir, 10)
		var wrapped [][]byte
		for i := range 10 {
			wrapped = append(wrapped, wrap(t, take(t, e), "", strconv.Itoa(i)))
		}
		for at, left := range snapshots(t, dir, func(step func(string)) {
			e.Watch(step)
			if err := change(e); err != nil {
				t.Fatal(err)
			}
		}) {
			again := reopen(t, left, e.ID())
			if err := again.Begin(used, 300); err != nil {
				t.Fatalf("%s, %s: %v", name, at, err)
			}
			for i, w := range wrapped {
				got, err := unwrapsWith(again, uint32(i), "", w)
				if (err == nil) != used[uint32(i)] {
					t.Errorf("%s, %s: key %d unwraps %q, %v", name, at, i, got, err)
				}
			}
		}
	}
}

// TestNothingPrintsAKey holds every verb and encoder against the secrets.
func TestNothingPrintsAKey(t *testing.T) {
	dir := t.TempDir()
	e := epochs(t, dir, 3)
	p := take(t, e)
	slots, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{slots[4096:][:32]}
	s := seal.Store{Dir: dir, Kind: seal.FileStore}
	must(t)(s.Create(seal.X25519))
	ring := must(t)(s.Rotate(seal.Hybrid))
	for _, name := range []string{"device.key", "old-" + ring.All()[1].Fingerprint() + ".key"} {
		block := decode(t, filepath.Join(dir, name))
		secrets = append(secrets, block.Bytes[len(block.Bytes)-32:])
	}
	sealer, err := seal.NewSealer(ring.Current().Public())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{"epoch": p, "epochs": e, "ring": ring, "key": ring.Current(), "old key": ring.All()[1], "keys": ring.All(), "sealer": sealer}
	for name, v := range values {
		var printed []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(map[string]any{"v": v})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "x", slog.Any("v", v))
		slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "x", slog.Any("v", v))
		printed = append(printed, string(text), log.String())
		for _, out := range printed {
			for i, secret := range secrets {
				for _, form := range []string{"%s", "%x", "%X", "%d", "%o", "%b", "%q", "%v", "%#v", "%c", "%U"} {
					want := strings.Trim(fmt.Sprintf(form, secret[:8]), `[]"{}`)
					if strings.Contains(out, want) {
						t.Errorf("%s prints secret %d as %s: %.80s", name, i, form, out)
					}
				}
			}
		}
	}
}

// FuzzOpenEpochs holds that no bytes of an epoch file are a way to crash, or to
// have a key at a slot that the file does not have.
func FuzzOpenEpochs(f *testing.F) {
	dir := f.TempDir()
	e := epochs(f, dir, 3)
	text, err := os.ReadFile(epochFile(dir, e))
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 16, 18, 34, 4095, 4096, 4097, 4128, len(text)} {
		f.Add(text[:n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(epochFile(dir, e), b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := seal.OpenEpochs(dir, base, e.ID())
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = got.Close() })
		if got.Slots() != (len(b)-4096)/32 || got.Slots() < 1 {
			t.Fatalf("%d slots in %d bytes", got.Slots(), len(b))
		}
		if _, err := got.At(uint32(got.Slots())); err == nil {
			t.Error("there is a key behind the last one")
		}
		if err := got.Begin(map[uint32]bool{0: true}, 2); err != nil {
			t.Error(err)
		}
	})
}

// FuzzUnwrap holds that no bytes but the wrapped ones unwrap.
func FuzzUnwrap(f *testing.F) {
	e := epochs(f, f.TempDir(), 1)
	p := take(f, e)
	w := wrap(f, p, "", "x")
	f.Add(w[:len(w)-1])
	f.Add([]byte(nil))
	f.Add(append([]byte{0x11}, make([]byte, 40)...))
	f.Add(append([]byte{0x12}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := p.Unwrap(nil, bytes.Clone(b)); err == nil && !bytes.Equal(b, w) {
			t.Errorf("%x unwrapped to %x", b, got)
		}
	})
}

func BenchmarkDestroy(b *testing.B) {
	e := epochs(b, b.TempDir(), 2000)
	b.ReportAllocs()
	for b.Loop() {
		p := take(b, e)
		if err := e.Destroy([]uint32{p.Slot()}); err != nil {
			b.Fatal(err)
		}
	}
}
