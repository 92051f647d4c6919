package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/commission"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/guidance"
	"livekiosk/kiosk/trace"
)

// patience is how long a step may take on a slow machine.
const patience = 5 * time.Minute

// A paced camera shows a clip, five frames for each of its seconds, each once
// the one before was looked at: however slow the machine is, what is seen is the
// same.
type paced struct {
	clip *replay.Source
	from time.Duration  // of the clip: where each stream begins
	at   time.Duration  // since boot: rises over all streams
	made map[int][]byte // JPEG images by their number in a stream
	size image.Point
}

func (p *paced) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	for n := 0; ctx.Err() == nil; n++ {
		if p.made[n] == nil {
			img := p.clip.Compose(p.from + time.Duration(n)*200*time.Millisecond)
			data, err := jpeg.NewEncoder().Encode(nil, img, 85)
			if err != nil {
				return err
			}
			p.made[n], p.size = data, img.Rect.Size()
		}
		p.at += 200 * time.Millisecond
		looked := make(chan struct{})
		put(kiosk.NewFrame(kiosk.Frame{
			ID: kiosk.FrameID(n + 1), At: p.at, Sequence: uint32(n), Format: kiosk.MJPEG, Size: p.size, Data: bytes.Clone(p.made[n]),
		}, func() { close(looked) }))
		select {
		case <-looked:
		case <-ctx.Done():
		}
	}
	return nil
}

// startPaced is start with a paced camera in place of the clip.
func (l *lab) startPaced(clip string, from time.Duration, more ...string) *daemonUnderTest {
	l.t.Helper()
	c, _, err := configure(l.args(append(more, "-camera", "clip:"+clip)...), io.Discard)
	if err != nil {
		l.t.Fatal(err)
	}
	src, err := replay.Open(replay.Options{Clip: clip})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	under := &daemonUnderTest{t: l.t, client: api.NewClient(l.socket), socket: l.socket, log: &lockedBuffer{}}
	d, err := wire(ctx, c, slog.New(slog.NewJSONHandler(under.log, nil)))
	if err != nil {
		l.t.Fatal(err)
	}
	d.source.clip = &paced{clip: src, from: from, at: time.Minute, made: map[int][]byte{}}
	g, running := errgroup.WithContext(ctx)
	for _, p := range d.parts() {
		g.Go(func() error { return p.run(running) })
	}
	under.stop = sync.OnceValue(func() int {
		cancel()
		if err := g.Wait(); err != nil {
			l.t.Error(err)
		}
		d.close(context.WithoutCancel(ctx))
		return exitOK
	})
	l.t.Cleanup(func() { under.stop() })
	return under
}

// commission does one step, once the camera's trial at the start is over.
func (d *daemonUnderTest) commission(ctx context.Context, task kiosk.Task, told func(kiosk.Reading) error) (kiosk.Reading, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := d.client.Commission(ctx, task, told)
		if no, is := errors.AsType[*api.RefusalError](err); !is || no.HTTP != http.StatusConflict {
			return r, err
		}
		<-tick.C
	}
}

