// Package bundle reads and writes bundles of models and thresholds: the three
// networks, what they must compute, and the threshold that they were chosen for,
// in one signed file, so that they can be changed without the image.
//
// The file is a tar archive of exactly these members, in this order:
//
//	manifest.json    Manifest
//	manifest.sig     64 bytes: Ed25519 over "livekiosk models\n" and the manifest's bytes
//	detector.onnx    the networks, each with the size and sha256 in the manifest
//	landmarks.onnx
//	pad.onnx
//
// There is no code in it: the inference runtime comes with the image. Nothing but
// the archive's own headers is looked at before the signature is found good.
package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"livekiosk/inference/models"
	"livekiosk/inference/pad"
)

// Suffix is that of a bundle's file name.
const Suffix = ".bundle"

// Format is Manifest.Format of what this package reads and writes.
const Format = 1

// The bounds of a bundle, bytes. A network of this size would be of no use on a
// board that has to run it several times a second.
const (
	maxManifest = 1 << 20
	maxNetwork  = 32 << 20
	// MaxFile bounds a whole file.
	MaxFile = 3*maxNetwork + 2*maxManifest
)

// A Reason says why a file is refused. The values are stable.
type Reason string

// The reasons.
const (
	BadSignature   Reason = "bad signature"         // by none of the keys, or over something else
	Damaged        Reason = "damaged"               // cut short, no archive, or a network that is not the one in the manifest
	Malformed      Reason = "malformed"             // signed, and yet no manifest as Manifest has it
	UnknownTensors Reason = "unknown tensors"       // this daemon feeds or reads its networks in another way
	BadThreshold   Reason = "threshold not allowed" // outside of what configuration could set, too
	TooNew         Reason = "app too old"           // for a later Interface than this daemon has
)

// An Error is what Read returns for a file that is refused.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

func refuse(r Reason, format string, a ...any) error { return &Error{r, fmt.Errorf(format, a...)} }

// A Manifest says what a bundle is.
type Manifest struct {
	Format    int    `json:"format"`
	Version   string `json:"version"`         // as package update orders versions
	Interface int    `json:"interface"`       // the models.Interface that it was made for: the least app that can use it
	Floor     string `json:"floor,omitempty"` // the oldest version that may still be used once this one was kept

	// Rings has how many of a hundred kiosks of each ring may use it. A ring that
	// is not there has to wait for the next version.
	Rings map[string]int `json:"rings"`

	// LiveMin is the least mean liveness over a hold, which configuration can
	// raise, and no bundle lower below pad.LeastMin.
	LiveMin float32 `json:"live_min"`

	Networks []Network `json:"networks"` // one of each role, in the order of Roles
}

// A Network is one of a bundle's networks.
type Network struct {
	Role    models.Role     `json:"role"`
	Size    int64           `json:"size"` // bytes
	SHA256  string          `json:"sha256"`
	Licence string          `json:"licence"` // SPDX identifier
	Source  string          `json:"source"`  // where it comes from, for people
	Inputs  []Tensor        `json:"inputs"`
	Outputs []Tensor        `json:"outputs"`
	Vectors []models.Vector `json:"vectors"` // what it computes from models.Pattern: at least one of each output
}

// A Tensor is a models.Tensor.
type Tensor struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
	Holds string `json:"holds"` // layout, order of channels, range and meaning
}

// Roles returns the roles of the networks, in the order of a bundle.
func Roles() []models.Role { return []models.Role{models.Detector, models.Landmarks, models.PAD} }

// A Bundle is a verified file.
type Bundle struct {
	Manifest

	// Networks are the networks' bytes, by role.
	Networks map[models.Role][]byte
}

// Hashes are the networks' sha256 in lower-case hex, by role: as models.Set has
// them.
func (b *Bundle) Hashes() map[string]string {
	h := map[string]string{}
	for _, n := range b.Manifest.Networks {
		h[string(n.Role)] = n.SHA256
	}
	return h
}

// Network returns what the manifest says of a network.
func (m Manifest) Network(r models.Role) Network {
	i := slices.IndexFunc(m.Networks, func(n Network) bool { return n.Role == r })
	if i < 0 {
		return Network{}
	}
	return m.Networks[i]
}

// signed is what the signature is over. The line before the manifest keeps a
// signature by the same key over anything else from being taken for one.
func signed(manifest []byte) []byte { return append([]byte("livekiosk models\n"), manifest...) }

func network(r models.Role) string { return string(r) + ".onnx" }

