package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"livekiosk/queue/crashtest"
)

func TestMain(m *testing.M) {
	if code, played := crashtest.Play(context.Background()); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestWrongUsageIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"-images", "many"}, "many"},
		{[]string{"-images", "-1"}, "images is -1"},
		{[]string{"-workers", "1000"}, "workers is 1000"},
		{[]string{"-control", "nothing"}, `"nothing"`},
		{[]string{"twice"}, `"twice"`},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), tt.args, &out); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", tt.args, code, exitUsage)
		}
		if !strings.Contains(out.String(), tt.says) {
			t.Errorf("%v: says %q, nothing of %q", tt.args, out.String(), tt.says)
		}
	}
}

func TestAControlAndARunAreTold(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	if err := crashtest.Missing(); err != nil {
		var out bytes.Buffer
		if code := run(t.Context(), nil, &out); code != exitLacks || !strings.Contains(out.String(), "skipped") {
			t.Errorf("exit code %d and %q, want %d and why it is skipped", code, out.String(), exitLacks)
		}
		t.Skipf("skipped: %v", err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-images", "5", "-kills", "1", "-seed", "1", "-control", "none"}, &out); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	if code := run(t.Context(), []string{"-seed", "1", "-control", "plaintext"}, &out); code != exitOK {
		t.Errorf("exit code %d of a control that is noticed, want %d", code, exitOK)
	}
	for _, want := range []string{"seed 1\n", "different images            5 of ", "problems                    0", "control plaintext    noticed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
