package sound_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui/sound"
)

// A speaker takes a second for every clip, and keeps what was heard.
type speaker struct {
	mu    sync.Mutex
	heard [][]byte // begun
	whole int      // and heard to the end
	err   error
}

func (s *speaker) Play(ctx context.Context, wav []byte) error {
	s.mu.Lock()
	s.heard = append(s.heard, wav)
	s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		s.mu.Lock()
		s.whole++
		s.mu.Unlock()
		return nil
	}
}

// run has a voice say what do shows it, in virtual time.
func run(t *testing.T, dir string, s *speaker, do func(v *sound.Voice, wait func(time.Duration))) (logged string) {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		v := sound.New(sound.Options{Dir: dir, Sink: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		do(v, func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return log.String()
}

func hint(h kiosk.Hint) kiosk.View {
	return kiosk.View{Session: "s", Screen: kiosk.GuidingScreen, Locale: kiosk.English, Hint: h}
}

// clips writes a clip for each name, and returns the folder.
func clips(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name+".wav")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		clip := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), make([]byte, 40)...)
		if err := os.WriteFile(path, append(clip, name...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// names of the clips that were heard.
func (s *speaker) names() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.heard {
		name := "tone"
		if len(b) > 56 && len(b) < 200 {
			name = string(b[56:])
		}
		all = append(all, name)
	}
	return all
}

func TestEveryHintHasAClipOrATone(t *testing.T) {
	dir := clips(t, "en/no_face", "en/granted", "id/no_face", "id/mask")
	s := &speaker{}
	run(t, dir, s, func(v *sound.Voice, wait func(time.Duration)) {
		show := func(view kiosk.View) {
			v.Show(view)
			wait(2 * time.Second)
		}
		show(hint(kiosk.NoFace))
		show(hint(kiosk.NoFace)) // nothing new
		show(hint(kiosk.MoveLeft))
		indonesian := hint(kiosk.NoFace)
		indonesian.Locale = kiosk.Indonesian
		show(indonesian)
		show(kiosk.View{Session: "s", Screen: kiosk.AgainScreen, Locale: kiosk.Indonesian, Why: kiosk.Mask})
		show(kiosk.View{Session: "s", Screen: kiosk.GrantedScreen, Locale: kiosk.English})
		show(kiosk.View{Screen: kiosk.IdleScreen, Locale: kiosk.English})
	})
	if want := []string{"en/no_face", "tone", "id/no_face", "id/mask", "en/granted"}; !slices.Equal(s.names(), want) {
		t.Errorf("heard %q, want %q", s.names(), want)
	}
}

func TestAHintWaitsAndAScreenDoesNot(t *testing.T) {
	dir := clips(t, "en/no_face", "en/move_left", "en/move_right", "en/staff")
	s := &speaker{}
	run(t, dir, s, func(v *sound.Voice, wait func(time.Duration)) {
		v.Show(hint(kiosk.NoFace))
		wait(100 * time.Millisecond)
		v.Show(hint(kiosk.MoveLeft)) // overtaken before it could be said
		v.Show(hint(kiosk.MoveRight))
		wait(100 * time.Millisecond)
		if want := []string{"en/no_face"}; !slices.Equal(s.names(), want) {
			t.Errorf("heard %q while the first hint is said", s.names())
		}
		wait(time.Second) // in the middle of the second
		v.Show(kiosk.View{Session: "s", Screen: kiosk.StaffScreen, Locale: kiosk.English})
		wait(10 * time.Millisecond)
		if want := []string{"en/no_face", "en/move_right", "en/staff"}; !slices.Equal(s.names(), want) {
			t.Errorf("heard %q, want %q", s.names(), want)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.whole != 1 {
			t.Errorf("%d clips were heard to their end, want the first only", s.whole)
		}
	})
}

func TestTheNextVisitorDoesNotHearTheLastOnesNews(t *testing.T) {
	dir := clips(t, "en/refused", "en/no_face")
	s := &speaker{}
	run(t, dir, s, func(v *sound.Voice, wait func(time.Duration)) {
		v.Show(hint(kiosk.NoFace))
		wait(100 * time.Millisecond)
		v.Show(kiosk.View{Session: "s", Screen: kiosk.RefusedScreen, Locale: kiosk.English})
		v.Show(kiosk.View{Screen: kiosk.IdleScreen})
		wait(5 * time.Second)
	})
	if want := []string{"en/no_face"}; !slices.Equal(s.names(), want) {
		t.Errorf("heard %q, want %q", s.names(), want)
	}
}

func TestAKioskWithoutSoundGoesOnInSilence(t *testing.T) {
	s := &speaker{err: errors.New("no soundcards found")}
	log := run(t, "", s, func(v *sound.Voice, wait func(time.Duration)) {
		for _, h := range []kiosk.Hint{kiosk.NoFace, kiosk.MoveLeft, kiosk.MoveRight, kiosk.GoodHold} {
			v.Show(hint(h))
			wait(time.Second)
		}
	})
	if len(s.heard) != 4 || strings.Count(log, "\n") != 1 || !strings.Contains(log, "no soundcards found") {
		t.Errorf("%d tries, log:\n%s", len(s.heard), log)
	}
}

func TestABrokenClipIsATone(t *testing.T) {
	dir := clips(t, "en/mask")
	for name, b := range map[string][]byte{"no_face": []byte("RIFF and nothing else"), "too_dark": append([]byte("RIFF\x00\x00\x00\x00WAVE"), make([]byte, 5<<20)...)} {
		if err := os.WriteFile(filepath.Join(dir, "en", name+".wav"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &speaker{}
	log := run(t, dir, s, func(v *sound.Voice, wait func(time.Duration)) {
		for _, h := range []kiosk.Hint{kiosk.NoFace, kiosk.Mask, kiosk.NoFace, kiosk.TooDark} {
			v.Show(hint(h))
			wait(2 * time.Second)
		}
	})
	if want := []string{"tone", "en/mask", "tone", "tone"}; !slices.Equal(s.names(), want) || strings.Count(log, "\n") != 2 {
		t.Errorf("heard %q, want %q; log:\n%s", s.names(), want, log)
	}
}

// Each tone is a WAV file that neither clips nor clicks, and no two are alike.
func TestTonesAreSound(t *testing.T) {
	s := &speaker{}
	run(t, "", s, func(v *sound.Voice, wait func(time.Duration)) {
		for _, view := range []kiosk.View{
			hint(kiosk.NoFace), hint(kiosk.GoodHold), {Session: "s", Screen: kiosk.GrantedScreen}, {Session: "s", Screen: kiosk.RefusedScreen},
		} {
			v.Show(view)
			wait(2 * time.Second)
		}
	})
	if len(s.heard) != 4 {
		t.Fatalf("%d tones", len(s.heard))
	}
	for i, wav := range s.heard {
		for _, other := range s.heard[:i] {
			if bytes.Equal(wav, other) {
				t.Errorf("tone %d is like another", i)
			}
		}
		if string(wav[:4]) != "RIFF" || string(wav[8:16]) != "WAVEfmt " || int(binary.LittleEndian.Uint32(wav[4:])) != len(wav)-8 ||
			int(binary.LittleEndian.Uint32(wav[40:])) != len(wav)-44 {
			t.Errorf("tone %d: header % x", i, wav[:44])
		}
		rate := binary.LittleEndian.Uint32(wav[24:])
		if d := time.Duration(len(wav)-44) / 2 * time.Second / time.Duration(rate); d < 100*time.Millisecond || d > 600*time.Millisecond {
			t.Errorf("tone %d lasts %v", i, d)
		}
		var peak, last, jump int
		for at := 44; at < len(wav); at += 2 {
			v := int(int16(binary.LittleEndian.Uint16(wav[at:])))
			peak = max(peak, v, -v)
			jump = max(jump, v-last, last-v)
			last = v
		}
		if peak < 8000 || peak > 16000 || jump > 5000 || last > 800 || last < -800 {
			t.Errorf("tone %d: peak %d, jump %d, ends at %d", i, peak, jump, last)
		}
	}
}

// The player is a program of this test's: it keeps what it was given.
func TestALSAIsGivenTheWholeClip(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" > '" + dir + "/args'\ncat > '" + dir + "/heard'\n[ \"$2\" = broken ] && { echo no soundcards found... >&2; exit 1; }\nexit 0\n"
	if err := os.WriteFile(filepath.Join(dir, "aplay"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	clip := bytes.Repeat([]byte("RIFF"), 50000)
	if err := (sound.ALSA{Device: "hw:1"}).Play(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	heard, err := os.ReadFile(filepath.Join(dir, "heard"))
	if err != nil || !bytes.Equal(heard, clip) {
		t.Errorf("was given %d bytes, %v", len(heard), err)
	}
	if args, _ := os.ReadFile(filepath.Join(dir, "args")); string(args) != "-D hw:1 -q -\n" {
		t.Errorf("called with %q", args)
	}
	if err := (sound.ALSA{Device: "broken"}).Play(t.Context(), clip); err == nil || !strings.Contains(err.Error(), "no soundcards found") {
		t.Errorf("a player that fails: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := (sound.ALSA{}).Play(t.Context(), clip); err == nil {
		t.Error("without a player nothing is wrong")
	}
}