// Read reads a bundle and verifies it: its signature by one of keys, its hashes,
// and that this daemon can use it. The error is an *Error, or of r. Whether the
// networks compute what they must is Bundle's user's to find out.
func Read(r io.Reader, keys []ed25519.PublicKey) (*Bundle, error) { return read(r, keys, true) }

// Verify is Read that keeps nothing but the manifest in memory.
func Verify(r io.Reader, keys []ed25519.PublicKey) (Manifest, error) {
	b, err := read(r, keys, false)
	if err != nil {
		return Manifest{}, err
	}
	return b.Manifest, nil
}

func read(r io.Reader, keys []ed25519.PublicKey, keep bool) (*Bundle, error) {
	t := tar.NewReader(io.LimitReader(r, MaxFile))
	manifest, err := member(t, "manifest.json", maxManifest)
	if err != nil {
		return nil, err
	}
	sig, err := member(t, "manifest.sig", ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, signed(manifest), sig) }) {
		return nil, refuse(BadSignature, "the manifest is not signed by any of %d keys", len(keys))
	}
	b := &Bundle{Networks: map[models.Role][]byte{}}
	if b.Manifest, err = parse(manifest); err != nil {
		return nil, err
	}
	for _, n := range b.Manifest.Networks {
		size, err := next(t, network(n.Role), maxNetwork)
		if err != nil {
			return nil, err
		}
		if size != n.Size { // before there is memory for it
			return nil, refuse(Damaged, "%s has %d bytes, and in the manifest %d", network(n.Role), size, n.Size)
		}
		sum, content := sha256.New(), io.Reader(t)
		if keep {
			if b.Networks[n.Role], err = all(t, network(n.Role), size); err != nil {
				return nil, err
			}
			content = bytes.NewReader(b.Networks[n.Role])
		}
		if _, err = io.Copy(sum, content); err != nil {
			return nil, torn(network(n.Role), err)
		}
		if hex.EncodeToString(sum.Sum(nil)) != n.SHA256 {
			return nil, refuse(Damaged, "%s is not the one in the manifest", network(n.Role))
		}
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return nil, refuse(Damaged, "it does not end after %s", network(models.PAD))
	}
	return b, nil
}

// member reads the next member of an archive, which has that name and at most
// so many bytes.
func member(t *tar.Reader, name string, most int64) ([]byte, error) {
	size, err := next(t, name, most)
	if err != nil {
		return nil, err
	}
	return all(t, name, size)
}

// next goes to the next member of an archive, which has that name and at most so
// many bytes.
func next(t *tar.Reader, name string, most int64) (size int64, err error) {
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader):
		return 0, refuse(Damaged, "it ends before %s", name)
	case err != nil:
		return 0, fmt.Errorf("read bundle: %w", err)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return 0, refuse(Damaged, "%.100q stands where %s must be", h.Name, name)
	case h.Size > most:
		return 0, refuse(Damaged, "%s has %d bytes, more than %d", name, h.Size, most)
	}
	return h.Size, nil
}

// all reads the content of a member, into memory of just its size.
func all(t *tar.Reader, name string, size int64) ([]byte, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(t, data); err != nil {
		return nil, torn(name, err)
	}
	return data, nil
}

// torn is the error of a member that could not be read.
func torn(name string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return refuse(Damaged, "it ends in the middle of %s", name)
	}
	return fmt.Errorf("read bundle: %w", err)
}

