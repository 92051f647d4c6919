package main

import (
	"slices"
	"testing"

	"livekiosk/kiosk"
)

func TestEachScreenIsDrawnOnce(t *testing.T) {
	v := newViews()
	v.drawn(v.current())
	for _, view := range []kiosk.View{
		{Screen: kiosk.GuidingScreen, Ring: 0.1},
		{Screen: kiosk.GuidingScreen, Ring: 0.2},
		{Screen: kiosk.SavingScreen},
		{Screen: kiosk.WaitingScreen},
		{Screen: kiosk.GrantedScreen},
	} {
		v.show(view)
	}
	var got []kiosk.Screen
	for range 10 {
		_ = v.current() // looking is not drawing
		view := v.current()
		if view.Screen == kiosk.GuidingScreen && view.Ring != 0.2 {
			t.Errorf("draws an old guiding view: %+v", view)
		}
		if len(got) == 0 || got[len(got)-1] != view.Screen {
			got = append(got, view.Screen)
		}
		v.drawn(view)
	}
	want := []kiosk.Screen{kiosk.GuidingScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen}
	if !slices.Equal(got, want) {
		t.Errorf("drawn %v, want %v", got, want)
	}
}

func TestAViewThatIsShownAlreadyHoldsNothingUp(t *testing.T) {
	v := newViews()
	v.drawn(v.current())
	v.show(v.current())
	v.show(kiosk.View{Screen: kiosk.ConsentScreen})
	if got := v.current(); got.Screen != kiosk.ConsentScreen {
		t.Errorf("next is %s", got.Screen)
	}
}

func TestAnUpdateOfAScreenThatIsLeftIsNotDrawn(t *testing.T) {
	v := newViews()
	v.show(kiosk.View{Screen: kiosk.GuidingScreen})
	for range 2 {
		v.drawn(v.current())
	}
	v.show(kiosk.View{Screen: kiosk.GuidingScreen, Ring: 1})
	v.show(kiosk.View{Screen: kiosk.SavingScreen}) // and with it the preview is gone
	if got := v.current(); got.Screen != kiosk.SavingScreen {
		t.Errorf("next is %+v", got)
	}
}

func TestADisplayThatSleptShowsNoEarlierVisitor(t *testing.T) {
	v := newViews()
	v.drawn(v.current())
	v.show(kiosk.View{Session: "A", Screen: kiosk.ConsentScreen})
	v.show(kiosk.View{Session: "A", Screen: kiosk.SavedScreen, Receipt: "AAAA"})
	v.show(kiosk.View{Screen: kiosk.IdleScreen})
	v.show(kiosk.View{Session: "B", Screen: kiosk.ConsentScreen})
	for range 5 {
		got := v.current()
		if got.Session == "A" {
			t.Errorf("draws %+v", got)
		}
		v.drawn(got)
	}
	if got := v.current(); got.Session != "B" {
		t.Errorf("ends at %+v", got)
	}
}

// An installer's screen lies over what there is between sessions, and never over
// a visitor's.
func TestAnInstallersScreenCoversNoVisitor(t *testing.T) {
	v := newViews()
	v.drawn(v.current())
	step := kiosk.View{Screen: kiosk.CommissionScreen, Step: kiosk.LensStep}
	v.cover(&step)
	if got := v.current(); got != step || v.newest() != step {
		t.Errorf("draws %+v, newest %+v", got, v.newest())
	}
	v.drawn(step)
	v.show(kiosk.View{Screen: kiosk.OutOfServiceScreen})
	if got := v.current(); got != step {
		t.Errorf("draws %+v over an installer's", got)
	}
	v.show(kiosk.View{Session: "A", Screen: kiosk.ConsentScreen})
	if v.newest().Session != "A" {
		t.Errorf("newest is %+v, want the visitor's", v.newest())
	}
	for range 4 {
		got := v.current()
		if got.Screen == kiosk.CommissionScreen {
			t.Error("a visitor is covered")
		}
		v.drawn(got)
	}
	if got := v.current(); got.Session != "A" {
		t.Errorf("ends at %+v", got)
	}
	v.show(kiosk.View{Screen: kiosk.IdleScreen})
	if got := v.current(); got != step {
		t.Errorf("draws %+v once they left", got)
	}
	v.cover(nil)
	for range 4 {
		v.drawn(v.current())
	}
	if got := v.current(); got.Screen != kiosk.IdleScreen {
		t.Errorf("ends at %+v", got)
	}
}

func TestADisplayThatHangsIsShownTheNewest(t *testing.T) {
	v := newViews()
	for i := range 100 {
		screens := kiosk.Screens()
		v.show(kiosk.View{Screen: screens[i%len(screens)], AttemptsLeft: i})
	}
	for range longestQueue {
		v.drawn(v.current())
	}
	if got := v.current(); got.AttemptsLeft != 99 {
		t.Errorf("ends at view %d, want the newest, 99", got.AttemptsLeft)
	}
}
