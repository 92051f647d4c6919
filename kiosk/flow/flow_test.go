package flow_test

import (
	"bufio"
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

var update = flag.Bool("update", false, "rewrite the golden traces")

var policy = flow.Standard()

// lightPolicy is that of a kiosk with a light challenge which was commissioned.
func lightPolicy() flow.Policy {
	p := flow.Standard()
	p.Light.On, p.Light.ReviewUnder = true, 0.6
	p.Light.Lag = pad.Lag{Latency: 90 * time.Millisecond, Spread: 20 * time.Millisecond}
	return p
}

// see is what analysis says of a face of the given width (share of the short
// side) in a 1280x720 frame, looking straight in good light.
func see(frame kiosk.FrameID, width, live float32) kiosk.Assessment {
	half := int(width * 720 / 2)
	return kiosk.Assessment{
		Frame: frame, Size: image.Pt(1280, 720), Luma: 110, Faces: 1,
		Face: image.Rect(640-half, 360-half, 640+half, 360+half),
		IED:  0.45 * 2 * float32(half), EyesOpen: 0.08, FaceLuma: 120, Background: 110,
		Sharpness: 200, Live: live, LiveUsable: true,
		Quality: kiosk.Quality{Unified: 70 + float32(frame%7)},
	}
}

// TestGoldenTraces runs the scenarios of testdata, those whose names begin with
// light at a kiosk with a light challenge. A line "> 2s..4s saw 0.33 live=0.9"
// stands for one frame every 100 ms; "lit" in place of "saw" for a face that the
// display lights, and "unlit" for one that it does not, with a display that draws
// at once. Each step that changes anything is written down.
func TestGoldenTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d scenarios, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".trace"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p := policy
			if strings.HasPrefix(filepath.Base(name), "light") {
				p = lightPolicy()
			}
			got := play(t, p, string(want))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("the flow takes another course; got:\n%s", got)
			}
		})
	}
}

func play(t *testing.T, policy flow.Policy, script string) string {
	t.Helper()
	var out strings.Builder
	s := flow.State{Phase: flow.Idle}
	var frame kiosk.FrameID
	step := func(at time.Duration, in flow.Input) {
		before := s
		var fx []flow.Effect
		s, fx = policy.Step(s, at, in)
		v, was := policy.View(s), policy.View(before)
		if len(fx) == 0 && s.Phase == before.Phase && s.Guide.Hint == before.Guide.Hint && s.Locale == before.Locale && v.Wishes == was.Wishes && v.Typing == was.Typing {
			return
		}
		fmt.Fprintf(&out, "  %-5v %s", at, s.Phase)
		if v.Screen != kiosk.Screen(s.Phase) {
			fmt.Fprintf(&out, " [%s]", v.Screen)
		}
		if v.Hint != "" {
			fmt.Fprintf(&out, " %s", v.Hint)
		}
		if v.Wishes != was.Wishes {
			out.WriteString(strings.ReplaceAll(fmt.Sprintf(" %+v", v.Wishes), " NoFlash:false", ""))
		}
		if v.Typing != "" {
			fmt.Fprintf(&out, " %s", v.Typing)
		}
		for _, e := range fx {
			what := strings.TrimPrefix(fmt.Sprintf("%T%v", e, e), "flow.")
			if e, ok := e.(flow.Submit); ok && e.Light == (flow.Response{}) {
				what = strings.TrimSuffix(what, " {0  0 0 0}}") + "}"
			}
			out.WriteString("  " + what)
		}
		out.WriteString("\n")
	}
	var d display
	for sc := bufio.NewScanner(strings.NewReader(script)); sc.Scan(); {
		line := sc.Text()
		if !strings.HasPrefix(line, "> ") {
			if strings.HasPrefix(line, "#") {
				fmt.Fprintln(&out, line)
			}
			continue
		}
		fmt.Fprintln(&out, line)
		f := strings.Fields(line[2:])
		from, to, isSpan := strings.Cut(f[0], "..")
		at := parse(t, from)
		end := at
		if isSpan {
			end = parse(t, to)
		}
		for ; at <= end; at += 100 * time.Millisecond {
			kind := f[1]
			if lit := kind == "lit"; lit || kind == "unlit" {
				kind = "saw"
				d.show(policy, &s, at, step)
				in := input(t, at, frame+1, kind, f[2:])
				saw, _ := in.(flow.Saw)
				saw.Skin = d.skin(at, lit)
				frame++
				step(at, saw)
				continue
			}
			if kind == "saw" || kind == "blinked" || kind == "beside" {
				frame++
			}
			step(at, input(t, at, frame, kind, f[2:]))
		}
	}
	return out.String()
}

