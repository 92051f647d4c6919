package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A Pack writes the tarball of the npm package spec, name@version, into dir, an
// empty directory, as the only *.tgz there. It may leave other files there. It
// runs nothing of the package.
type Pack func(ctx context.Context, spec, dir string) error

// ErrNoNPM is what NPM returns where there is no npm.
var ErrNoNPM = errors.New("npm is not installed: run 'make setup'")

// NPM is the Pack that runs "npm pack" with the user's own configuration, so
// that a mirror or a proxy set up there is used. npm's cache and logs go to dir
// instead of the home directory: the tarballs are large and wanted once.
func NPM(ctx context.Context, spec, dir string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return ErrNoNPM
	}
	cmd := exec.CommandContext(ctx, npm, "pack", spec,
		"--ignore-scripts", "--pack-destination", dir, "--cache", filepath.Join(dir, "cache"),
		"--loglevel=error", "--update-notifier=false")
	cmd.Dir = dir // away from any package.json
	// A signal lets npm end in its own way; its pipes close even if a child of
	// it lives on.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("npm pack %s: %w\n%s", spec, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
