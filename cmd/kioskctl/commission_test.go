package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/commission"
)

// A site is where a kiosk is commissioned.
type site struct {
	has   []kiosk.Step // that were passed before
	stale bool         // of another camera
	fails kiosk.Step   // with the note
	note  kiosk.Note
	busy  bool
	stay  func() // called while a step runs; nil: it goes on

	done []kiosk.Task
}

func (s *site) Commissioned() kiosk.Commissioned {
	out := kiosk.Commissioned{File: "/state/profile.json", Reason: "the kiosk was not commissioned", Steps: []kiosk.Reading{}}
	for _, step := range s.has {
		out.InUse, out.Reason, out.Camera = !s.stale, "it is of this camera", "driver=x bus=\x1b[2J"
		r := kiosk.Reading{Step: step, Figures: map[string]float64{"b": 2, "a": 0.33333}, Ended: true, Passed: true}
		if step == kiosk.LatencyStep {
			r.Note = kiosk.UnseenNote
		}
		out.Steps = append(out.Steps, r)
	}
	return out
}

func (s *site) Commission(ctx context.Context, t kiosk.Task, each func(kiosk.Reading)) (kiosk.Reading, error) {
	if s.busy {
		return kiosk.Reading{}, kiosk.ErrOccupied
	}
	if t.Distance == 5 {
		return kiosk.Reading{}, fmt.Errorf("%w: 5 is too near", api.ErrTask)
	}
	s.done = append(s.done, t)
	for _, note := range []kiosk.Note{kiosk.NobodyNote, kiosk.NobodyNote, kiosk.NoNote} {
		each(kiosk.Reading{Step: t.Step, Note: note, Figures: map[string]float64{}})
	}
	if s.stay != nil {
		s.stay()
		<-ctx.Done()
		return kiosk.Reading{}, context.Cause(ctx)
	}
	r := kiosk.Reading{Step: t.Step, Ended: true, Passed: t.Step != s.fails, Figures: map[string]float64{"detail": 1.23456}}
	if !r.Passed {
		r.Note = s.note
		r.Figures = map[string]float64{"try_cm": 38}
	}
	return r, nil
}

func (s *site) steps() (all []kiosk.Step) {
	for _, t := range s.done {
		all = append(all, t.Step)
	}
	return all
}

