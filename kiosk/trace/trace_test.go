package trace_test

import (
	"bytes"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

// session runs one visitor's inputs through the flow and returns the trace.
func session(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	p, s := flow.Standard(), flow.State{Phase: flow.Idle}
	w, err := trace.NewWriter(&buf, trace.Header{Facts: map[string]string{"version": "test"}, Policy: p, Start: s})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Second
	step := func(in flow.Input) {
		var fx []flow.Effect
		s, fx = p.Step(s, at, in)
		if err := w.Step(at, in, s, fx); err != nil {
			t.Fatal(err)
		}
		at += 66_666_667
	}
	step(flow.Launched{Session: "S1", Locale: kiosk.English, Theme: kiosk.Light})
	step(flow.Tapped{Session: "S1", Control: kiosk.Agree})
	step(flow.Tapped{Session: "S1", Control: kiosk.Ready})
	for i := range 120 {
		half := 60 + min(i, 58)
		if s.Phase == flow.Near {
			half = 185
		}
		step(flow.Saw{Assessment: kiosk.Assessment{
			Frame: kiosk.FrameID(i + 1), At: at, Size: image.Pt(1280, 720), Luma: 101.3, Faces: 1,
			Face: image.Rect(640-half, 360-half, 640+half, 360+half), IED: 0.9 * float32(half), EyesOpen: 0.0712,
			FaceLuma: 117.77, Background: 93.1, Sharpness: 211 + float32(i%9)/3, Live: 0.91 + float32(i%7)/100, LiveUsable: true,
			Quality: kiosk.Quality{Unified: 81 + float32(i%9)/3, EyesOpen: kiosk.Component{Raw: 0.0712, Q: 99}},
		}})
	}
	step(flow.Faulted{Fault: kiosk.ClockFault})
	step(flow.Stored{Record: "S1-1"})
	step(flow.Answered{Record: "S1-1", Action: kiosk.ExitSuccess})
	at += time.Minute
	step(flow.Tick{})
	return buf.Bytes()
}

func TestASessionReproduces(t *testing.T) {
	sum, err := trace.Replay(bytes.NewReader(session(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Mismatches) != 0 || !sum.Whole || sum.Inputs != 127 {
		t.Errorf("replay: %d inputs, whole %v, mismatches %v", sum.Inputs, sum.Whole, sum.Mismatches)
	}
	want := []flow.Phase{flow.Consent, flow.Tips, flow.Far, flow.Near, flow.Saving, flow.Waiting, flow.Outcome, flow.Idle}
	if got := sum.Phases; !equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
}

func equal(a, b []flow.Phase) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestRecordedSessions replays real sessions of the daemon, recorded on amd64,
// one of them in each format before this one. The same files are replayed by the
// arm64 build.
func TestRecordedSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded sessions: %v", err)
	}
	formats := map[int]bool{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := trace.Replay(f)
		f.Close()
		if err != nil || len(sum.Mismatches) > 0 || !sum.Whole {
			t.Errorf("%s: whole %v, mismatches %v, %v", name, sum.Whole, sum.Mismatches, err)
		}
		formats[sum.Header.Format] = true
	}
	for n := 1; n <= trace.Format; n++ {
		if !formats[n] {
			t.Errorf("formats %v: none of %d", formats, n)
		}
	}
}

func TestAnAlteredTraceIsCaught(t *testing.T) {
	whole := string(session(t))
	for _, tt := range []struct {
		name, old, new string
	}{
		{"another effect", `"hold":{"pose":"far"`, `"hold":{"pose":"near"`},
		{"another phase", `"phase":"near"`, `"phase":"far"`},
		{"another hint", `"hint":"face_too_far"`, `"hint":"no_face"`},
		{"another input", `"live":0.91,`, `"live":0.01,`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			altered := strings.Replace(whole, tt.old, tt.new, 40)
			if altered == whole {
				t.Fatalf("the trace has no %s", tt.old)
			}
			sum, err := trace.Replay(strings.NewReader(altered))
			if err != nil || len(sum.Mismatches) == 0 {
				t.Errorf("mismatches %v, %v", sum.Mismatches, err)
			}
		})
	}
}

func TestWhatIsNoTraceIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "hello\n", "another format": `{"trace":99}` + "\n",
		"an image": "\xff\xd8\xff\xe0",
	} {
		if _, err := trace.Replay(strings.NewReader(text)); !errors.Is(err, trace.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	whole := string(session(t))
	head, _, _ := strings.Cut(whole, "\n")
	for name, line := range map[string]string{
		"unknown input": `{"at":1,"in":"sneezed","input":{}}`, "unknown field": `{"at":1,"in":"tick","input":{"who":"me"}}`,
		"torn line": `{"at":1,"in":`,
	} {
		if _, err := trace.Replay(strings.NewReader(head + "\n" + line + "\n")); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"trace":1}` + "\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = trace.Replay(bytes.NewReader(b)) // must not panic
	})
}