// A display draws each colour of a light challenge as soon as it is told, and
// lights a face.
type display struct {
	at     []time.Duration
	colour []pad.Colour
}

// show does until a time what timers and the display do.
func (d *display) show(p flow.Policy, s *flow.State, at time.Duration, step func(time.Duration, flow.Input)) {
	for s.Phase == flow.Colours {
		v := p.View(*s)
		switch {
		case !s.Light.Seeded:
			step(at, flow.Seeded{Session: s.Session, Seed: 5})
		case !s.Light.Drawn:
			d.at, d.colour = append(d.at, at), append(d.colour, pad.Colour(v.Colour))
			step(at, flow.Drawn{Session: s.Session, Turn: v.Turn, At: at})
		case at >= s.Until:
			step(at, flow.Tick{})
		default:
			return
		}
	}
}

// skin is the colour of a face in the room's light and a tenth of the display's.
func (d *display) skin(at time.Duration, lit bool) [3]float32 {
	skin := [3]float32{0.2, 0.13, 0.1}
	for i := len(d.at) - 1; i >= 0 && lit; i-- {
		if at < d.at[i]+90*time.Millisecond {
			continue
		}
		for k, v := range d.colour[i] {
			skin[k] *= 1 + 0.1*float32(v)*float32(v)/65025 // about linear light
		}
		break
	}
	return skin
}

func parse(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func input(t *testing.T, at time.Duration, frame kiosk.FrameID, kind string, args []string) flow.Input {
	t.Helper()
	switch kind {
	case "launched":
		return flow.Launched{Session: kiosk.SessionID(args[0]), Locale: kiosk.English, Theme: kiosk.Light, NoTimeLimit: len(args) > 1}
	case "tapped":
		return flow.Tapped{Session: kiosk.SessionID(strings.TrimPrefix(args[0], "-")), Control: kiosk.Control(args[1])}
	case "typed":
		try, err := strconv.Atoi(args[0])
		if err != nil {
			t.Fatal(err)
		}
		return flow.Typed{Try: try, Typing: kiosk.Typing(strings.TrimPrefix(args[1], "right"))}
	case "saw", "blinked", "beside":
		a := kiosk.Assessment{Frame: frame, Size: image.Pt(1280, 720), Luma: 110}
		if args[0] != "nobody" {
			width, err := strconv.ParseFloat(args[0], 32)
			if err != nil {
				t.Fatal(err)
			}
			live, err := strconv.ParseFloat(strings.TrimPrefix(args[1], "live="), 32)
			if err != nil {
				t.Fatal(err)
			}
			a = see(frame, float32(width), float32(live))
		}
		a.At = at
		switch kind {
		case "blinked":
			a.EyesOpen = 0.01
		case "beside":
			a.Faces, a.Second = 2, 0.1
		}
		return flow.Saw{Assessment: a}
	case "seeded":
		return flow.Seeded{Session: kiosk.SessionID(args[0]), Seed: 5}
	case "drawn":
		turn, err := strconv.Atoi(args[1])
		if err != nil {
			t.Fatal(err)
		}
		return flow.Drawn{Session: kiosk.SessionID(args[0]), Turn: turn, At: at}
	case "stored":
		return flow.Stored{Record: kiosk.RecordID(args[0])}
	case "unstored":
		return flow.Unstored{Record: kiosk.RecordID(args[0])}
	case "deferred":
		return flow.Deferred{Record: kiosk.RecordID(args[0])}
	case "answered":
		return flow.Answered{Record: kiosk.RecordID(args[0]), Action: kiosk.Action(args[1])}
	case "fault":
		return flow.Faulted{Fault: kiosk.Fault(args[0]), Active: args[1] == "on"}
	case "voided":
		return flow.Voided{Reason: kiosk.Breach(args[0])}
	case "opened":
		return flow.Opened{Camera: args[0], Trusted: args[1] == "trusted"}
	case "present":
		return flow.Presence{Here: args[0] == "yes"}
	case "tick":
		return flow.Tick{}
	}
	t.Fatalf("unknown input %q", kind)
	return nil
}

// TestWalk takes random walks over the inputs and checks what must hold after
// every step, whatever happened before.
func TestWalk(t *testing.T) {
	if err := policy.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := lightPolicy().Validate(); err != nil {
		t.Fatal(err)
	}
	reached := map[kiosk.Screen]int{}
	responses := map[pad.Reason]int{}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		p := policy
		if seed%2 == 1 {
			p = lightPolicy()
		}
		w := walker{t: t, p: p, responses: responses, seed: seed, rng: rng, s: flow.State{Phase: flow.Idle}, submitted: map[kiosk.RecordID]kiosk.SessionID{}}
		if p.Light.On {
			w.approach()
		}
		for range 1500 {
			w.step()
			reached[p.View(w.s).Screen]++
		}
	}
	for _, screen := range kiosk.Screens() {
		if reached[screen] == 0 && screen != kiosk.CommissionScreen { // which lies over the flow's
			t.Errorf("no walk ever reached screen %s", screen)
		}
	}
	for _, r := range []pad.Reason{pad.Measured, pad.Undrawn, pad.Moving} {
		if responses[r] == 0 {
			t.Errorf("no challenge ever ended %q: %v", r, responses)
		}
	}
	t.Logf("challenges by why they were not measured: %v", responses)
}

