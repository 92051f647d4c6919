package screens_test

import (
	"regexp"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
)

func TestStatesCoverEveryScreenHintAndFault(t *testing.T) {
	file := regexp.MustCompile(`^[a-z][a-z_-]*$`)
	names := map[string]bool{}
	shown := map[any]bool{}
	for _, st := range screens.States() {
		if names[st.Name] {
			t.Errorf("two states are called %s", st.Name)
		}
		if !file.MatchString(st.Name) {
			t.Errorf("%q is no name of a file", st.Name)
		}
		if st.View.Locale != "" || st.View.Theme != "" {
			t.Errorf("%s has a language or a theme of its own", st.Name)
		}
		names[st.Name] = true
		shown[st.View.Screen], shown[st.View.Hint], shown[st.View.Fault] = true, true, true
	}
	for _, s := range kiosk.Screens() {
		if !shown[s] {
			t.Errorf("no state shows the screen %s", s)
		}
	}
	for _, h := range kiosk.Hints() {
		if !shown[h] {
			t.Errorf("no state shows the hint %s", h)
		}
	}
	for _, f := range kiosk.Faults() {
		if !shown[f] {
			t.Errorf("no state shows the fault %s", f)
		}
	}
}

// What is minor is looked at in one scheme only, so another state of the same
// screen has to stand for it in the rest.
func TestEveryScreenHasAStateThatIsLookedAtInEveryScheme(t *testing.T) {
	whole := map[kiosk.Screen]bool{}
	for _, st := range screens.States() {
		whole[st.View.Screen] = whole[st.View.Screen] || !st.Minor
	}
	for _, s := range kiosk.Screens() {
		if !whole[s] {
			t.Errorf("%s has minor states only", s)
		}
	}
}