// parse reads a manifest whose signature is good.
func parse(text []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	// A later format may have other keys: what it is for comes first.
	var head struct {
		Format    int `json:"format"`
		Interface int `json:"interface"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return m, refuse(Malformed, "%w", err)
	}
	if head.Format > Format || head.Interface > models.Interface {
		return m, refuse(TooNew, "it is of format %d for interface %d, and this daemon has %d and %d", head.Format, head.Interface, Format, models.Interface)
	}
	if err := d.Decode(&m); err != nil {
		return m, refuse(Malformed, "%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, refuse(Malformed, "something follows the manifest")
	}
	return m, m.validate()
}

// version is what package update takes for one.
var version = regexp.MustCompile(`^[0-9][0-9A-Za-z.~^-]{0,63}$`)

var ring = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

func (m Manifest) validate() error {
	switch {
	case m.Format != Format:
		return refuse(Malformed, "format %d", m.Format)
	case m.Interface != models.Interface:
		return refuse(UnknownTensors, "it is for interface %d, and this daemon has %d", m.Interface, models.Interface)
	case !version.MatchString(m.Version):
		return refuse(Malformed, "version %q", m.Version)
	case m.Floor != "" && !version.MatchString(m.Floor):
		return refuse(Malformed, "floor %q", m.Floor)
	case len(m.Rings) == 0:
		return refuse(Malformed, "no rings: nobody may use it")
	case !(m.LiveMin >= pad.LeastMin && m.LiveMin <= pad.MostMin): // false for NaN, too
		return refuse(BadThreshold, "live_min %g is outside %g..%g", m.LiveMin, pad.LeastMin, pad.MostMin)
	}
	for name, share := range m.Rings {
		if !ring.MatchString(name) || share < 0 || share > 100 {
			return refuse(Malformed, "ring %q: %d: want a name, and 0 to 100", name, share)
		}
	}
	if !slices.EqualFunc(m.Networks, Roles(), func(n Network, r models.Role) bool { return n.Role == r }) {
		return refuse(Malformed, "its networks are not %v", Roles())
	}
	known, err := models.Embedded()
	if err != nil {
		return err
	}
	for _, n := range m.Networks {
		if err := n.validate(known); err != nil {
			return err
		}
	}
	return nil
}

func (n Network) validate(known models.Manifest) error {
	inputs, outputs, err := contract(known, n.Role)
	if err != nil {
		return err
	}
	same := func(a, b Tensor) bool {
		return a.Name == b.Name && a.Holds == b.Holds && slices.Equal(a.Shape, b.Shape)
	}
	switch {
	case n.Size < 1 || n.Size > maxNetwork:
		return refuse(Malformed, "%s: size %d", n.Role, n.Size)
	case n.Licence == "":
		return refuse(Malformed, "%s: no licence", n.Role)
	case !slices.EqualFunc(n.Inputs, inputs, same) || !slices.EqualFunc(n.Outputs, outputs, same):
		return refuse(UnknownTensors, "%s: its tensors are not those that this daemon knows", n.Role)
	}
	for i := range outputs {
		if !slices.ContainsFunc(n.Vectors, func(v models.Vector) bool { return v.Output == i }) {
			return refuse(Malformed, "%s: no golden vector of output %d", n.Role, i)
		}
	}
	return nil
}

// Contract returns the tensors that this daemon knows of a role: those of the
// networks that it was built with.
func Contract(r models.Role) (inputs, outputs []Tensor, err error) {
	known, err := models.Embedded()
	if err != nil {
		return nil, nil, err
	}
	return contract(known, r)
}

func contract(known models.Manifest, r models.Role) (inputs, outputs []Tensor, err error) {
	for _, a := range known.Artifacts("") {
		if a.Role == r {
			return tensors(a.Inputs), tensors(a.Outputs), nil
		}
	}
	return nil, nil, fmt.Errorf("no network has the role %q", r)
}

func tensors(of []models.Tensor) (all []Tensor) {
	for _, t := range of {
		all = append(all, Tensor(t))
	}
	return all
}

// Write writes a bundle signed by key. It fills in the manifest's format and the
// networks' sizes and hashes, and refuses what Read would.
func Write(w io.Writer, m Manifest, networks map[models.Role][]byte, key ed25519.PrivateKey) error {
	m.Format, m.Networks = Format, slices.Clone(m.Networks)
	for i, n := range m.Networks {
		data := networks[n.Role]
		sum := sha256.Sum256(data)
		m.Networks[i].Size, m.Networks[i].SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	}
	if err := m.validate(); err != nil {
		return err
	}
	manifest, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	add := func(name string, data []byte) error {
		h := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}
		if bad := t.WriteHeader(&h); bad != nil {
			return bad
		}
		_, bad := t.Write(data)
		return bad
	}
	err = errors.Join(add("manifest.json", manifest), add("manifest.sig", ed25519.Sign(key, signed(manifest))))
	for _, n := range m.Networks {
		err = errors.Join(err, add(network(n.Role), networks[n.Role]))
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// PublicKeys reads the keys that bundles may be signed by: PEM, as "openssl pkey
// -pubout" writes it of an Ed25519 key, and several one after the other, so that a
// key can be replaced.
func PublicKeys(text []byte) (keys []ed25519.PublicKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%q: want public keys only", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("a key that is not of Ed25519")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key in PEM")
	}
	if rest := strings.TrimSpace(string(text)); rest != "" {
		return nil, errors.New("something that is no PEM follows the keys")
	}
	return keys, nil
}

// PrivateKey reads the key that signs: PEM, as "openssl genpkey -algorithm
// ed25519" writes it.
func PrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("no private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not of Ed25519")
	}
	return key, nil
}
