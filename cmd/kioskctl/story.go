package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// story has the daemon's own program, which has the renderer, show what it
// would draw. It is the one beside this program, or on the PATH.
func story(ctx context.Context, c call, args []string) error {
	program := "kioskd"
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), program); isFile(beside) {
			program = beside
		}
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-story"}, args...)...)
	cmd.Stdout, cmd.Stderr = c.out, c.err
	err := cmd.Run()
	if bad, is := errors.AsType[*exec.ExitError](err); is {
		return &exitError{max(bad.ExitCode(), exitEnded), fmt.Errorf("%s says what is wrong", program)}
	}
	if err != nil {
		return &exitError{exitUnavailable, err}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