type walker struct {
	t         *testing.T
	p         flow.Policy
	display   display
	responses map[pad.Reason]int
	frozen    bool
	flash     bool // the visitor said that colours may change
	seed      uint64
	rng       *rand.Rand
	s         flow.State
	at        time.Duration
	frame     kiosk.FrameID
	sessions  int
	consented bool
	held      map[kiosk.Pose]bool
	submitted map[kiosk.RecordID]kiosk.SessionID
	records   []kiosk.RecordID
	watching  bool
}

func (w *walker) input() flow.Input {
	session := kiosk.SessionID("S" + strconv.Itoa(max(0, w.sessions-w.rng.IntN(2)*w.rng.IntN(2))))
	record := kiosk.RecordID("none")
	if n := len(w.records); n > 0 {
		record = w.records[max(0, n-1-w.rng.IntN(2)*w.rng.IntN(3))]
	}
	if w.s.Phase == flow.Idle && w.s.Away && w.rng.IntN(6) == 0 { // nobody comes
		w.at = max(w.at, w.s.Until)
		return flow.Tick{}
	}
	if w.s.Phase == flow.Warning && w.rng.IntN(3) > 0 {
		return flow.Tapped{Session: session, Control: kiosk.Flash}
	}
	if w.s.Phase == flow.Colours && w.rng.IntN(60) > 0 {
		return w.challenged()
	}
	switch w.rng.IntN(40) {
	case 0:
		w.sessions++
		return flow.Launched{Session: kiosk.SessionID("S" + strconv.Itoa(w.sessions)), Locale: kiosk.Indonesian, NoTimeLimit: w.rng.IntN(5) == 0}
	case 1, 2:
		return flow.Tapped{Session: session, Control: kiosk.Agree}
	case 3, 15, 16:
		controls := kiosk.Controls()
		c := controls[w.rng.IntN(len(controls))]
		if w.s.Session == "" && w.rng.IntN(8) > 0 {
			session = ""
		}
		return flow.Tapped{Session: session, Control: c}
	case 17:
		return flow.Typed{Try: w.s.Try - w.rng.IntN(8)/7, Typing: []kiosk.Typing{kiosk.NotTyped, kiosk.Unknown, kiosk.Paused, kiosk.Refused}[w.rng.IntN(4)]}
	case 4, 5, 6:
		return flow.Stored{Record: record}
	case 7:
		return flow.Unstored{Record: record}
	case 8:
		return flow.Deferred{Record: record}
	case 9, 10:
		actions := []kiosk.Action{kiosk.PollAgain, kiosk.Retry, kiosk.ExitSuccess, kiosk.ExitFailure, kiosk.ExitError}
		return flow.Answered{Record: record, Action: actions[w.rng.IntN(len(actions))]}
	case 11:
		faults := kiosk.Faults()
		return flow.Faulted{Fault: faults[w.rng.IntN(len(faults))], Active: w.rng.IntN(4) == 0}
	case 12:
		w.at += time.Duration(w.rng.IntN(30)) * time.Second
		return flow.Tick{}
	case 13:
		return flow.Presence{Here: w.rng.IntN(2) == 0}
	case 14:
		if w.rng.IntN(8) == 0 {
			return flow.Voided{Reason: kiosk.TamperBreach}
		}
		if w.rng.IntN(2) == 0 {
			return flow.Opened{Camera: []string{"A", "B"}[w.rng.IntN(8)/7], Trusted: w.rng.IntN(3) > 0}
		}
		w.frame++
		return flow.Saw{Assessment: kiosk.Assessment{Frame: w.frame, At: w.at, Size: image.Pt(1280, 720), Luma: 90}}
	}
	return w.saw()
}

