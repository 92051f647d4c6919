package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"livekiosk/inference/models"
	"livekiosk/inference/models/bundle"
	"livekiosk/kiosk/api"
	"livekiosk/queue/faulttest"
)

// pressed returns a bundle, whose networks are texts, and the file of its key.
func pressed(t *testing.T, version string) (data []byte, keyFile string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := bundle.Manifest{Version: version, Interface: models.Interface, Rings: map[string]int{"broad": 100}, LiveMin: 0.6}
	networks := map[models.Role][]byte{}
	for _, role := range bundle.Roles() {
		n := bundle.Network{Role: role, Licence: "MIT"}
		if n.Inputs, n.Outputs, err = bundle.Contract(role); err != nil {
			t.Fatal(err)
		}
		for i := range n.Outputs {
			n.Vectors = append(n.Vectors, models.Vector{Output: i})
		}
		m.Networks, networks[role] = append(m.Networks, n), []byte(strings.Repeat(string(role), 1000))
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, m, networks, priv); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	keyFile = filepath.Join(t.TempDir(), "models.pub")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), keyFile
}

func TestModelsAreCheckedAndInstalled(t *testing.T) {
	data, key := pressed(t, "2.1")
	_, stranger := pressed(t, "2.1")
	dir := t.TempDir()
	file, short, to := filepath.Join(dir, "any name"), filepath.Join(dir, "short"), filepath.Join(dir, "to")
	for name, b := range map[string][]byte{file: data, short: data[:len(data)/2]} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"check", file}, exitOK, "version 2.1, liveness at least 0.6, rings [broad:100]"},
		{[]string{"check", short}, exitData, "damaged"},
		{[]string{"install", short}, exitData, "damaged"},
		{[]string{"check", file, "--key", stranger}, exitData, "bad signature"},
		{[]string{"install", file, "--key", stranger}, exitData, "bad signature"},
		{[]string{"check", file, "--key", "/nowhere/models.pub"}, exitData, "/nowhere/models.pub"},
		{[]string{"check", file, "--key", file}, exitData, "no public key"},
		{[]string{"check", filepath.Join(dir, "none")}, exitData, "none"},
		{[]string{"check"}, exitUsage, "FILE is missing"},
		{[]string{"remove", file}, exitUsage, "want status, check or install"},
		{[]string{"install", file}, exitOK, "version 2.1"},
		{[]string{"install", file}, exitOK, "version 2.1"}, // again is no error
		{[]string{"install", file, "--to", file}, exitCannot, "any name"},
	} {
		args := append([]string{"models", tt.args[0]}, "--key", key, "--to", to)
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(args, tt.args[1:]...), world{out: &out, err: &errs, now: time.Now}); code != tt.code || !strings.Contains(out.String()+errs.String(), tt.says) {
			t.Errorf("%v: exit %d, want %d and %q: %s%s", tt.args, code, tt.code, tt.says, &out, &errs)
		}
	}
	got, err := os.ReadFile(filepath.Join(to, "models_2.1.bundle"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("installed %d bytes of %d, %v", len(got), len(data), err)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestAnInstallThatIsCutOffLeavesNoPart has the disk go away at each operation: what
// the daemon would look at is whole.
func TestAnInstallThatIsCutOffLeavesNoPart(t *testing.T) {
	disk, below, at := faulttest.Disk(t)
	data, _ := pressed(t, "2.1")
	var absent, whole int
	for n := 0; ; n++ {
		disk.Arm(faulttest.Fault{At: n, Errno: syscall.EIO, Span: faulttest.Gone, Lost: true})
		err := installBundle(at, "2.1", data)
		ops, hit := disk.Lift()
		found, bad := filepath.Glob(filepath.Join(below, "*"+bundle.Suffix))
		if bad != nil {
			t.Fatal(bad)
		}
		switch {
		case len(found) == 0 && err != nil:
			absent++
		case len(found) == 1:
			if got, bad := os.ReadFile(found[0]); bad != nil || !bytes.Equal(got, data) {
				t.Errorf("cut at operation %d, %+v: %d bytes of %d, %v", n, hit, len(got), len(data), bad)
			}
			whole++
			if err := os.Remove(filepath.Join(at, filepath.Base(found[0]))); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("cut at operation %d, %+v: %v, and install says %v", n, hit, found, err)
		}
		if hit == (faulttest.Op{}) {
			at := func(k faulttest.Kind) int {
				return slices.IndexFunc(ops, func(o faulttest.Op) bool { return o.Kind == k })
			}
			if flushed, named := at(faulttest.Sync), at(faulttest.Rename); flushed < 0 || flushed > named {
				t.Errorf("it has its name before it is on the disk: %v", ops)
			}
			break
		}
	}
	if absent < 3 || whole < 1 {
		t.Errorf("%d times absent, %d times whole", absent, whole)
	}
}

func TestModelsAreToldOf(t *testing.T) {
	m := api.ModelsStatus{
		Version: "2.0", Why: "kept", Sessions: 412, Rejected: 9, Previous: "1.5", SessionsBefore: 800, RejectedBefore: 17, Rollbacks: 1,
		Bundles: []api.BundleStatus{
			{File: "models_2.1.bundle", Version: "2.1", Why: "rejections rose", Refused: true}, {File: "x.bundle", Why: "bad signature", Refused: true},
		},
	}
	lines := strings.Split(bundlesText(m), "\n")
	for _, want := range []string{
		"in use    bundle 2.0, kept", "sessions  412, 9 of them perhaps wrongly turned away", "before    bundle 1.5: 800 sessions, 17 of them so",
		"given up  1 bundles, since more were turned away by them", "bundle    2.1 (models_2.1.bundle): rejections rose", "bundle    x.bundle: bad signature",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	text := statusText(api.Status{Models: m}, time.Now())
	for _, want := range []string{"models   bundle 2.0, kept\n", "alarm    a bundle of models was given up"} {
		if !strings.Contains(text, want) {
			t.Errorf("the status has no %q:\n%s", want, text)
		}
	}
	if text := statusText(api.Status{}, time.Now()); !strings.Contains(text, "models   those of the image\n") || strings.Contains(text, "alarm") {
		t.Errorf("without bundles:\n%s", text)
	}
}