func TestCommission(t *testing.T) {
	const consent = " --i-have-their-consent"
	for name, tt := range map[string]struct {
		args  string
		in    string
		site  site
		code  int
		out   string // what it begins with
		err   string // the end of it
		steps string
	}{
		"one step": {
			args: "--step lens --locale en" + consent, steps: "[lens]",
			out: "lens        Wipe the lens, then stand on the mark again.\n            No face is in sight of the camera\n            passed\n            detail 1.235\n",
		},
		"in Indonesian": {
			args: "--step lens" + consent, steps: "[lens]",
			out: "lens        Bersihkan lensa, lalu berdiri kembali pada tanda.\n            Tidak ada wajah yang terlihat kamera\n            passed\n",
		},
		"for machines": {
			args: "--step lens --json" + consent, steps: "[lens]",
			out: `{"step":"lens","note":"nobody","progress":0,"figures":{},"ended":false,"passed":false}` + "\n",
		},
		"all": {args: "--distance 60" + consent, steps: "[focus exposure distance background lens latency]", out: "focus       "},
		"what is missing": {
			args: "--missing --distance 60" + consent, site: site{has: []kiosk.Step{kiosk.FocusStep, kiosk.LensStep}},
			steps: "[exposure distance background latency]", out: "exposure    ",
		},
		"what is missing of another camera's": {
			args: "--missing --distance 60" + consent, site: site{has: []kiosk.Step{kiosk.FocusStep}, stale: true},
			steps: "[focus exposure distance background lens latency]", out: "focus       ",
		},
		"nothing is missing": {args: "--missing", site: site{has: kiosk.Steps()}, steps: "[]", out: "every step was passed: see kioskctl commission show\n"},
		"one that is not passed": {
			args: "--distance 60 --locale en" + consent, site: site{fails: kiosk.DistanceStep, note: kiosk.TooFarNote}, code: 1,
			steps: "[focus exposure distance]", out: "focus       ",
			err: "kioskctl: commission: the step distance was not passed: mend that, and go on with kioskctl commission --missing\n",
		},
		"with a yes":               {args: "--step focus", in: "yes\n", steps: "[focus]", out: "focus       ", err: "Type yes: "},
		"with a no":                {args: "--step focus", in: "no\n", code: 64, steps: "[]", err: "kioskctl: commission: nobody has agreed, so nothing was measured\n"},
		"in a session":             {args: "--step focus" + consent, site: site{busy: true}, code: 75, steps: "[]", out: "focus       ", err: "kioskctl: commission: the kiosk needs the camera itself: try once the visitor has left\n"},
		"a mark on the lens":       {args: "--step distance --distance 5" + consent, code: 64, steps: "[]", out: "distance    ", err: "a task that cannot be done: 5 is too near\n"},
		"no mark":                  {args: consent, code: 64, steps: "[]", err: "--distance is missing: measure from the camera to your eyes at the mark on the floor, in cm\n"},
		"a step that is none":      {args: "--step polish", code: 64, steps: "[]", err: "there is no step \"polish\": focus exposure distance background lens latency\n"},
		"one step and the rest":    {args: "--step lens --missing", code: 64, steps: "[]", err: "--step and --missing do not go together\n"},
		"a word that there is not": {args: "dance", code: 64, steps: "[]", err: "\"dance\" is one argument too many\n"},
		"what was found out": {
			args: "show", site: site{has: []kiosk.Step{kiosk.FocusStep, kiosk.LatencyStep}}, steps: "[]",
			out: "in use: it is of this camera\nfile        /state/profile.json\ncamera      driver=x bus=?[2J\nfocus       a 0.3333, b 2\nexposure    not passed yet\n" +
				"distance    not passed yet\nbackground  not passed yet\nlens        not passed yet\nlatency     The camera does not see the screen's light; a 0.3333, b 2\n",
		},
		"nothing was found out": {args: "show", steps: "[]", out: "not in use: the kiosk was not commissioned\nfile        /state/profile.json\nfocus       not passed yet\n"},
		"what was found out, for machines": {
			args: "show --json", steps: "[]", out: `{"file":"/state/profile.json","inUse":false,"reason":"the kiosk was not commissioned","camera":"","steps":[]}` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			k := &fakeKiosk{site: tt.site}
			serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, tt.in, append([]string{"--socket", path, "commission"}, strings.Fields(tt.args)...)...)
			if code != tt.code || !strings.HasPrefix(out, tt.out) || tt.out == "" && out != "" || !strings.HasSuffix(errs, tt.err) || tt.err == "" && errs != "" {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if got := fmt.Sprint(k.site.steps()); got != tt.steps {
				t.Errorf("steps %s, want %s", got, tt.steps)
			}
			if tt.site.note == kiosk.TooFarNote && !strings.Contains(out, "NOT PASSED: The mark is too far away for this camera; put the mark 38 cm from the camera\n") {
				t.Errorf("it does not say what to do:\n%s", out)
			}
		})
	}
}

// TestAReplayIsJudgedByAnotherKiosksProfile has the mark so near that the visitor
// of the recorded session never comes close enough.
func TestAReplayIsJudgedByAnotherKiosksProfile(t *testing.T) {
	b, err := commission.Profile{}.With("c", "v", time.Time{}, kiosk.Reading{
		Step: kiosk.DistanceStep, Figures: map[string]float64{"far_min": 0.55, "far_max": 0.7, "near_min": 0.72, "near_max": 0.9},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := kioskctl(t.Context(), nil, "", "replay", "../../kiosk/trace/testdata/portrait.trace", "--profile", path)
	if code != 0 || errs != "" || !strings.Contains(out, "guidance.far.min") || !strings.Contains(out, "face_too_far") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
}

func TestTheTaskIsTheInstallers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	k := &fakeKiosk{}
	serve(t, k, path)
	code, _, errs := kioskctl(t.Context(), nil, "", "--socket", path, "commission", "--i-have-their-consent",
		"--distance", "60", "--height", "150", "--delay", "5s", "--within", "90s", "--locale", "en")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, got := range k.site.done {
		want := kiosk.Task{Step: got.Step, Height: 150, Delay: 5 * time.Second, Within: 90 * time.Second, Locale: kiosk.English}
		if got.Step == kiosk.DistanceStep {
			want.Distance = 60
		}
		if got != want {
			t.Errorf("task %+v, want %+v", got, want)
		}
	}
}

func TestAnInterruptEndsAStep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "s")
	k := &fakeKiosk{site: site{stay: cancel}}
	stop := serve(t, k, path)
	code, _, errs := kioskctl(ctx, nil, "", "--socket", path, "commission", "--step", "focus", "--i-have-their-consent")
	if code != 75 || !strings.Contains(errs, "interrupted: what was passed is kept") {
		t.Errorf("exit %d: %s", code, errs)
	}
	stop() // only once the step has ended
}