// challenged is what mostly comes during a light challenge: the display draws, time
// passes, and a face is seen in its light.
func (w *walker) challenged() flow.Input {
	v := w.p.View(w.s)
	switch {
	case !w.s.Light.Seeded:
		return flow.Seeded{Session: w.s.Session, Seed: w.rng.Uint32()}
	case !w.s.Light.Drawn && w.seed%5 > 0:
		w.display.at, w.display.colour = append(w.display.at, w.at), append(w.display.colour, pad.Colour(v.Colour))
		return flow.Drawn{Session: w.s.Session, Turn: v.Turn, At: w.at}
	case w.at >= w.s.Until:
		return flow.Tick{}
	case w.rng.IntN(40) == 0:
		return flow.Drawn{Session: w.s.Session, Turn: w.rng.IntN(9), At: w.at - time.Duration(w.rng.IntN(3000))*time.Millisecond}
	}
	saw := w.saw()
	saw.Skin = w.display.skin(w.at, w.seed%3 > 0)
	if w.seed%7 == 0 && w.rng.IntN(4) > 0 { // they step back
		saw.Face = image.Rect(600, 300, 720, 420)
	}
	return saw
}

func (w *walker) saw() flow.Saw {
	w.frame++
	width := float32(0.33)
	if (w.s.Phase == flow.Near || w.s.Phase == flow.Colours) && w.rng.IntN(10) > 0 {
		width = 0.5
	}
	live := float32(0.95)
	if w.sessions%3 == 0 {
		live = 0.1
	}
	a := see(w.frame, width, live)
	a.At = w.at
	return flow.Saw{Assessment: a}
}

func (w *walker) step() {
	w.t.Helper()
	in := w.input()
	if w.at += time.Duration(w.rng.IntN(200)) * time.Millisecond; w.s.Phase == flow.Colours && w.rng.IntN(4) > 0 {
		w.at -= min(w.at, 80*time.Millisecond)
	}
	w.take(in)
}

// approach leads a visitor who lets colours change to where they do.
func (w *walker) approach() {
	w.t.Helper()
	w.sessions = 1 + int(w.seed%3)
	id := kiosk.SessionID("S" + strconv.Itoa(w.sessions))
	w.take(flow.Launched{Session: id, Locale: kiosk.English})
	for _, c := range []kiosk.Control{kiosk.Agree, kiosk.Ready, kiosk.Flash} {
		w.take(flow.Tapped{Session: id, Control: c})
	}
	for range 200 {
		if w.s.Phase == flow.Colours {
			return
		}
		w.at += 80 * time.Millisecond
		a := see(w.frame+1, map[flow.Phase]float32{flow.Far: 0.33, flow.Near: 0.5}[w.s.Phase], 0.95)
		a.At = w.at
		w.frame++
		w.take(flow.Saw{Assessment: a})
	}
	w.t.Fatalf("seed %d: no colours: %+v", w.seed, w.s)
}

