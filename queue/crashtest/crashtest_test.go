package crashtest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"livekiosk/queue/crashtest"
)

func TestMain(m *testing.M) {
	if code, played := crashtest.Play(context.Background()); played {
		os.Exit(code) //nolint:forbidigo // it is main, of a child
	}
	os.Exit(m.Run()) //nolint:forbidigo // as in every TestMain
}

// need skips a test on a machine without what crash images take.
func need(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("crash images take some seconds")
	}
	if err := crashtest.Missing(); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

// TestTheOutboxSurvivesPowerCuts is the small form of "make crash".
func TestTheOutboxSurvivesPowerCuts(t *testing.T) {
	need(t)
	t.Parallel()
	const images, kills = 30, 2
	r, err := crashtest.Run(t.Context(), crashtest.Options{Images: images, Kills: kills, Sessions: 4, Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Examples {
		t.Error(e)
	}
	switch {
	case r.Broken() > 0:
		t.Errorf("%d problems: %v", r.Broken(), r.Problems)
	case r.Tried() != images || r.Kills != kills:
		t.Errorf("%d images and %d SIGKILLs were tried, want %d and %d", r.Tried(), r.Kills, images, kills)
	case r.Images[crashtest.Double] == 0 || r.Images[crashtest.Torn] == 0 || r.Images[crashtest.Dropped] == 0:
		t.Errorf("images were %v, want some of every kind", r.Images)
	case r.Remains == 0 || r.Parts == 0 || r.Flushes == 0 || r.Effects == 0:
		t.Errorf("nothing was proved by %+v", r)
	}
}

// TestADiskThatLiesIsNoticed: an oracle that does not fail on it proves
// nothing.
func TestADiskThatLiesIsNoticed(t *testing.T) {
	need(t)
	t.Parallel()
	o := crashtest.LyingDisk.Options(1, 1)
	o.Images, o.Sessions = 5, 2
	r, err := crashtest.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !crashtest.LyingDisk.Noticed(r) {
		t.Errorf("a disk that forgets what it was told to flush passes: %+v", r)
	}
}

func TestReadableBytesOnTheDiskAreNoticed(t *testing.T) {
	need(t)
	t.Parallel()
	o := crashtest.PlainText.Options(1, 1)
	o.Sessions = 1
	r, err := crashtest.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !crashtest.PlainText.Noticed(r) {
		t.Errorf("an image in the clear passes: %+v", r)
	}
}

func TestARunEndsEarlyAndCleansUp(t *testing.T) {
	need(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(500*time.Millisecond, cancel)
	start := time.Now()
	_, err := crashtest.Run(ctx, crashtest.Options{Images: 10_000, Sessions: 40, Seed: 1}, nil)
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it ended %v after it was asked to (%v)", took, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}

func TestImpossibleOptionsAreNamed(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]crashtest.Options{
		"images":   {Images: -1},
		"kills":    {Kills: -1},
		"workers":  {Workers: -1},
		"sessions": {Sessions: -1},
		"duration": {Duration: -1},
		"program":  {Control: crashtest.NoSync},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (crashtest.Options{}).Validate(); err != nil {
		t.Errorf("nothing is asked for: %v", err)
	}
}
