package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"livekiosk/inference/models"
	"livekiosk/inference/models/bundle"
)

// manifest is that of networks, each of which must compute zeros.
func manifest(tb testing.TB) bundle.Manifest {
	tb.Helper()
	m := bundle.Manifest{Version: "2.1", Interface: models.Interface, Rings: map[string]int{"canary": 100, "broad": 5}, LiveMin: 0.5}
	for _, role := range bundle.Roles() {
		n := bundle.Network{Role: role, Licence: "MIT", Source: "nowhere"}
		var err error
		if n.Inputs, n.Outputs, err = bundle.Contract(role); err != nil {
			tb.Fatal(err)
		}
		for i := range n.Outputs {
			n.Vectors = append(n.Vectors, models.Vector{Output: i})
		}
		m.Networks = append(m.Networks, n)
	}
	return m
}

func networks() map[models.Role][]byte {
	return map[models.Role][]byte{models.Detector: []byte("one"), models.Landmarks: bytes.Repeat([]byte("two"), 1000), models.PAD: []byte("three")}
}

func key(tb testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	tb.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return pub, priv
}

func write(tb testing.TB, m bundle.Manifest, priv ed25519.PrivateKey) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := bundle.Write(&out, m, networks(), priv); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// sign makes an archive of anything, with a good signature.
func sign(tb testing.TB, priv ed25519.PrivateKey, text string, more ...string) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name, data string) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			tb.Fatal(err)
		}
	}
	add("manifest.json", text)
	add("manifest.sig", string(ed25519.Sign(priv, []byte("livekiosk models\n"+text))))
	for i := 0; i+1 < len(more); i += 2 {
		add(more[i], more[i+1])
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// read is bundle.Read, which bundle.Verify must agree with.
func read(tb testing.TB, r io.Reader, keys []ed25519.PublicKey) (*bundle.Bundle, error) {
	tb.Helper()
	var copied bytes.Buffer
	b, err := bundle.Read(io.TeeReader(r, &copied), keys)
	if _, err := io.Copy(&copied, r); err != nil { // what Read left
		return b, err
	}
	m, bad := bundle.Verify(&copied, keys)
	if err == nil && !reflect.DeepEqual(m, b.Manifest) || (err == nil) != (bad == nil) || err != nil && err.Error() != bad.Error() {
		tb.Errorf("Read: %v, and Verify: %v", err, bad)
	}
	return b, err
}

func TestABundleIsReadAsItWasWritten(t *testing.T) {
	pub, priv := key(t)
	other, _ := key(t)
	m := manifest(t)
	b, err := read(t, bytes.NewReader(write(t, m, priv)), []ed25519.PublicKey{other, pub})
	if err != nil {
		t.Fatal(err)
	}
	if b.Version != m.Version || b.LiveMin != m.LiveMin || !maps.Equal(b.Rings, m.Rings) || len(b.Hashes()) != 3 {
		t.Errorf("read %+v", b.Manifest)
	}
	for role, data := range networks() {
		if !bytes.Equal(b.Networks[role], data) || b.Network(role).Size != int64(len(data)) {
			t.Errorf("%s is %q", role, b.Networks[role])
		}
	}
}

// TestWhatIsSignedIsNotThereforeTaken has the key's owner make mistakes.
func TestWhatIsSignedIsNotThereforeTaken(t *testing.T) {
	pub, priv := key(t)
	good, err := read(t, bytes.NewReader(write(t, manifest(t), priv)), []ed25519.PublicKey{pub})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(m *bundle.Manifest)
		want   bundle.Reason
	}{
		{"a threshold that lets prints pass", func(m *bundle.Manifest) { m.LiveMin = 0.49 }, bundle.BadThreshold},
		{"a threshold that nobody reaches", func(m *bundle.Manifest) { m.LiveMin = 1 }, bundle.BadThreshold},
		{"no threshold", func(m *bundle.Manifest) { m.LiveMin = 0 }, bundle.BadThreshold},
		{"a later interface", func(m *bundle.Manifest) { m.Interface++ }, bundle.TooNew},
		{"a later format", func(m *bundle.Manifest) { m.Format++ }, bundle.TooNew},
		{"an interface of the past", func(m *bundle.Manifest) { m.Interface-- }, bundle.UnknownTensors},
		{"another shape", func(m *bundle.Manifest) { m.Networks[2].Inputs[0].Shape = []int{1, 3, 80, 80} }, bundle.UnknownTensors},
		{"another meaning", func(m *bundle.Manifest) { m.Networks[2].Outputs[0].Holds = "logits: print, live, mask" }, bundle.UnknownTensors},
		{"one output less", func(m *bundle.Manifest) { m.Networks[1].Outputs = m.Networks[1].Outputs[:1] }, bundle.UnknownTensors},
		{"an output without a vector", func(m *bundle.Manifest) { m.Networks[1].Vectors = m.Networks[1].Vectors[:1] }, bundle.Malformed},
		{"a version that is a path", func(m *bundle.Manifest) { m.Version = "../2.1" }, bundle.Malformed},
		{"no version", func(m *bundle.Manifest) { m.Version = "" }, bundle.Malformed},
		{"a floor that is none", func(m *bundle.Manifest) { m.Floor = "low" }, bundle.Malformed},
		{"no rings", func(m *bundle.Manifest) { m.Rings = nil }, bundle.Malformed},
		{"more than all", func(m *bundle.Manifest) { m.Rings = map[string]int{"broad": 101} }, bundle.Malformed},
		{"a network less", func(m *bundle.Manifest) { m.Networks = m.Networks[:2] }, bundle.Malformed},
		{"the same network twice", func(m *bundle.Manifest) { m.Networks[1] = m.Networks[0] }, bundle.Malformed},
		{"no licence", func(m *bundle.Manifest) { m.Networks[0].Licence = "" }, bundle.Malformed},
		{"an endless network", func(m *bundle.Manifest) { m.Networks[0].Size = 1 << 40 }, bundle.Malformed},
		{"the hash of another network", func(m *bundle.Manifest) { m.Networks[0].SHA256 = m.Networks[1].SHA256 }, bundle.Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := json.Marshal(good.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			var m bundle.Manifest
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			tt.change(&m)
			if text, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			more := []string{}
			for _, role := range bundle.Roles() {
				more = append(more, string(role)+".onnx", string(networks()[role]))
			}
			_, err = read(t, bytes.NewReader(sign(t, priv, string(text), more...)), []ed25519.PublicKey{pub})
			if e, refused := errors.AsType[*bundle.Error](err); !refused || e.Reason != tt.want {
				t.Errorf("Read() = %v, want %s", err, tt.want)
			}
			if tt.want == bundle.Damaged || tt.name == "a later format" || strings.HasPrefix(tt.name, "an endless") {
				return // of what Write sets itself
			}
			if err := bundle.Write(io.Discard, m, networks(), priv); err == nil {
				t.Error("it would be written")
			}
		})
	}
	for name, text := range map[string]string{"an unknown key": `{"format":1,"interface":1,"exec":"/bin/sh"}`, "no JSON": "{", "two values": `{"format":1,"interface":1}{}`} {
		_, err := read(t, bytes.NewReader(sign(t, priv, text)), []ed25519.PublicKey{pub})
		if e, refused := errors.AsType[*bundle.Error](err); !refused || e.Reason != bundle.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingElseThanWhatWasSignedIsTaken cuts a bundle short at every block, and
// changes bytes all over it; FuzzRead changes any.
func TestNothingElseThanWhatWasSignedIsTaken(t *testing.T) {
	pub, priv := key(t)
	keys := []ed25519.PublicKey{pub}
	whole := write(t, manifest(t), priv)
	end := len(whole) - 1024 // two empty blocks end an archive
	for at := 0; at < end; at += 512 {
		_, err := read(t, bytes.NewReader(whole[:at]), keys)
		if e, refused := errors.AsType[*bundle.Error](err); !refused || e.Reason != bundle.Damaged {
			t.Errorf("cut at %d of %d: %v", at, len(whole), err)
		}
	}
	for at := 0; at < end; at += 131 { // no divisor of a block
		changed := bytes.Clone(whole)
		changed[at] ^= 0x55
		b, err := read(t, bytes.NewReader(changed), keys)
		if err != nil {
			continue // the archive's header, or refused
		}
		for role, data := range networks() {
			if !bytes.Equal(b.Networks[role], data) {
				t.Fatalf("byte %d: %s became %q", at, role, b.Networks[role])
			}
		}
	}
	// What follows is not signed, and so not there.
	more := sign(t, priv, string(manifestOf(t, whole)), slices.Concat(membersOf(t, whole), []string{"more.onnx", "code"})...)
	if _, err := read(t, bytes.NewReader(more), keys); err == nil {
		t.Error("a member more is taken")
	}
	for name, data := range map[string][]byte{"nothing": nil, "a text": []byte("hello"), "zeros": make([]byte, 4096)} {
		_, err := read(t, bytes.NewReader(data), keys)
		if e, refused := errors.AsType[*bundle.Error](err); !refused || e.Reason != bundle.Damaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, _ := key(t)
	for name, keys := range map[string][]ed25519.PublicKey{"no key": nil, "another key": {other}} {
		_, err := read(t, bytes.NewReader(whole), keys)
		if e, refused := errors.AsType[*bundle.Error](err); !refused || e.Reason != bundle.BadSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the disk")
	if _, err := read(t, iotest.ErrReader(broken), keys); !errors.Is(err, broken) {
		t.Errorf("a disk that fails is taken for %v", err)
	}
}

func manifestOf(t *testing.T, data []byte) []byte {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func membersOf(t *testing.T, data []byte) (all []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".onnx") {
			all = append(all, h.Name, string(content))
		}
	}
}

func TestKeys(t *testing.T) {
	encode := func(pub any) string {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	one, priv := key(t)
	two, _ := key(t)
	keys, err := bundle.PublicKeys([]byte(encode(one) + encode(two)))
	if err != nil || len(keys) != 2 || !keys[1].Equal(two) {
		t.Errorf("PublicKeys() = %v, %v", keys, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if got, err := bundle.PrivateKey([]byte(secret)); err != nil || !got.Equal(priv) {
		t.Errorf("PrivateKey() = %v", err)
	}
	if _, err := bundle.PrivateKey([]byte(encode(one))); err == nil {
		t.Error("a public key is taken for a private one")
	}
	// The private half on a kiosk would be a mistake that must not go unnoticed.
	for name, text := range map[string]string{"nothing": "", "a text": "hello", "a private key": secret, "a key and a text": encode(one) + "more", "a torn key": encode(one)[:60]} {
		if keys, err := bundle.PublicKeys([]byte(text)); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

// FuzzRead holds that nothing is taken but what was signed.
func FuzzRead(f *testing.F) {
	pub, priv := key(f)
	m := manifest(f)
	good := write(f, m, priv)
	f.Add(good, 0, byte(0))
	f.Add(good[:2000], 700, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		b, err := read(t, bytes.NewReader(data), []ed25519.PublicKey{pub})
		if err != nil {
			return
		}
		for role, want := range networks() {
			if !bytes.Equal(b.Networks[role], want) || b.Version != m.Version {
				t.Errorf("taken: %+v", b.Manifest)
			}
		}
	})
}