// take feeds the flow one input and checks what came of it.
func (w *walker) take(in flow.Input) {
	w.t.Helper()
	before := w.s
	var fx []flow.Effect
	w.s, fx = w.p.Step(before, w.at, in)
	fail := func(format string, args ...any) {
		w.t.Helper()
		w.t.Fatalf("seed %d at %v, %s + %T%+v -> %s: %s", w.seed, w.at, before.Phase, in, in, w.s.Phase, fmt.Sprintf(format, args...))
	}
	if w.s.Session != before.Session {
		w.consented, w.flash = false, false
	}
	if tap, ok := in.(flow.Tapped); ok && tap.Control == kiosk.Flash && before.Phase == flow.Warning && tap.Session == before.Session {
		w.flash = true
	}
	for _, e := range fx {
		w.effect(e, in, before, fail)
	}
	if f, ok := in.(flow.Faulted); ok && (f.Fault == kiosk.UpdateFault || f.Fault == kiosk.PowerFault) && before.Session != "" && (w.s.Phase != before.Phase || w.s.Session != before.Session || len(fx) > 0) {
		fail("an update or a low battery stands in a visitor's way: %v", fx)
	}
	if voided(before, in) && (w.s.Outcome != kiosk.StaffScreen || len(w.held) > 0) {
		fail("not voided: outcome %q, holds %v", w.s.Outcome, w.held)
	}
	v := w.p.View(w.s)
	if why := w.light(before, in); why != "" {
		fail("%s: %+v", why, fx)
	}
	switch {
	case w.s.Phase != flow.Idle && w.s.Phase != flow.Resting && w.s.Phase != flow.OutOfService && w.s.Until == 0:
		fail("no deadline")
	case w.s.Phase == flow.Idle && (w.s.Away || wished(w.s)) != (w.s.Until != 0):
		fail("away is %v, wished %v, and forgetting or going dark at %v", w.s.Away, wished(w.s), w.s.Until)
	case w.s.Phase == flow.Desk && before.Phase != flow.Desk && (before.Phase != flow.PIN || before.Typing != kiosk.Checking || in != flow.Typed{Try: before.Try}):
		fail("staff's screen without their PIN")
	case (v.Screen == kiosk.CodeScreen || v.Screen == kiosk.PINScreen || v.Screen == kiosk.DeskScreen) && w.s.Session != "":
		fail("staff's screens in a session")
	case w.s.Phase == flow.Resting && (!w.s.Away || w.s.Until != 0):
		fail("dark though somebody is there, or not for good: %+v", w.s)
	case (w.s.Phase == flow.Idle || w.s.Phase == flow.Resting) && len(w.s.Faults()) > 0:
		fail("in service with %v", w.s.Faults())
	case (w.s.Phase == flow.Far || w.s.Phase == flow.Near || w.s.Phase == flow.Colours) && !w.consented:
		fail("a face is analysed without consent")
	case w.watching != (w.s.Phase == flow.Far || w.s.Phase == flow.Near || w.s.Phase == flow.Colours):
		fail("camera on is %v", w.watching)
	case (w.s.Phase == flow.Idle || w.s.Phase == flow.Resting) && (w.s.Session != "" || w.s.Record != "" || w.s.Eye != "" || len(w.held) > 0):
		fail("something of the visitor is left: %+v", w.s)
	case v.Screen == kiosk.GrantedScreen && before.Outcome != kiosk.GrantedScreen:
		if a, ok := in.(flow.Answered); !ok || w.submitted[a.Record] != w.s.Session || a.Record != before.Record {
			fail("granted by somebody else's answer")
		}
	case v.Screen == kiosk.SavedScreen && before.Phase != flow.Waiting && before.Outcome != kiosk.SavedScreen:
		fail("called saved without being stored")
	case w.s.Phase == flow.Waiting && before.Phase == flow.Saving:
		switch in := in.(type) {
		case flow.Stored:
			if in.Record == before.Record {
				break
			}
			fail("another record was stored")
		case flow.Deferred: // the deliverer has it
			if in.Record != before.Record {
				fail("another record is delivered")
			}
		case flow.Answered:
			if in.Record != before.Record {
				fail("another record is answered")
			}
		default:
			fail("called saved without being stored")
		}
	case w.s.Attempt > w.p.Attempts:
		fail("attempt %d of %d", w.s.Attempt, w.p.Attempts)
	case w.s.Session == "" && (v.Session != "" || v.Receipt != "" || v.Hint != "" || v.Why != "" || v.AttemptsLeft != 0 || v.Theme != ""):
		fail("something of a visitor is on screen: %+v", v)
	case v.Receipt != "" && (w.submitted[w.s.Record] != w.s.Session || !strings.HasPrefix(string(w.s.Record), v.Receipt)):
		fail("the receipt of somebody else: %+v", v)
	case v.Session != w.s.Session:
		fail("a screen of another session: %+v", v)
	}
	if w.rng.IntN(20) == 0 && !w.ends() {
		fail("nobody touches it, every fault is mended, and it never comes to rest: %+v", w.s)
	}
}

