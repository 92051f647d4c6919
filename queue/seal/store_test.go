package seal_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/queue/seal"
)

func decode(tb testing.TB, path string) *pem.Block {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		tb.Fatalf("%s is not in PEM", filepath.Base(path))
	}
	return block
}

func prints(r *seal.Ring) (all []string) {
	for _, k := range r.All() {
		all = append(all, k.Fingerprint())
	}
	return all
}

// must returns the ring, or ends the test.
func must(tb testing.TB) func(*seal.Ring, error) *seal.Ring {
	tb.Helper()
	return func(r *seal.Ring, err error) *seal.Ring {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
}

func names(tb testing.TB, dir string) (all []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestAKeyIsMadeOnceAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "keys")
	s := seal.Store{Dir: dir, Kind: seal.FileStore}
	if _, err := s.Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("opening a store that is not there: %v", err)
	}
	var group sync.WaitGroup
	rings := make([]*seal.Ring, 8)
	for i := range rings {
		group.Go(func() {
			ring, err := s.Create(seal.Hybrid)
			if err != nil {
				t.Error(err)
			}
			rings[i] = ring
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	for _, r := range rings {
		if !slices.Equal(prints(r), prints(rings[0])) || len(r.All()) != 1 || r.Current().KEM() != seal.Hybrid {
			t.Errorf("callers got the keys %v and %v", r, rings[0])
		}
	}
	for name, want := range map[string]fs.FileMode{filepath.Join(dir, "device.key"): 0o600, dir: 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", filepath.Base(name), info.Mode().Perm(), want)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"device.key"}) {
		t.Errorf("the store has %q", got)
	}
}

func TestARotationKeepsOldRecordsReadableAndRetiringEndsThat(t *testing.T) {
	dir := t.TempDir()
	s := seal.Store{Dir: dir, Kind: seal.FileStore}
	first := must(t)(s.Create(seal.X25519)).Current()
	part, err := sealed(first, true, []byte("place"), []byte("evidence"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, kem := range []seal.KEM{seal.Hybrid, seal.X25519} {
		ring := must(t)(s.Rotate(kem))
		if ring.Current().KEM() != kem {
			t.Errorf("rotated to %s, want %s", ring.Current().KEM(), kem)
		}
		all = prints(ring)
	}
	ring := must(t)(s.Open())
	if !slices.Equal(prints(ring), all) || len(all) != 3 {
		t.Fatalf("the store has %v, want %v", ring, all)
	}
	old, there := ring.Key(first.Fingerprint())
	if !there {
		t.Fatal("the first key is gone")
	}
	if got, err := open(old, []byte("place"), part); err != nil || string(got) != "evidence" {
		t.Errorf("opened %q, %v", got, err)
	}
	if err := s.Retire(ring.Current().Fingerprint()); err == nil || !strings.Contains(err.Error(), "rotate first") {
		t.Errorf("the current key was retired: %v", err)
	}
	path := filepath.Join(dir, "old-"+first.Fingerprint()+".key")
	secret := decode(t, path).Bytes
	linked := filepath.Join(t.TempDir(), "linked") // to see what lies where the file lay
	if err := os.Link(path, linked); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(first.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(linked); err != nil || bytes.Contains(text, []byte("PRIVATE")) || bytes.Contains(text, secret) {
		t.Errorf("the key lies where it lay: %v", err)
	}
	if got := must(t)(s.Open()); !slices.Equal(prints(got), slices.DeleteFunc(all, func(p string) bool { return p == first.Fingerprint() })) {
		t.Errorf("the store has %v", got)
	}
	if err := s.Retire(first.Fingerprint()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("retired once more: %v", err)
	}
	for _, name := range []string{"", "device", "../device", strings.Repeat("0", 31)} {
		if err := s.Retire(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("retire %q: %v", name, err)
		}
	}
}

func TestAChangeThatEndsAnywhereLeavesAValidStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	quiet := seal.Store{Dir: dir, Kind: seal.FileStore}
	for at, left := range snapshots(t, dir, func(step func(string)) { must(t)(quiet.Watched(step).Create(seal.X25519)) }) {
		again := seal.Store{Dir: left, Kind: seal.FileStore}
		if must(t)(again.Create(seal.X25519)); !slices.Equal(names(t, left), []string{"device.key"}) {
			t.Errorf("create, %s: left %q", at, names(t, left))
		}
	}
	first := must(t)(quiet.Open()).Current().Fingerprint()
	for at, left := range snapshots(t, dir, func(step func(string)) { must(t)(quiet.Watched(step).Rotate(seal.Hybrid)) }) {
		again := seal.Store{Dir: left, Kind: seal.FileStore}
		ring := must(t)(again.Open())
		if _, there := ring.Key(first); !there {
			t.Errorf("rotate, %s: the key is gone", at)
		}
		before := prints(ring)
		ring = must(t)(again.Rotate(seal.X25519))
		for _, p := range before {
			if _, there := ring.Key(p); !there {
				t.Errorf("rotate, %s: the next rotation lost a key", at)
			}
		}
		if n := len(ring.All()); n != len(before)+1 || len(names(t, left)) != n {
			t.Errorf("rotate, %s: %d keys in the files %q, want %d", at, n, names(t, left), len(before)+1)
		}
	}
	for at, left := range snapshots(t, dir, func(step func(string)) {
		if err := quiet.Watched(step).Retire(first); err != nil {
			t.Fatal(err)
		}
	}) {
		again := seal.Store{Dir: left, Kind: seal.FileStore}
		if ring := must(t)(again.Open()); len(ring.All()) != 1 {
			t.Errorf("retire, %s: the store has %v", at, ring)
		}
		must(t)(again.Create(seal.X25519))
		if got := names(t, left); !slices.Equal(got, []string{"device.key"}) {
			t.Errorf("retire, %s: left %q after the next start", at, got)
		}
	}
}

func TestABadKeyFileIsRefusedAndLeftAlone(t *testing.T) {
	good := t.TempDir()
	s := seal.Store{Dir: good, Kind: seal.FileStore}
	hybrid := must(t)(s.Create(seal.Hybrid)).Current()
	must(t)(s.Rotate(seal.X25519))
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(good, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text, hybridText := read("device.key"), read("old-"+hybrid.Fingerprint()+".key")
	other, err := seal.Generate(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text []byte
		mode fs.FileMode
		want string
	}{
		"readable by the group":  {text, 0o640, "mode 0640"},
		"readable by everybody":  {text, 0o604, "mode 0604"},
		"empty":                  {nil, 0o600, "restore it"},
		"cut short":              {text[:60], 0o600, "restore it"},
		"hybrid, cut short":      {hybridText[:90], 0o600, "restore it"},
		"zeros":                  {make([]byte, 119), 0o600, "restore it"},
		"another kind of key":    {bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("RSA PRIVATE KEY")), 0o600, "restore it"},
		"a hybrid of no KEM":     {bytes.ReplaceAll(hybridText, []byte("mlkem768x25519"), []byte("mlkem1024p384")), 0o600, "mlkem1024p384"},
		"an X25519 key as other": {bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("LIVEKIOSK PRIVATE KEY")), 0o600, "restore it"},
		"two keys":               {slices.Concat(text, hybridText), 0o600, "more than one"},
		"a public half":          {other.Public().PEM(), 0o600, "public half"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "device.key")
			if err := os.WriteFile(path, tc.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			s := seal.Store{Dir: dir, Kind: seal.FileStore}
			for what, f := range map[string]func() error{
				"open":   func() error { return second(s.Open()) },
				"create": func() error { return second(s.Create(seal.X25519)) },
				"rotate": func() error { return second(s.Rotate(seal.X25519)) },
				"load":   func() error { return second(seal.Load(path)) },
			} {
				if err := f(); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: got %v, want it to name the file and say %q", what, err, tc.want)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, tc.text) || len(names(t, dir)) != 1 {
				t.Errorf("the store changed (%v)", err)
			}
		})
	}
}

func TestAnOldKeyUnderAnotherNameIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := seal.Store{Dir: dir, Kind: seal.FileStore}
	first := must(t)(s.Create(seal.X25519)).Current().Fingerprint()
	must(t)(s.Rotate(seal.X25519))
	wrong := filepath.Join(dir, "old-"+strings.Repeat("0", 32)+".key")
	if err := os.Rename(filepath.Join(dir, "old-"+first+".key"), wrong); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(); err == nil || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), wrong) {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryThatOthersWriteToHasNoKeyOfOurs(t *testing.T) {
	dir := t.TempDir()
	s := seal.Store{Dir: dir, Kind: seal.FileStore}
	must(t)(s.Create(seal.X25519))
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"open": second(s.Open()), "create": second(s.Create(seal.X25519)), "rotate": second(s.Rotate(seal.X25519)),
		"make": second(seal.Make(filepath.Join(dir, "relay.pem"), seal.X25519)),
	} {
		if err == nil || !strings.Contains(err.Error(), "chmod 0700") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCredentialsAreReadAsSystemdWritesThem uses the modes that systemd 252 and
// later give them.
func TestCredentialsAreReadAsSystemdWritesThem(t *testing.T) {
	from := t.TempDir()
	s := seal.Store{Dir: from, Kind: seal.FileStore}
	must(t)(s.Create(seal.X25519))
	want := must(t)(s.Rotate(seal.Hybrid))
	credentials := func(t *testing.T, mode fs.FileMode) seal.Store {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "kioskd.service")
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names(t, dir) {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o550); err != nil { //nolint:gosec // as systemd has it
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		return seal.Store{Dir: dir, Kind: seal.CredentialStore}
	}
	for _, mode := range []fs.FileMode{0o400, 0o440} {
		s := credentials(t, mode)
		for name, open := range map[string]func() (*seal.Ring, error){"open": s.Open, "create": func() (*seal.Ring, error) { return s.Create(seal.X25519) }} {
			if got, err := open(); err != nil || !slices.Equal(prints(got), prints(want)) {
				t.Errorf("%s, mode %04o: %v, %v", name, mode, got, err)
			}
		}
		for name, err := range map[string]error{"rotate": second(s.Rotate(seal.X25519)), "retire": s.Retire(want.All()[1].Fingerprint())} {
			if err == nil || !strings.Contains(err.Error(), "systemd-creds") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, mode := range []fs.FileMode{0o444, 0o460, 0o404} {
		if _, err := credentials(t, mode).Open(); err == nil || !strings.Contains(err.Error(), "lets others at it") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	empty := seal.Store{Dir: t.TempDir(), Kind: seal.CredentialStore}
	for name, open := range map[string]func() (*seal.Ring, error){"open": empty.Open, "create": func() (*seal.Ring, error) { return empty.Create(seal.X25519) }} {
		if got, err := open(); !errors.Is(err, fs.ErrNotExist) || got != nil || len(names(t, empty.Dir)) != 0 {
			t.Errorf("%s without a credential: %v, %v", name, got, err)
		}
	}
}

func TestAStoreThatSaysNothingIsNone(t *testing.T) {
	for _, s := range []seal.Store{{}, {Dir: t.TempDir()}, {Kind: seal.FileStore}, {Dir: t.TempDir(), Kind: "tpm"}} {
		for name, err := range map[string]error{
			"open": second(s.Open()), "create": second(s.Create(seal.X25519)), "rotate": second(s.Rotate(seal.X25519)), "retire": s.Retire(strings.Repeat("0", 32)),
		} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%+v, %s: %v", s, name, err)
			}
		}
	}
	s := seal.Store{Dir: t.TempDir(), Kind: seal.FileStore}
	if _, err := s.Create("rsa"); err == nil || !strings.Contains(err.Error(), "mlkem768x25519") {
		t.Errorf("a KEM that there is not: %v", err)
	}
}

func TestMakeReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "relay.pem")
	if _, err := seal.Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loading a missing key: %v", err)
	}
	made, err := seal.Make(path, seal.Hybrid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Make(path, seal.X25519); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	got, err := seal.Load(path)
	if err != nil || got.Fingerprint() != made.Fingerprint() || got.KEM() != seal.Hybrid {
		t.Errorf("loaded %v, %v; want %v", got, err, made)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"relay.pem"}) {
		t.Errorf("left %q", got)
	}
	kept, err := made.Keep(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is derived depends on the private half, which nothing may change
		if got, err := got.Recall(nil, kept); err != nil || string(got) != "x" {
			t.Errorf("the key that was loaded recalls %q, %v", got, err)
		}
	}
	public := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(public, made.Public().PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Load(public); err == nil || !strings.Contains(err.Error(), "public half") {
		t.Errorf("loading a public half: %v", err)
	}
}

func TestARingKnowsItsKeys(t *testing.T) {
	a, b, c := generate(t), hybrid(t), generate(t)
	r := seal.NewRing(a, b, a, c, b)
	if got := r.All(); !slices.Equal(got, []*seal.Key{a, b, c}) || r.Current() != a {
		t.Errorf("keys %v, current %v", got, r.Current())
	}
	if got, there := r.Key(c.Fingerprint()); !there || got != c {
		t.Errorf("got %v, %t", got, there)
	}
	if got, there := r.Key("x"); there {
		t.Errorf("got %v", got)
	}
	r.All()[0] = c
	if r.Current() != a {
		t.Error("a caller changed the ring")
	}
}

// FuzzKeyFile holds that a file is a key or an error, and that a key that is
// read is written and read again as the same one.
func FuzzKeyFile(f *testing.F) {
	for _, kem := range []seal.KEM{seal.X25519, seal.Hybrid} {
		path := filepath.Join(f.TempDir(), "k.pem")
		key, err := seal.Make(path, kem)
		if err != nil {
			f.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
		f.Add(key.Public().PEM())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "k.pem")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := seal.Load(path)
		if err != nil {
			return
		}
		part, err := sealed(key, true, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open(key, nil, part); err != nil || string(got) != "x" {
			t.Errorf("a key that reads opens %q, %v", got, err)
		}
	})
}
