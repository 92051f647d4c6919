// Command bundle makes bundles of models and thresholds for kiosks, at home, where
// the key is that signs them. It runs the networks once, for the golden vectors
// that a kiosk holds them against.
//
//	bundle pack -version 2.1 -key models.key -out 2.1.bundle -ring canary=100 -ring broad=5
//	bundle show -pub models.pub 2.1.bundle
//
// The key is one of Ed25519: openssl genpkey -algorithm ed25519 -out models.key,
// and openssl pkey -in models.key -pubout -out models.pub for the kiosks.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"livekiosk/inference/models"
	"livekiosk/inference/models/bundle"
	"livekiosk/inference/onnx"
	"livekiosk/systemd/update"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "pack" {
		return pack(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "show" {
		return show(args[1:], out)
	}
	return errors.New("want pack or show")
}

// pairs are values such as canary=100.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(s string) error {
	name, value, found := strings.Cut(s, "=")
	if !found || name == "" {
		return errors.New("want NAME=VALUE")
	}
	p[name] = value
	return nil
}

func pack(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bundle pack", flag.ContinueOnError)
	m := bundle.Manifest{Interface: models.Interface, Rings: map[string]int{}}
	fs.StringVar(&m.Version, "version", "", "of the bundle, such as 2.1; the networks of the image are version "+models.Version)
	fs.StringVar(&m.Floor, "floor", "", "the oldest `version` that may still be used once this one was kept")
	live := fs.Float64("live-min", 0.5, "least mean liveness over a hold, 0.5 to 0.99")
	rings, files, licences, sources := pairs{}, pairs{}, pairs{}, pairs{}
	fs.Var(rings, "ring", "`RING=PERCENT` of its kiosks that may use it; more than once; a ring that is not given waits")
	fs.Var(files, "network", "`ROLE=FILE`: another network than the installed one as detector, landmarks or pad")
	fs.Var(licences, "licence", "`ROLE=SPDX` of such a network")
	fs.Var(sources, "source", "`ROLE=TEXT`: where such a network comes from")
	dir := fs.String("models", models.Dir(), "`folder` of the runtime and the installed networks")
	keyFile := fs.String("key", "", "PEM `file` of the Ed25519 key that signs")
	to := fs.String("out", "", "`file` to write, which must not exist; its name ends in "+bundle.Suffix)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *keyFile == "" || !strings.HasSuffix(*to, bundle.Suffix) {
		return fmt.Errorf("want -version, -ring, -key and -out, whose name ends in %s", bundle.Suffix)
	}
	if _, err := update.ParseVersion(m.Version); err != nil {
		return err
	}
	m.LiveMin = float32(*live)
	for ring, share := range rings {
		n, err := strconv.Atoi(share)
		if err != nil {
			return fmt.Errorf("-ring %s: %w", ring, err)
		}
		m.Rings[ring] = n
	}
	text, err := os.ReadFile(*keyFile)
	if err != nil {
		return err
	}
	key, err := bundle.PrivateKey(text)
	if err != nil {
		return fmt.Errorf("%s: %w", *keyFile, err)
	}
	set, err := models.Open(ctx, *dir)
	if err != nil {
		return err
	}
	if err = onnx.Start(set.Runtime); err != nil {
		return err
	}
	installed := map[models.Role]string{models.Detector: set.Detector, models.Landmarks: set.Landmarks, models.PAD: set.PAD}
	networks := map[models.Role][]byte{}
	for _, role := range bundle.Roles() {
		n := bundle.Network{Role: role, Licence: licences[string(role)], Source: sources[string(role)]}
		file, other := files[string(role)]
		if !other {
			file = installed[role]
			if n.Licence, n.Source, err = origin(role); err != nil {
				return err
			}
		}
		if networks[role], err = os.ReadFile(file); err != nil {
			return err
		}
		if n.Inputs, n.Outputs, err = bundle.Contract(role); err != nil {
			return err
		}
		if n.Vectors, err = vectors(role, networks[role]); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		m.Networks = append(m.Networks, n)
	}
	f, err := os.OpenFile(*to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err = errors.Join(bundle.Write(f, m, networks, key), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(*to))
	}
	return nil
}

// origin returns licence and source of an installed network.
func origin(role models.Role) (licence, source string, err error) {
	m, err := models.Embedded()
	if err != nil {
		return "", "", err
	}
	for _, a := range m.Artifacts("") {
		if a.Role == role {
			return a.Licence, a.Name, nil
		}
	}
	return "", "", fmt.Errorf("no network has the role %q", role)
}

// vectors runs a network, and takes some twenty values of each output.
func vectors(role models.Role, data []byte) (all []models.Vector, err error) {
	s, err := onnx.Load(string(role), data)
	if err != nil {
		return nil, err
	}
	models.Pattern(role, s.Input())
	if err = s.Run(); err == nil {
		for i := range s.Outputs() {
			o := s.Output(i)
			for at := 0; at < len(o); at += 1 + len(o)/20 {
				all = append(all, models.Vector{Output: i, Element: at, Value: float64(o[at])})
			}
		}
	}
	return all, errors.Join(err, s.Close())
}

func show(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bundle show", flag.ContinueOnError)
	pub := fs.String("pub", "", "PEM `file` of the public key")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *pub == "" {
		return errors.New("want -pub FILE and a bundle")
	}
	text, err := os.ReadFile(*pub)
	if err != nil {
		return err
	}
	keys, err := bundle.PublicKeys(text)
	if err != nil {
		return fmt.Errorf("%s: %w", *pub, err)
	}
	f, err := os.Open(fs.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := bundle.Read(f, keys)
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(b.Manifest)
}
