package screens

import (
	"time"

	"livekiosk/kiosk"
)

// A State is one thing that the screens can show. The states are what a
// storybook, the reference pictures and the checks of the layout go through,
// each in every language, orientation, colour scheme and size of text.
type State struct {
	Name string     // unique, and a file name: the screen, and what is special about it
	View kiosk.View // as a session would have it; without locale and theme, which are whoever shows it's to fill in

	// Camera says that there is a camera image to show.
	Camera bool

	// Desk is what DeskScreen is told.
	Desk Desk

	// Minor says that another state of this screen differs in nothing but its
	// words and its icon: one scheme is enough to look at.
	Minor bool
}

// States returns all that the screens can show, screen by screen: each of them
// with every arrangement that it has, every hint and every fault.
func States() []State {
	var all []State
	for _, s := range kiosk.Screens() {
		some := states(s)
		all = append(all, some...)
		if s == kiosk.RestingScreen || s == kiosk.PINScreen || s == kiosk.DeskScreen || s == kiosk.CommissionScreen {
			continue // for nobody, and for staff
		}
		large := some[0]
		large.Name, large.Minor = string(s)+"-large", true
		large.View.Wishes = kiosk.Wishes{Large: true, NoLimit: true}
		all = append(all, large)
	}
	return all
}

// states returns those of one screen, the usual one first.
func states(s kiosk.Screen) []State {
	v := kiosk.View{Screen: s, Session: "7f3a", AttemptsLeft: 2, Until: time.Minute}
	one := func(name string, change func(*State)) State {
		st := State{Name: string(s), View: v}
		if name != "" {
			st.Name += "-" + name
		}
		if change != nil {
			change(&st)
		}
		return st
	}
	switch s {
	case kiosk.CodeScreen:
		v = kiosk.View{Screen: s}
		return []State{one("", nil), one("unknown", func(st *State) { st.View.Typing, st.Minor = kiosk.Unknown, true })}
	case kiosk.DeskScreen:
		v = kiosk.View{Screen: s}
		return []State{
			one("", func(st *State) { st.Desk = busy() }),
			one("listing", func(st *State) { st.Desk, st.View.Listing, st.View.Draining = busy(), true, true }),
		}
	case kiosk.IdleScreen, kiosk.RestingScreen, kiosk.PINScreen:
		return []State{{Name: string(s), View: kiosk.View{Screen: s}}}
	case kiosk.OutOfServiceScreen:
		v = kiosk.View{Screen: s}
		all := []State{one("", nil)}
		for _, f := range kiosk.Faults() {
			all = append(all, one(string(f), func(st *State) { st.View.Fault, st.Minor = f, true }))
		}
		return all
	case kiosk.CommissionScreen:
		v = kiosk.View{Screen: s, Step: kiosk.FocusStep, Note: kiosk.TiltedNote, Figure: 41, FaceGoal: 0.4}
		all := []State{
			one("", func(st *State) { st.Camera = true }),
			one("flash", func(st *State) { st.View.Step, st.View.Note, st.View.Flash = kiosk.LatencyStep, "", true }),
		}
		for _, step := range kiosk.Steps() {
			all = append(all, one(string(step), func(st *State) {
				st.View.Step, st.View.Note, st.View.Figure, st.Minor, st.Camera = step, "", 1234, true, true
			}))
		}
		for _, note := range kiosk.Notes() {
			all = append(all, one(string(note), func(st *State) { st.View.Note, st.View.Figure, st.Minor, st.Camera = note, 1234, true, true }))
		}
		return all
	case kiosk.GuidingScreen:
		v.Pose, v.Hint, v.Ring, v.FaceGoal = kiosk.Far, kiosk.GlareGlasses, 0.6, 0.4
		all := []State{
			one("", func(st *State) { st.Camera = true }),
			one("near", func(st *State) {
				st.Camera = true
				st.View.Pose, st.View.Hint, st.View.Ring, st.View.FaceGoal, st.View.AttemptsLeft = kiosk.Near, kiosk.GoodHold, 1, 0.62, 0
			}),
			one("flashes", func(st *State) { st.Camera, st.View.Flashes, st.View.Wishes.NoFlash, st.Minor = true, true, true, true }),
			one("starting", func(st *State) { st.View.Hint, st.View.Ring = kiosk.NoHint, 0 }),
		}
		for _, h := range kiosk.Hints() {
			all = append(all, one(string(h), func(st *State) { st.Camera, st.View.Hint, st.Minor = true, h, true }))
		}
		return all
	case kiosk.WarningScreen:
		v.Flashes, v.Hint = true, kiosk.FlashWarning
	case kiosk.ColoursScreen:
		v.Flashes, v.Hint, v.Until, v.Turn, v.Colour = true, kiosk.HoldStill, 0, 5, [3]uint8{255, 64, 218}
		return []State{
			one("", nil),
			one("neutral", func(st *State) { st.View.Turn, st.View.Colour, st.Minor = 0, [3]uint8{149, 149, 149}, true }),
		}
	case kiosk.TipsScreen:
		return []State{one("", nil), one("flashes", func(st *State) { st.View.Flashes, st.View.Wishes.NoFlash, st.Minor = true, true, true })}
	case kiosk.AgainScreen:
		return []State{
			one("", func(st *State) { st.Camera, st.View.Why = true, kiosk.GlareGlasses }),
			one("ask", func(st *State) { st.View.Ask = true }),
			one("last", func(st *State) { st.View.AttemptsLeft, st.Minor = 0, true }),
		}
	case kiosk.SavedScreen:
		return []State{
			one("", func(st *State) { st.View.Receipt = "wwwwwwww" }), // the widest
			one("bare", nil),
		}
	case kiosk.ConsentScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen,
		kiosk.RefusedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
	}
	return []State{one("", nil)}
}

// busy is what staff see of a kiosk that has a little of everything.
func busy() Desk {
	queued := time.Date(2026, 3, 9, 10, 15, 0, 0, time.Local)
	return Desk{
		Version: "v0.9.1", Camera: "046d:0825", Faults: []kiosk.Fault{kiosk.CameraFault, kiosk.UpdateFault},
		Services: []Service{{Name: "gateway", Known: true}, {Name: "store"}, {Name: "partner", Known: true, Trouble: "unreachable"}},
		Entries: []kiosk.Entry{
			{Record: "KNZDLQRMXW77EVQ3TDCCBQ6XBT-1", State: "queued", Queued: queued},
			{Record: "7Q2M9XAR4LEVQ3TDCCBQ6XBTKN-2", State: "dead", Reason: "token_expired", Queued: queued.Add(-time.Hour)},
			{Record: "WW77EVQ3TDCCBQ6XBTKNZDLQRM-1", State: "done", Queued: queued.Add(-2 * time.Hour)},
		},
	}
}