// light is what is wrong about a light challenge; "" is nothing.
func (w *walker) light(before flow.State, in flow.Input) string {
	tap, _ := in.(flow.Tapped)
	fault, _ := in.(flow.Faulted)
	switch now := w.s.Phase == flow.Colours; {
	case w.frozen != now:
		return "exposure is frozen without a challenge, or not in one"
	case now && (!w.p.Light.On || !w.flash || w.s.NoFlash):
		return "colours that nobody agreed to"
	case now && (before.Phase != flow.Colours && before.Phase != flow.Near || len(w.held) != 2):
		return "a challenge before both captures"
	case !now && (w.s.Light != pad.Challenge{} || !w.s.Home.Empty()):
		return "something of the challenge is left"
	case now && w.s.Light.Turn > before.Light.Turn && before.Phase == flow.Colours && before.Light.Turn > 0 && w.at-before.Light.From[before.Light.Turn-1] < pad.TurnFor:
		return "colours change too fast"
	case before.Phase != flow.Colours || now || w.s.Phase == flow.Saving:
	case tap.Control == kiosk.Cancel || tap.Control == kiosk.Decline || tap.Control == kiosk.Help || voided(before, in) || fault.Active && fault.Fault != kiosk.CameraFault || len(w.s.Faults()) > 0:
	default:
		return "a challenge ends a session"
	}
	return ""
}

// ends reports whether the state comes to rest by itself once everybody has
// left: no state is without an exit.
func (w *walker) ends() bool {
	s, at := w.s, w.at
	for range 14 {
		for _, f := range s.Faults() {
			s, _ = w.p.Step(s, at, flow.Faulted{Fault: f})
		}
		if s.Phase == flow.Resting || s.Phase == flow.Idle && s.Until == 0 {
			return true
		}
		at = max(at, s.Until)
		s, _ = w.p.Step(s, at, flow.Tick{})
	}
	return false
}

// wished reports whether the kiosk is other than the next visitor must find it.
func wished(s flow.State) bool {
	return s.Locale != "" || s.Large || s.Contrast || s.NoTimeLimit || s.NoFlash
}

// voided reports whether in must end a session in s, and end it for good.
func voided(s flow.State, in flow.Input) bool {
	switch in := in.(type) {
	case flow.Voided:
		return s.Session != "" && s.Phase != flow.Outcome
	case flow.Opened:
		return (s.Phase == flow.Far || s.Phase == flow.Near || s.Phase == flow.Colours) && s.Eye != "" && (s.Eye != in.Camera || !in.Trusted)
	}
	return false
}

func (w *walker) effect(e flow.Effect, in flow.Input, before flow.State, fail func(string, ...any)) {
	w.t.Helper()
	switch e := e.(type) {
	case flow.Watch:
		w.watching = e.On
	case flow.Freeze:
		w.frozen = e.On
	case flow.Consented:
		if tap, ok := in.(flow.Tapped); !ok || tap.Control != kiosk.Agree || tap.Session != w.s.Session {
			fail("consent without a tap of this visitor")
		}
		w.consented = true
	case flow.Hold:
		if saw, ok := in.(flow.Saw); !ok || saw.Frame != e.Frame || saw.Faces == 0 {
			fail("holds frame %d, which is not the one just seen, or shows nobody", e.Frame)
		}
		if w.held == nil {
			w.held = map[kiosk.Pose]bool{}
		}
		w.held[e.Pose] = true
	case flow.Drop:
		w.held = nil
	case flow.Submit:
		switch {
		case !w.held[kiosk.Far] || !e.Single && !w.held[kiosk.Near]:
			fail("submits without evidence: %v", w.held)
		case w.submitted[e.Record] != "":
			fail("submits %s twice", e.Record)
		case !e.Review && (e.LiveFar < policy.LiveMin || e.LiveNear < policy.LiveMin):
			fail("submits unflagged with liveness %g and %g", e.LiveFar, e.LiveNear)
		case e.Review && e.AttemptsLeft > 0 && !(e.Light.Reason == pad.Measured && e.Light.Score < w.p.Light.ReviewUnder && before.Phase == flow.Colours):
			fail("flags a capture though attempts are left")
		case e.Light != (flow.Response{}) && (before.Phase != flow.Colours || w.s.NoFlash):
			fail("a response without a challenge, or of one that was not wanted: %+v", e.Light)
		}
		if before.Phase == flow.Colours {
			w.responses[e.Light.Reason]++
		}
		w.submitted[e.Record] = before.Session
		w.records = append(w.records, e.Record)
		w.held = nil
	case flow.Report:
		switch {
		case e.Status == "":
			fail("reports nothing")
		case (e.Detail == kiosk.Tampered) != (voided(before, in) || w.s.Tamper && e.Error == kiosk.SecurityError):
			fail("reports %+v", e)
		}
	case flow.Forget:
		w.held, w.consented = nil, false
	}
}

