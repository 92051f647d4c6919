package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"livekiosk/inference/models/bundle"
	"livekiosk/kiosk/api"
)

const modelsHelp = `Without a word, or with "status", it tells which models judge the sessions, what
the sessions with them and with those before have come to, and of each bundle that
lies there whether it is used, or why not.

"check" verifies a bundle: its signature, its hashes, its tensors and its
threshold. "install" does so and puts it, whole or not at all, where the daemon
finds it within seconds; whether it is used, and on which kiosks, the bundle and the
daemon decide. Neither asks the daemon. The exit code is 65 for a bundle that is
refused.`

// Where the daemon looks unless it is configured otherwise, and where the key lies
// in the examples of the manual.
const (
	bundlesDir = "/var/lib/kioskd-update/models"
	bundlesKey = "/etc/kioskd/models.pub"
)

func modelsFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	key := fs.String("key", bundlesKey, "check, install: PEM `file` of the public keys, as models.key_file; default "+bundlesKey)
	to := fs.String("to", bundlesDir, "install: `folder` of bundles, as models.bundles; default "+bundlesDir)
	return func(ctx context.Context, c call, args []string) error {
		if len(args) == 0 {
			args = []string{"status"}
		}
		switch args[0] {
		case "status":
			if len(args) > 1 {
				return usage("%q is one argument too many", args[1])
			}
			within, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			s, err := c.client().Status(within)
			if err != nil {
				return c.explain(err)
			}
			return c.print(s.Models, bundlesText(s.Models))
		case "check", "install":
			if err := words(args[1:], "FILE"); err != nil {
				return err
			}
			b, data, err := checkBundle(args[1], *key)
			if err != nil {
				return err
			}
			if args[0] == "install" {
				if err := installBundle(*to, b.Version, data); err != nil {
					return err
				}
			}
			return c.print(b.Manifest, fmt.Sprintf("%s: version %s, liveness at least %g, rings %s", args[1], b.Version, b.LiveMin, strings.TrimPrefix(fmt.Sprint(b.Rings), "map")))
		default:
			return usage("%q: want status, check or install", args[0])
		}
	}
}

// checkBundle reads a bundle once, and verifies what it has read.
func checkBundle(file, keyFile string) (*bundle.Bundle, []byte, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, &exitError{exitData, err}
	}
	keys, err := bundle.PublicKeys(text)
	if err != nil {
		return nil, nil, &exitError{exitData, fmt.Errorf("%s: %w", keyFile, err)}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, &exitError{exitData, err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, bundle.MaxFile))
	if err != nil {
		return nil, nil, &exitError{exitData, err}
	}
	b, err := bundle.Read(bytes.NewReader(data), keys)
	if err != nil {
		return nil, nil, &exitError{exitData, fmt.Errorf("%s: %w", file, err)}
	}
	return b, data, nil
}

// installBundle puts a bundle where the daemon finds it: under a name that it does
// not look at, then renamed, so that it never sees a part of one.
func installBundle(dir, version string, data []byte) (err error) {
	defer func() {
		switch {
		case errors.Is(err, fs.ErrPermission):
			err = &exitError{exitForbidden, err}
		case err != nil:
			err = &exitError{exitCannot, err}
		}
	}()
	if err = os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	f, err := os.CreateTemp(dir, ".install-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, "models_"+version+bundle.Suffix)); err != nil {
		return err
	}
	return d.Sync()
}

func bundleName(version string) string {
	if version == "" {
		return "those of the image"
	}
	return "bundle " + version
}

// modelsText is one line about which models are in use.
func modelsText(m api.ModelsStatus) string {
	if m.Version == "" {
		return bundleName("")
	}
	return fmt.Sprintf("%s, %s", bundleName(m.Version), m.Why)
}

func refusedBundles(m api.ModelsStatus) (all []api.BundleStatus) {
	for _, b := range m.Bundles {
		if b.Refused {
			all = append(all, b)
		}
	}
	return all
}

// bundlesText is all about models for people.
func bundlesText(m api.ModelsStatus) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, format string, a ...any) { _, _ = fmt.Fprintf(w, name+"\t"+format+"\n", a...) }
	line("in use", "%s", modelsText(m))
	line("sessions", "%d, %d of them perhaps wrongly turned away", m.Sessions, m.Rejected)
	if m.Version != "" {
		line("before", "%s: %d sessions, %d of them so", bundleName(m.Previous), m.SessionsBefore, m.RejectedBefore)
	}
	if m.Rollbacks > 0 {
		line("given up", "%d bundles, since more were turned away by them", m.Rollbacks)
	}
	for _, f := range m.Bundles {
		if f.Version == "" {
			line("bundle", "%s: %s", f.File, f.Why)
		} else {
			line("bundle", "%s (%s): %s", f.Version, f.File, f.Why)
		}
	}
	if m.Problem != "" {
		line("problem", "%s", m.Problem)
	}
	_ = w.Flush() // to memory
	return strings.TrimSuffix(b.String(), "\n")
}
