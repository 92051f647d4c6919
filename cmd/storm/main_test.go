package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// TestMain plays the role of a child where the environment names one.
func TestMain(m *testing.M) {
	if code, child := be(context.Background()); child {
		os.Exit(code)
	}
	if err := os.Setenv("GORACE", "atexit_sleep_ms=10"); err != nil { // children end often, and a second each is long
		panic(err)
	}
	os.Exit(m.Run())
}

func TestWrongUsageIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown command":        {[]string{"drizzle"}, exitUsage, "soak"},
		"an unknown flag":           {[]string{"-wind"}, exitUsage, "-wind"},
		"an argument":               {[]string{"storm", "now"}, exitUsage, "now"},
		"no captures":               {[]string{"-captures", "0"}, exitUsage, "captures"},
		"a soak that is too short":  {[]string{"soak", "-for", "1s"}, exitUsage, "-for"},
		"a gateway that is not one": {[]string{"drain", "-gateway", "real"}, exitUsage, "-gateway"},
		"records of nothing":        {[]string{"drain", "-size", "1"}, exitUsage, "KB"},
		"help":                      {[]string{"-h"}, exitOK, "-captures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out bytes.Buffer
			if code := run(t.Context(), tt.args, &out); code != tt.code || !strings.Contains(out.String(), tt.says) {
				t.Errorf("exit code %d, want %d; said %q, want %q", code, tt.code, out.String(), tt.says)
			}
		})
	}
}
