package kiosk_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "livekiosk/"

// layers lists, for each package, the packages of this module it may import,
// and whether it may use cgo. Commands are free: wiring is their job.
var layers = map[string]struct {
	may []string
	cgo bool // imports "C", or a module that does
}{
	// L0: words and leaves that know only the standard library.
	"kiosk":             {},
	"camera/pixel":      {},
	"camera/trust":      {},
	"inference/quality": {},
	"inference/pad":     {},
	"queue/seal":        {},

	// L1: pure.
	"kiosk/guidance":   {may: []string{"kiosk"}},
	"kiosk/flow":       {may: []string{"kiosk", "kiosk/guidance", "inference/pad"}},
	"kiosk/commission": {may: []string{"kiosk", "kiosk/guidance"}},
	"kiosk/trace":      {may: []string{"kiosk", "kiosk/flow", "kiosk/guidance"}},

	// L2': adapters, which never import a sibling.
	"camera":                  {may: []string{"kiosk", "camera/pixel"}},
	"camera/jpeg":             {cgo: true},
	"camera/replay":           {may: []string{"kiosk"}},
	"camera/exposure":         {may: []string{"kiosk"}},
	"camera/v4l2":             {may: []string{"kiosk", "camera/trust"}, cgo: true},
	"inference":               {may: []string{"kiosk", "inference/quality", "inference/pad"}},
	"inference/models":        {may: []string{"inference/models/tflite"}},
	"inference/models/bundle": {may: []string{"inference/models", "inference/pad"}},
	"inference/models/fetch":  {may: []string{"inference/models"}},
	"inference/models/tflite": {},
	"inference/onnx":          {cgo: true},
	"ui":                      {may: []string{"kiosk", "ui/screens", "ui/text", "ui/theme"}, cgo: true},
	"ui/sound":                {may: []string{"kiosk"}},
	"ui/screens":              {may: []string{"kiosk", "ui/text", "ui/theme"}},
	"ui/text":                 {may: []string{"kiosk"}},
	"ui/theme":                {may: []string{"kiosk"}},
	"queue":                   {may: []string{"kiosk", "queue/seal"}},
	"queue/gateway":           {may: []string{"kiosk"}},
	"kiosk/api":               {may: []string{"kiosk"}},
	"kiosk/panel":             {may: []string{"kiosk"}},
	"kiosk/pin":               {may: []string{"kiosk"}},
	"systemd":                 {},
	"systemd/power":           {},
	"systemd/update":          {may: []string{"systemd"}},
	"systemd/update/canary":   {may: []string{"systemd/update"}},
	"systemd/volume":          {},

	// L2: declare the ports they need, know no adapter.
	"kiosk/station": {may: []string{"kiosk", "kiosk/flow", "kiosk/trace"}},
	"queue/deliver": {may: []string{"kiosk"}},

	// The simulator shares nothing with the client it is strict to.
	"queue/gateway/gatewaysim": {},

	// A relay opens what kiosks sealed for it and knows the wire on its own.
	"queue/gateway/relay": {may: []string{"kiosk", "queue/seal"}},

	// What runs tests in a guest knows nothing of what it runs.
	"buildroot/test/guest":        {},
	"buildroot/test/guest/init":   {may: []string{"buildroot/test/guest", "buildroot/test/guest/module"}},
	"buildroot/test/guest/module": {},

	// A sample partner backend speaks with the client that the product offers.
	"queue/gateway/partner": {may: []string{"kiosk", "queue/gateway"}},
}

// cgoModules are the modules whose packages need cgo on Linux.
var cgoModules = []string{
	"C", "github.com/vladimirvivien/go4vl", "github.com/yalue/onnxruntime_go",
	"gioui.org/app", "gioui.org/gpu",
}

// TestLayers keeps imports pointing inward and cgo in the leaves. It reads the
// sources itself rather than running "go list", so the test cache notices when
// they change.
func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	root, err := os.OpenRoot("..")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "out" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := root.ReadFile(file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(file))
		seen[pkg] = true
		// Test helper packages serve tests, which may wire what they like.
		if strings.HasPrefix(pkg, "cmd/") || strings.HasSuffix(path.Base(pkg), "test") {
			return nil
		}
		layer, listed := layers[pkg]
		if !listed {
			t.Errorf("package %s has no layer: add it to the table", pkg)
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if dep, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(layer.may, dep) {
				t.Errorf("%s: %s may not import %s", file, pkg, dep)
			}
			if slices.ContainsFunc(cgoModules, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }) && !layer.cgo {
				t.Errorf("%s: %s must build with CGO_ENABLED=0 but imports %s", file, pkg, imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("layer table names %s, which does not exist", pkg)
		}
	}
}
