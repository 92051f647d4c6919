package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/kiosk/pin"
)

// staff runs "keys staff" with what is typed on standard input.
func staff(t *testing.T, typed string, args ...string) (code int, out, complaint string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), append([]string{"keys", "staff"}, args...), world{
		in: strings.NewReader(typed), out: &o, err: &e, getenv: func(string) string { return "" },
	})
	return code, o.String(), e.String()
}

func TestAPINIsKeptAsAHashOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "staff.pin")
	for _, digits := range []string{"493027", "80214455"} { // the second in place of the first
		if code, out, complaint := staff(t, digits+"\n", "--out", path); code != exitOK || strings.Contains(out+complaint, digits) {
			t.Fatalf("exit %d: %s%s", code, out, complaint)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := pin.Parse(string(b))
		if err != nil || !h.Is(digits) || strings.Contains(string(b), digits) {
			t.Errorf("%s: %v", b, err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAPINForACredentialGoesToStandardOutput(t *testing.T) {
	code, out, _ := staff(t, "493027", "--out", "-")
	if h, err := pin.Parse(out); code != exitOK || err != nil || !h.Is("493027") {
		t.Errorf("exit %d, %q, %v", code, out, err)
	}
}

func TestPINsThatAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "staff.pin")
	for _, tt := range []struct {
		name, typed string
		args        []string
		code        int
	}{
		{"nothing", "", []string{"--out", path}, exitUsage},
		{"one that is tried first", "123456\n", []string{"--out", path}, exitUsage},
		{"too short", "4930\n", []string{"--out", path}, exitUsage},
		{"nowhere to put it", "493027\n", []string{"--out", filepath.Join(path, "no", "pin")}, exitCannot},
	} {
		if code, _, complaint := staff(t, tt.typed, tt.args...); code != tt.code || tt.typed != "" && strings.Contains(complaint, strings.TrimSpace(tt.typed)) {
			t.Errorf("%s: exit %d, want %d: %s", tt.name, code, tt.code, complaint)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
}