// TestTheBestFrameOfAHoldGoesOn holds still for a second: of the frames the one
// with the best unified quality goes on, and not the sharpest.
func TestTheBestFrameOfAHoldGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		mend func(a *kiosk.Assessment, share float32)
		want kiosk.FrameID
	}{
		{"the best is in the middle, the sharpest at the end", func(a *kiosk.Assessment, share float32) {
			a.Sharpness, a.Quality.Unified = 100+share, 90-30*max(share-0.5, 0.5-share)
		}, 6},
		{"of equals the first", func(*kiosk.Assessment, float32) {}, 1},
		{"as recorded before there was a unified quality: the sharpest", func(a *kiosk.Assessment, share float32) {
			a.Sharpness, a.Quality = 100-share, kiosk.Quality{}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := flow.State{Phase: flow.Idle}
			s, _ = policy.Step(s, 0, flow.Launched{Session: "s"})
			s, _ = policy.Step(s, 0, flow.Tapped{Session: "s", Control: kiosk.Agree})
			s, _ = policy.Step(s, 0, flow.Tapped{Session: "s", Control: kiosk.Ready})
			var kept kiosk.FrameID
			for i := range 11 {
				at := time.Duration(i) * 70 * time.Millisecond
				a := see(kiosk.FrameID(i+1), 0.33, 0.9)
				a.At, a.Quality.Unified = at, 80
				tt.mend(&a, float32(i)/10)
				var fx []flow.Effect
				s, fx = policy.Step(s, at, flow.Saw{Assessment: a})
				for _, e := range fx {
					if hold, ok := e.(flow.Hold); ok {
						kept = hold.Frame
					}
				}
			}
			if kept != tt.want {
				t.Errorf("frame %d goes on, want %d", kept, tt.want)
			}
		})
	}
}

func TestAStaleTapMeansNothing(t *testing.T) {
	s, _ := policy.Step(flow.State{Phase: flow.Idle}, 0, flow.Launched{Session: "S2", Locale: kiosk.English})
	for _, session := range []kiosk.SessionID{"S1", ""} {
		if after, fx := policy.Step(s, time.Second, flow.Tapped{Session: session, Control: kiosk.Agree}); after != s || fx != nil {
			t.Errorf("a tap of session %q moved session S2 to %s, %v", session, after.Phase, fx)
		}
	}
}

// A slow analysis may hand over a frame of the attempt, or the visitor, before.
func TestAFrameOfAnEarlierAttemptMeansNothing(t *testing.T) {
	s, _ := policy.Step(flow.State{Phase: flow.Idle}, 0, flow.Launched{Session: "S1", Locale: kiosk.English})
	s, _ = policy.Step(s, time.Minute, flow.Tapped{Session: "S1", Control: kiosk.Agree})
	s, _ = policy.Step(s, time.Minute, flow.Tapped{Session: "S1", Control: kiosk.Ready})
	a := see(1, 0.33, 0.9)
	a.At = time.Minute - time.Millisecond
	if after, fx := policy.Step(s, time.Minute+time.Second, flow.Saw{Assessment: a}); after != s || fx != nil {
		t.Errorf("an old frame led to hint %q, %v", after.Guide.Hint, fx)
	}
	a.At = time.Minute
	if _, fx := policy.Step(s, time.Minute+time.Second, flow.Saw{Assessment: a}); len(fx) == 0 {
		t.Error("the first frame of the attempt is not kept")
	}
}