// TestTheClipIsCommissioned has the visitor of the clip stand for an installer,
// with the real networks and screens: each step is passed, a launch meanwhile is
// refused, and the next session, also of the next run, is judged by what was
// found out.
func TestTheClipIsCommissioned(t *testing.T) {
	l := newLab(t)
	// They step to the middle, and hold there from 6 s on.
	d := l.startPaced(replay.Portrait, 5400*time.Millisecond, "-config", l.file("c.toml", "[display]\nscript = [\"decline\", \"done\"]\nscript_delay = \"500ms\"\n"))
	d.await("the daemon", func(s api.Status) bool { return s.Ready })
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if c, err := d.client.Commissioned(ctx); err != nil || c.InUse || len(c.Steps) != 0 || !strings.Contains(c.Reason, "kioskctl commission") {
		t.Fatalf("%+v, %v before anything was commissioned", c, err)
	}
	refused := false
	for _, step := range kiosk.Steps() {
		lines := 0
		told := func(r kiosk.Reading) error {
			if lines++; refused || r.Step != step {
				return nil
			}
			_, err := d.client.Launch(ctx, kiosk.Launch{CorrelationID: "meanwhile", UserID: "u"})
			no, is := errors.AsType[*api.RefusalError](err)
			if !is || !no.Retriable || !strings.Contains(no.Message, "commissioned") {
				t.Errorf("a launch meanwhile: %v", err)
			}
			if _, err := d.client.Commission(ctx, kiosk.Task{Step: step, Distance: 60, Within: patience}, nil); err == nil || !strings.Contains(err.Error(), "another step") {
				t.Errorf("another step meanwhile: %v", err)
			}
			refused = true
			return nil
		}
		task := kiosk.Task{Step: step, Distance: 60, Height: 150, Within: patience}
		r, err := d.commission(ctx, task, told)
		if err != nil {
			t.Fatalf("%s: %v\n%s", step, err, d.log.String())
		}
		want := kiosk.NoNote
		if step == kiosk.LatencyStep { // nobody holds a mirror
			want = kiosk.UnseenNote
		} else if lines == 0 {
			t.Errorf("%s: nothing was told meanwhile", step)
		}
		if !r.Ended || !r.Passed || r.Note != want {
			t.Errorf("%s: %+v", step, r)
		}
		t.Logf("%s: %v", step, r.Figures)
	}
	if !refused {
		t.Error("no launch was tried meanwhile")
	}
	c, err := d.client.Commissioned(ctx)
	if err != nil || !c.InUse || len(c.Steps) != len(kiosk.Steps()) || c.Camera != "clip:portrait" || c.File != filepath.Join(l.state, "profile.json") {
		t.Fatalf("%+v, %v", c, err)
	}
	b, err := os.ReadFile(c.File)
	if err != nil {
		t.Fatal(err)
	}
	p, err := commission.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Apply(guidance.Standard())
	if err != nil || want.Detail == 0 || want.Far == guidance.Standard().Far {
		t.Fatalf("%+v, %v", want, err)
	}
	id, err := d.client.Launch(ctx, kiosk.Launch{CorrelationID: "next", UserID: "u", Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.client.Session(ctx, id, func(kiosk.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	d.stop() // the trace is whole then
	f, err := os.Open(filepath.Join(l.state, "traces", string(id)+".trace"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum, err := trace.Replay(f)
	if err != nil || sum.Header.Policy.Guidance != want || sum.Header.Facts["profile"] != p.Written.Format(time.RFC3339) {
		t.Errorf("%v: judged by %+v of %q", err, sum.Header.Policy.Guidance, sum.Header.Facts["profile"])
	}
	d = l.start()
	d.await("the daemon", func(s api.Status) bool { return s.Ready })
	if c, err = d.client.Commissioned(ctx); err != nil || !c.InUse || len(c.Steps) != len(kiosk.Steps()) {
		t.Errorf("after a restart: %+v, %v", c, err)
	}
}

// TestCommissioningGivesWay has an installer meet a visitor, and a caller who has
// left.
func TestCommissioningGivesWay(t *testing.T) {
	l := newLab(t)
	d := l.startPaced(replay.Empty, 0)
	d.await("the daemon", func(s api.Status) bool { return s.Ready })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// Nobody stands there: the step ends the way it stands, and keeps nothing.
	r, err := d.commission(ctx, kiosk.Task{Step: kiosk.FocusStep, Within: 2 * time.Second}, func(kiosk.Reading) error { return nil })
	if err != nil || !r.Ended || r.Passed || r.Note != kiosk.NobodyNote {
		t.Errorf("%+v, %v before an empty room", r, err)
	}
	if _, err := os.Stat(filepath.Join(l.state, "profile.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a profile was kept: %v", err)
	}
	// Whoever asked has left.
	gone, leave := context.WithCancel(ctx)
	if _, err := d.commission(gone, kiosk.Task{Step: kiosk.LensStep, Within: patience}, func(kiosk.Reading) error { leave(); return nil }); err == nil {
		t.Error("a step that was given up ended by itself")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for launched := false; !launched; <-tick.C {
		_, err := d.client.Launch(ctx, kiosk.Launch{CorrelationID: "next", UserID: "u"})
		no, is := errors.AsType[*api.RefusalError](err)
		switch {
		case err == nil:
			launched = true
		case !is || !no.Retriable:
			t.Fatal(err)
		}
	}
	_, err = d.client.Commission(ctx, kiosk.Task{Step: kiosk.FocusStep, Within: 3 * time.Second}, func(kiosk.Reading) error { return nil })
	if no, is := errors.AsType[*api.RefusalError](err); !is || no.HTTP != http.StatusConflict || !no.Retriable {
		t.Errorf("while a session is in progress: %v", err)
	}
}

// TestAProfileThatIsNotThisCamerasIsNotUsed starts on files that are of no use.
func TestAProfileThatIsNotThisCamerasIsNotUsed(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	lens := kiosk.Reading{Step: kiosk.LensStep, Figures: map[string]float64{"detail": 2}}
	good, err := commission.Profile{}.With("clip:portrait", "v", at, lens).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, camera, says string
		used                     bool
	}{
		{"this camera's", string(good), "clip:portrait", "profile in use", true},
		{"another camera's", string(good), "clip:empty", "of another camera (clip:portrait)", false},
		{"of another version", strings.Replace(string(good), `"format": 1`, `"format": 9`, 1), "clip:portrait", "it has 9, this version reads 1", false},
		{"torn", string(good[:len(good)/2]), "clip:portrait", "no profile that can be read", false},
		{"of a real camera that has not streamed yet", string(good), "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "profile.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			log := &lockedBuffer{}
			o := openProfile(path, defaults().policy(), c.camera, slog.New(slog.NewJSONHandler(log, nil)))
			o.say(t.Context())
			p, fact := o.current()
			if used := p.Guidance.Detail == 2; used != c.used || used != (fact == at.Format(time.RFC3339)) || used != o.status().InUse {
				t.Errorf("detail %g by %q, status %+v", p.Guidance.Detail, fact, o.status())
			}
			if !strings.Contains(log.String(), c.says) || c.says == "" && log.String() != "" {
				t.Errorf("log %q, want %q", log.String(), c.says)
			}
			if warned := strings.Contains(log.String(), `"WARN"`); warned != (c.says != "" && !c.used) {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

// TestAProfileFollowsTheCamera exchanges cameras under a profile.
func TestAProfileFollowsTheCamera(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "profile.json")
	o := openProfile(path, defaults().policy(), "", slog.New(slog.NewJSONHandler(&lockedBuffer{}, nil)))
	var facts []string
	o.adopt = func(_ context.Context, p flow.Policy, fact string) {
		if (p.Guidance.Detail == 2) != (fact != "") {
			t.Errorf("detail %g with the fact %q", p.Guidance.Detail, fact)
		}
		facts = append(facts, fact)
	}
	o.seen(t.Context(), "one")
	if err := o.keep(t.Context(), kiosk.Reading{Step: kiosk.LensStep, Figures: map[string]float64{"detail": 2}}); err != nil {
		t.Fatal(err)
	}
	o.seen(t.Context(), "one")
	o.seen(t.Context(), "another")
	o.seen(t.Context(), "one")
	if len(facts) != 4 || facts[0] != "" || facts[1] == "" || facts[2] != "" || facts[3] != facts[1] {
		t.Errorf("facts %q", facts)
	}
	again := openProfile(path, defaults().policy(), "one", slog.New(slog.NewJSONHandler(&lockedBuffer{}, nil)))
	if s := again.status(); !s.InUse || len(s.Steps) != 1 {
		t.Errorf("after a restart: %+v", s)
	}
	// A file that cannot be written is no profile of what was measured.
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), ".profile.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.keep(t.Context(), kiosk.Reading{Step: kiosk.FocusStep, Figures: map[string]float64{"pitch": -3}}); err == nil || len(o.status().Steps) != 1 {
		t.Errorf("keep() = %v, and then %+v", err, o.status())
	}
}
