package models

import (
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// A Role is what a file is for.
type Role string

// The roles. Of each but Source there is exactly one file for an architecture.
const (
	Runtime   Role = "runtime"   // ONNX Runtime's shared library
	Detector  Role = "detector"  // finds faces in a frame
	Landmarks Role = "landmarks" // finds 468 points of one face
	PAD       Role = "pad"       // tells a live face from a presentation attack
	Source    Role = "source"    // is converted into another file, and not run
)

// A Manifest lists every file that is fetched, where it comes from and what it
// must be. Its format is described at the head of the file "manifest".
type Manifest struct {
	Packages    []Package    `toml:"package"`
	Conversions []Conversion `toml:"conversion"`
}

// A Package is one npm package of an exact version.
type Package struct {
	Name    string `toml:"name"`
	Version string `toml:"version"`
	Size    int64  `toml:"size"`   // of the tarball, bytes
	SHA256  string `toml:"sha256"` // of the tarball, lower-case hex
	Files   []File `toml:"file"`
}

// Spec returns the package as npm names it: name@version.
func (p Package) Spec() string { return p.Name + "@" + p.Version }

// tarball names the package's tarball in the fetcher's directory.
func (p Package) tarball() string {
	return strings.NewReplacer("@", "", "/", "-").Replace(p.Name) + "-" + p.Version + ".tgz"
}

// An Artifact is one file in the cache.
type Artifact struct {
	Name    string   `toml:"name"`
	Role    Role     `toml:"role"`
	Arch    string   `toml:"arch"` // GOARCH; "" for all
	Size    int64    `toml:"size"` // bytes
	SHA256  string   `toml:"sha256"`
	Licence string   `toml:"licence"` // SPDX identifier, as the publisher states it
	Card    string   `toml:"card"`    // of networks: the model card's file in cards/
	Inputs  []Tensor `toml:"inputs"`
	Outputs []Tensor `toml:"outputs"`
}

// A File is an artifact that is taken from a package as it is.
type File struct {
	Artifact

	Path  string  `toml:"path"`  // in the tarball
	Slice []int64 `toml:"slice"` // first and end offset in that file; nil for all of it
}

// A Conversion is an artifact that is made from another one.
type Conversion struct {
	Artifact

	From string `toml:"from"` // name of a File of role Source, TFLite
}

// A Tensor is one input or output of a network; its elements are float32.
type Tensor struct {
	Name  string `toml:"name"`
	Shape []int  `toml:"shape"`
	Holds string `toml:"holds"` // layout, order of channels, range and meaning
}

//go:embed manifest
var manifest []byte

// Embedded returns the manifest that this program was built with.
func Embedded() (Manifest, error) { return Parse(manifest) }

// Parse reads a manifest. An unknown key, an impossible value or a reference to
// nothing is an error that names it.
func Parse(text []byte) (Manifest, error) {
	var m Manifest
	meta, err := toml.Decode(string(text), &m)
	if err != nil {
		return Manifest{}, fmt.Errorf("models manifest: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Manifest{}, fmt.Errorf("models manifest: unknown key %s", unknown[0])
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("models manifest: %w", err)
	}
	return m, nil
}

// Artifacts returns the files for a machine of the given GOARCH, those that are
// only converted among them.
func (m Manifest) Artifacts(arch string) []Artifact {
	var all []Artifact
	for _, p := range m.Packages {
		for _, f := range p.Files {
			all = append(all, f.Artifact)
		}
	}
	for _, c := range m.Conversions {
		all = append(all, c.Artifact)
	}
	return slices.DeleteFunc(all, func(a Artifact) bool { return a.Arch != "" && a.Arch != arch })
}

// Archs returns the architectures that there is a runtime for, sorted.
func (m Manifest) Archs() []string {
	var archs []string
	for _, p := range m.Packages {
		for _, f := range p.Files {
			if f.Role == Runtime {
				archs = append(archs, f.Arch)
			}
		}
	}
	slices.Sort(archs)
	return archs
}

// What names and versions look like. They become file names and an argument of
// npm, so none may hold a separator, start with a dash or be a range.
const (
	fileName    = `^[a-z0-9][a-z0-9._-]{0,99}$`
	packageName = `^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`
	version     = `^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`
)

func like(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }

// maxSize bounds what a manifest may ask a machine to store, bytes.
const maxSize = 1 << 30

func (m Manifest) validate() error {
	if len(m.Packages) == 0 {
		return errors.New("lists no package")
	}
	names, tarballs, sources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range m.Packages {
		switch {
		case !like(packageName, p.Name):
			return fmt.Errorf("package name %q", p.Name)
		case !like(version, p.Version):
			return fmt.Errorf("package %s: version %q is not exact", p.Name, p.Version)
		case tarballs[p.tarball()]:
			return fmt.Errorf("package %s is listed twice", p.Spec())
		case len(p.Files) == 0:
			return fmt.Errorf("package %s: takes no file", p.Spec())
		}
		tarballs[p.tarball()] = true
		if err := content(p.Size, p.SHA256); err != nil {
			return fmt.Errorf("package %s: %w", p.Spec(), err)
		}
		paths := map[string]bool{}
		for _, f := range p.Files {
			if err := f.validate(); err != nil {
				return fmt.Errorf("package %s: file %q: %w", p.Spec(), f.Name, err)
			}
			if names[f.Name] || paths[f.Path] {
				return fmt.Errorf("package %s: file %q or its path is listed twice", p.Spec(), f.Name)
			}
			names[f.Name], paths[f.Path] = true, true
			sources[f.Name] = f.Role == Source
		}
	}
	for _, c := range m.Conversions {
		if err := c.validate(); err != nil {
			return fmt.Errorf("conversion %q: %w", c.Name, err)
		}
		if names[c.Name] {
			return fmt.Errorf("conversion %q is listed twice", c.Name)
		}
		if names[c.Name] = true; !sources[c.From] {
			return fmt.Errorf("conversion %q: from %q, which is no file of role source", c.Name, c.From)
		}
	}
	return m.complete()
}

// complete checks that every architecture has one file of each role that runs.
func (m Manifest) complete() error {
	archs := m.Archs()
	if len(archs) == 0 {
		return errors.New("lists no file of role runtime")
	}
	for _, arch := range archs {
		count := map[Role]int{}
		for _, a := range m.Artifacts(arch) {
			count[a.Role]++
		}
		for _, r := range roles() {
			if count[r] != 1 {
				return fmt.Errorf("lists %d files of role %s for %s: want 1", count[r], r, arch)
			}
		}
	}
	return nil
}

// roles returns the roles of the files that are run.
func roles() []Role { return []Role{Runtime, Detector, Landmarks, PAD} }

func (f File) validate() error {
	if err := f.Artifact.validate(); err != nil {
		return err
	}
	if !fs.ValidPath(f.Path) || path.Dir(f.Path) == "." {
		return fmt.Errorf("path %q", f.Path)
	}
	if f.Slice != nil && (len(f.Slice) != 2 || f.Slice[0] < 0 || f.Slice[1]-f.Slice[0] != f.Size) {
		return fmt.Errorf("slice %v: want [first, end) of %d bytes", f.Slice, f.Size)
	}
	return nil
}

func (a Artifact) validate() error {
	if !like(fileName, a.Name) {
		return errors.New("name is empty or has other characters than a-z, 0-9, dot, dash and underscore")
	}
	if err := content(a.Size, a.SHA256); err != nil {
		return err
	}
	if a.Licence == "" {
		return errors.New("has no licence")
	}
	network := false
	switch a.Role {
	case Runtime:
		if a.Arch != "amd64" && a.Arch != "arm64" {
			return fmt.Errorf("arch %q: want amd64 or arm64", a.Arch)
		}
	case Detector, Landmarks, PAD:
		network = true
		fallthrough
	case Source:
		if a.Arch != "" {
			return fmt.Errorf("arch %q: weights have none", a.Arch)
		}
	default:
		return fmt.Errorf("role %q", a.Role)
	}
	if network != (len(a.Inputs) > 0 && len(a.Outputs) > 0 && a.Card != "") {
		return errors.New("a network has inputs, outputs and a card, and nothing else has")
	}
	for _, t := range slices.Concat(a.Inputs, a.Outputs) {
		if t.Name == "" || t.Holds == "" || len(t.Shape) == 0 || slices.Min(t.Shape) < 1 {
			return fmt.Errorf("tensor %q has no name, shape or meaning", t.Name)
		}
	}
	return nil
}

// content checks what every file and tarball is pinned by.
func content(size int64, sum string) error {
	if size < 1 || size > maxSize {
		return fmt.Errorf("size %d", size)
	}
	if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 || sum != strings.ToLower(sum) {
		return fmt.Errorf("sha256 %q: want 64 lower-case hex digits", sum)
	}
	return nil
}
