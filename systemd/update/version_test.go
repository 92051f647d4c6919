package update_test

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"livekiosk/systemd/update"
)

// order is from old to new.
func order() []update.Version {
	return []update.Version{"", "0", "0.9~~", "0.9~rc1", "0.9~rc2", "0.9", "0.9-1", "0.9^1", "0.9.1", "1", "1.0", "1.2", "1.10", "1a", "1b", "2~", "2", "10", "010.1"}
}

func TestVersionsHaveAnOrder(t *testing.T) {
	for i, a := range order() {
		for j, b := range order() {
			if got, want := a.Compare(b), compare(i, j); got != want {
				t.Errorf("%q compared with %q is %d, want %d", a, b, got, want)
			}
		}
	}
	if update.Version("1.02").Compare("1.2") != 0 {
		t.Error("leading zeros count")
	}
}

func compare(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestVersionsHaveTheOrderOfSystemd asks systemd, with a fixed seed.
func TestVersionsHaveTheOrderOfSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is needed to compare with: apt-get install systemd")
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func() update.Version {
		v := []byte{"0123"[r.IntN(4)]}
		for range r.IntN(5) {
			v = append(v, "0012aBb.~^-"[r.IntN(11)])
		}
		return update.Version(v)
	}
	said := map[int]int{-1: 12, 0: 0, 1: 11} // by exit code
	for range 60 {
		a, b := pick(), pick()
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", "compare-versions", string(a), string(b))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := said[a.Compare(b)]; got != cmd.ProcessState.ExitCode() {
			t.Errorf("%q with %q: %d, want %d: %s", a, b, got, cmd.ProcessState.ExitCode(), out)
		}
	}
}

func TestWhatIsNoVersionIsRefused(t *testing.T) {
	bad := []string{"", "a", ".1", "~1", "1/2", "1 ", "1_2", "1\n", "1@", string(slices.Repeat([]byte("1"), 65))}
	for _, s := range bad {
		if v, err := update.ParseVersion(s); err == nil {
			t.Errorf("%q reads as %q", s, v)
		}
	}
	var v update.Version
	if err := v.UnmarshalText([]byte("2.0~rc1-3")); err != nil || v != "2.0~rc1-3" {
		t.Errorf("got %q, %v", v, err)
	}
}
