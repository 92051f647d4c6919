package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	outbox "livekiosk/queue"
	"livekiosk/queue/seal"
)

// A keyWorld is a daemon and a key store.
type keyWorld struct {
	kiosk  *fakeKiosk
	socket string // "": no daemon
	store  seal.Store
}

func newKeyWorld(t *testing.T, uses ...kiosk.KeyUse) *keyWorld {
	t.Helper()
	dir := t.TempDir()
	w := &keyWorld{kiosk: &fakeKiosk{uses: uses}, socket: filepath.Join(dir, "s"), store: seal.Store{Dir: filepath.Join(dir, "keys"), Kind: seal.FileStore}}
	serve(t, w.kiosk, w.socket)
	return w
}

func (w *keyWorld) keys(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return kioskctl(t.Context(), nil, "", append([]string{"--socket", w.socket, "keys", "--dir", w.store.Dir}, args...)...)
}

// ring is what the store holds.
func (w *keyWorld) ring(t *testing.T) *seal.Ring {
	t.Helper()
	r, err := w.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// good runs a command that must do.
func (w *keyWorld) good(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := w.keys(t, args...)
	if code != 0 || errs != "" {
		t.Fatalf("keys %v: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

// refused runs a command that must not, and say why.
func (w *keyWorld) refused(t *testing.T, code int, why string, args ...string) {
	t.Helper()
	got, out, errs := w.keys(t, args...)
	if got != code || out != "" || !strings.Contains(errs, why) {
		t.Errorf("keys %v: exit %d, want %d\n%s%s\nwant it to say %q", args, got, code, out, errs, why)
	}
}

func TestALifeOfDeviceKeys(t *testing.T) {
	w := newKeyWorld(t)
	out := w.good(t, "create")
	first := w.ring(t).Current()
	if want := fmt.Sprintf("made the device key %s (x25519): the daemon uses it from its next start\n", first.Fingerprint()); out != want {
		t.Errorf("said %q, want %q", out, want)
	}
	w.refused(t, 73, first.Fingerprint(), "create")

	w.kiosk.uses = []kiosk.KeyUse{{Fingerprint: first.Fingerprint(), KEM: "x25519", Current: true, Records: 2}}
	w.good(t, "rotate", "--kem", "mlkem768x25519")
	second := w.ring(t).Current()
	out = w.good(t)
	want := "KEY                               KIND            STATE    RECORDS  BOOKINGS  FILE\n" +
		second.Fingerprint() + "  mlkem768x25519  next     0        0         " + w.store.Dir + "/device.key\n" +
		first.Fingerprint() + "  x25519          current  2        0         " + w.store.Dir + "/old-" + first.Fingerprint() + ".key\n\n" +
		"The daemon uses the next key once it is restarted.\n"
	if out != want {
		t.Errorf("listed\n%swant\n%s", out, want)
	}

	w.refused(t, 75, "the daemon seals for "+first.Fingerprint(), "retire", first.Fingerprint())
	w.kiosk.uses = []kiosk.KeyUse{{Fingerprint: second.Fingerprint(), KEM: "mlkem768x25519", Current: true}, {Fingerprint: first.Fingerprint(), KEM: "x25519", Records: 1, Bookings: 3}}
	w.refused(t, 65, "no fingerprint", "retire", first.Fingerprint()[:31]+"x")
	w.refused(t, 75, "1 records and 3 bookings still need "+first.Fingerprint(), "retire", first.Fingerprint())
	w.kiosk.uses[1].Records, w.kiosk.uses[1].Bookings = 0, 0
	w.kiosk.state = func(s *api.Status) { s.Quarantined = "/var/lib/kioskd/outbox.db.bad-1" }
	w.refused(t, 75, "outbox.db.bad-1", "retire", first.Fingerprint())
	w.kiosk.state = nil
	w.refused(t, 75, "the daemon seals for "+second.Fingerprint(), "retire", second.Fingerprint())
	w.kiosk.uses[0].Current = false
	w.refused(t, 65, "current one", "retire", second.Fingerprint())
	if len(w.ring(t).All()) != 2 {
		t.Fatal("a key is gone")
	}
	if out := w.good(t, "retire", first.Fingerprint()); out != first.Fingerprint()+": destroyed\n" {
		t.Errorf("said %q", out)
	}
	if len(w.ring(t).All()) != 1 {
		t.Error("the key is still there")
	}
	w.refused(t, 65, "no such file", "retire", first.Fingerprint())
	w.refused(t, 64, "FINGERPRINT is missing", "retire")
	w.good(t, "rotate") // as the current one
	if got := w.ring(t).Current().KEM(); got != seal.Hybrid {
		t.Errorf("rotated to %s", got)
	}
}

func TestWithoutADaemonNoKeyIsDestroyed(t *testing.T) {
	w := newKeyWorld(t)
	w.good(t, "create")
	w.good(t, "rotate")
	old := w.ring(t).All()[1].Fingerprint()
	w.kiosk.unread = kiosk.ErrQueueBad
	w.refused(t, 75, "nothing was destroyed", "retire", old)
	w.socket = "/nonexistent/s"
	w.refused(t, 69, "nothing was destroyed", "retire", old)
	if len(w.ring(t).All()) != 2 {
		t.Error("the key is gone")
	}
	out := w.good(t)
	if !strings.Contains(out, "\n"+old+"  x25519  old      -        -         ") || !strings.Contains(out, "What needs which key is not known: ") {
		t.Errorf("listed\n%s", out)
	}
}

// TestTheDaemonOfOtherKeysIsNotAsked: what it knows nothing of may be needed
// elsewhere.
func TestTheDaemonOfOtherKeysIsNotAsked(t *testing.T) {
	w := newKeyWorld(t, kiosk.KeyUse{Fingerprint: strings.Repeat("0", 32), KEM: "x25519", Current: true})
	w.good(t, "create")
	w.good(t, "rotate")
	w.refused(t, 64, "not in "+w.store.Dir, "retire", w.ring(t).All()[1].Fingerprint())
	if len(w.ring(t).All()) != 2 {
		t.Error("the key is gone")
	}
}

func TestWithoutFilesTheDaemonStillTells(t *testing.T) {
	a, b, c := strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 32)
	w := newKeyWorld(t, kiosk.KeyUse{Fingerprint: a, KEM: "x25519", Current: true, Records: 7}, kiosk.KeyUse{Fingerprint: b, KEM: "mlkem768x25519", Bookings: 1}, kiosk.KeyUse{Fingerprint: c, Records: 2})
	out := w.good(t)
	want := "KEY                               KIND            STATE    RECORDS  BOOKINGS  FILE\n" +
		a + "  x25519          current  7        0         -\n" +
		b + "  mlkem768x25519  old      0        1         -\n" +
		c + "  -               missing  2        0         -\n\n" +
		"A key is missing: what was sealed for it cannot be delivered. Bring it back, or tell the fleet's administrators.\n\n" +
		"The files are not shown: key store: open " + w.store.Dir + ": no such file or directory\n"
	if out != want {
		t.Errorf("listed\n%swant\n%s", out, want)
	}
	out = w.good(t, "list", "--json")
	if want := `{"fingerprint":"` + a + `","kem":"x25519","state":"current","records":7,"bookings":0}` + "\n"; !strings.HasPrefix(out, want) {
		t.Errorf("listed\n%swant\n%s", out, want)
	}
	w.socket = "/nonexistent/s"
	w.refused(t, 65, "no such file or directory")
	w.refused(t, 65, "no such file or directory", "public")
	w.refused(t, 65, "no such file or directory", "rotate")
}

func TestAKeyStoreThatCannotBeUsed(t *testing.T) {
	w := newKeyWorld(t)
	w.good(t, "create")
	if err := os.WriteFile(filepath.Join(w.store.Dir, "device.key"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"rotate", "create", "public"} {
		w.refused(t, 65, "device.key", what)
	}
	if err := os.Chmod(w.store.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	w.refused(t, 65, "chmod 0700", "rotate")
	if os.Geteuid() != 0 {
		t.Skip("the rest gives files to another user: needs root")
	}
	if err := errors.Join(os.Chmod(w.store.Dir, 0o700), os.Chown(w.store.Dir, 4321, 4321)); err != nil {
		t.Fatal(err)
	}
	w.refused(t, 77, "run it as the user 4321", "rotate")
	w.refused(t, 77, "run it as the user 4321", "create")
}

func TestCredentialsAreMadeElsewhere(t *testing.T) {
	w := newKeyWorld(t)
	w.store.Dir = "/run/credentials/kioskd-test-without-any.service"
	w.refused(t, 64, "systemd-creds", "create")
	w.refused(t, 65, "no such file", "rotate")
}

func TestTheKeysOfRelaysAndSupport(t *testing.T) {
	w := newKeyWorld(t)
	dir := t.TempDir()
	file, public := filepath.Join(dir, "support.pem"), filepath.Join(dir, "public.pem")
	w.good(t, "create", "--out", file, "--kem", "mlkem768x25519")
	key, err := seal.Load(file)
	if err != nil || key.KEM() != seal.Hybrid {
		t.Fatalf("made %v, %v", key, err)
	}
	if _, err := os.Stat(w.store.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it went to the store, too: %v", err)
	}
	w.refused(t, 73, "exists", "create", "--out", file)
	if out := w.good(t, "public", "--key", file); out != string(key.Public().PEM()) {
		t.Errorf("printed\n%s", out)
	}
	w.good(t, "public", "--key", file, "--out", public)
	text, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := seal.ParsePublic(text)
	if err != nil || pub.Fingerprint() != key.Fingerprint() {
		t.Fatalf("wrote %v, %v", pub, err)
	}
	w.refused(t, 73, "exists", "public", "--key", file, "--out", public)
	w.refused(t, 65, "public half", "public", "--key", public)
	w.good(t, "create")
	if out := w.good(t, "public"); out != string(w.ring(t).Current().Public().PEM()) {
		t.Errorf("printed\n%s", out)
	}

	keep := func(name string, b []byte) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	image, err := seal.SealEnvelope(pub, seal.Binding{Format: 1, Device: strings.Repeat("d", 32), Part: "image/SELFIE"}, []byte("a face"))
	if err != nil {
		t.Fatal(err)
	}
	whole := exported(t, w.ring(t), pub)
	export, opened := keep("export", whole), filepath.Join(dir, "opened")
	w.refused(t, 64, "--key is missing", "open-export", export, "--out", opened)
	w.refused(t, 64, "--out is missing", "open-export", export, "--key", file)
	w.refused(t, 64, "FILE is missing", "open-export", "--key", file, "--out", opened)
	w.refused(t, 65, "no such file", "open-export", "/nonexistent", "--key", file, "--out", opened)
	w.refused(t, 65, "no export", "open-export", keep("image", image), "--key", file, "--out", opened)
	w.refused(t, 65, key.Fingerprint(), "open-export", export, "--key", filepath.Join(w.store.Dir, "device.key"), "--out", opened)
	torn := keep("torn", whole[:len(whole)-1])
	w.refused(t, 65, "does not open", "open-export", torn, "--key", file, "--out", opened)
	if _, err := os.Stat(opened); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
	w.good(t, "open-export", export, "--key", file, "--out", opened)
	var tells struct {
		Device string `json:"device"`
	}
	if got, err := os.ReadFile(opened); err != nil || json.Unmarshal(got, &tells) != nil || tells.Device != w.ring(t).Current().Fingerprint() {
		t.Errorf("opened %q, %v", got, err)
	}
	if info, err := os.Stat(opened); err != nil || info.Mode() != 0o600 {
		t.Errorf("it has mode %v, %v", info.Mode(), err)
	}
	w.refused(t, 73, "exists", "open-export", export, "--key", file, "--out", opened)
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestKeysFlagsGoWithTheirCommand(t *testing.T) {
	w := newKeyWorld(t)
	for _, args := range [][]string{
		{"--kem", "x25519"}, {"list", "--out", "f"}, {"rotate", "--out", "f"}, {"create", "--key", "f"}, {"public", "--kem", "x25519"}, {"retire", "--kem", "x25519", "f"},
	} {
		w.refused(t, 64, "goes with", args...)
	}
	w.refused(t, 64, `"rsa" is none of x25519, mlkem768x25519`, "create", "--kem", "rsa")
	w.refused(t, 64, `there is no "shred"`, "shred")
	for _, what := range []string{"list", "create", "rotate", "public"} {
		w.refused(t, 64, "one argument too many", what, "x")
	}
}

func TestTheKeyStoreIsTheSystemsOrOnesOwn(t *testing.T) {
	if _, err := os.Lstat(systemState); err == nil {
		t.Skip("a daemon is installed here")
	}
	for name, env := range map[string]map[string]string{
		"/x/kioskd/keys":              {"XDG_STATE_HOME": "/x", "HOME": "/h"},
		"/h/.local/state/kioskd/keys": {"HOME": "/h"},
		"/var/lib/kioskd/keys":        {},
	} {
		c := call{world: world{getenv: func(k string) string { return env[k] }}}
		if got := c.keyDir(); got != name {
			t.Errorf("%v: %s, want %s", env, got, name)
		}
	}
}

// exported returns what the outbox itself exports for the holder of a key.
func exported(t *testing.T, device *seal.Ring, pub *seal.Public) []byte {
	t.Helper()
	q, err := outbox.Open(t.Context(), outbox.Options{Path: filepath.Join(t.TempDir(), "queue.db"), Keys: device})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close() //nolint:errcheck // nothing was written that matters
	var out bytes.Buffer
	if err := q.Export(t.Context(), &out, pub); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
