//go:build sysupdate

package update_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rauc are the absolute names of files in systemd/rauc.
func rauc(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "rauc", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSysupdateRAUC has RAUC make a bundle by the recipe, and judge it by the
// board's configuration.
func TestSysupdateRAUC(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		tools(t, dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=test/CN="+name, "-days", "3", "-keyout", name+".key", "-out", name+".pem")
	}
	if err := os.WriteFile(filepath.Join(dir, "root"), noise(1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	tools(t, dir, rauc(t, "bundle"), "2.1", "root", "a.pem", "a.key", "bundle.raucb")
	conf, err := os.ReadFile(rauc(t, "system.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"a": true, "b": false} {
		text := strings.Replace(string(conf), "/etc/rauc/keyring.pem", filepath.Join(dir, name+".pem"), 1)
		if err := os.WriteFile(filepath.Join(dir, "system.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "rauc", "--conf=system.conf", "info", "bundle.raucb")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if good != (err == nil) || good != strings.Contains(string(out), "'2.1'") || !good && !strings.Contains(string(out), "signature verification failed") {
			t.Errorf("by the key of %s: %v\n%s", name, err, out)
		}
	}
}

// TestSysupdateRAUCHandlers has the handlers ask kioskctl and systemctl, which
// keep what they were asked.
func TestSysupdateRAUCHandlers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kioskctl":       "#!/bin/sh\necho kioskctl \"$@\" >>asked\nexit ${ANSWER:-0}\n",
		"systemctl":      "#!/bin/sh\necho systemctl \"$@\" >>asked\n",
		"manifest.raucm": "[update]\ncompatible=livekiosk-BOARD\nversion=2.1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, env ...string) error {
		cmd := exec.CommandContext(t.Context(), rauc(t, name))
		cmd.Dir = dir
		cmd.Env = append([]string{
			"PATH=" + dir + ":/usr/bin:/bin", "RAUC_UPDATE_SOURCE=" + dir, "TRIAL=" + filepath.Join(dir, "trial"),
			"RAUC_TARGET_SLOTS=2", "RAUC_SLOT_BOOTNAME_1=A", "RAUC_SLOT_BOOTNAME_2=B",
		}, env...)
		return cmd.Run()
	}
	if err := errors.Join(run("rauc-pre-install"), run("rauc-post-install")); err != nil {
		t.Error(err)
	}
	if err := run("rauc-pre-install", "ANSWER=1"); err == nil {
		t.Error("a version that is not permitted is installed")
	}
	const want = "kioskctl update permit 2.1 --wait 50m\n"
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || string(asked) != want+"systemctl start --no-block kioskd-restart.service\n"+want {
		t.Errorf("asked %q, %v", asked, err)
	}
	if trial, err := os.ReadFile(filepath.Join(dir, "trial")); err != nil || string(trial) != "B\n" {
		t.Errorf("on trial is %q, %v", trial, err)
	}
}
