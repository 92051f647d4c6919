package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// A pane is the panel of a fakeKiosk.
type pane struct {
	lines   []kiosk.Line
	latched bool
	refusal error
	by      string
	forced  []string
}

func (p *pane) All() ([]kiosk.Line, error) { return p.lines, nil }

func (p *pane) Force(_ context.Context, role kiosk.Role, on bool, during time.Duration) error {
	if p.refusal != nil {
		return p.refusal
	}
	p.forced = append(p.forced, fmt.Sprintf("%s %v %v", role, on, during))
	return nil
}

func (p *pane) ClearTamper(_ context.Context, by string) error {
	if !p.latched {
		return kiosk.ErrNotLatched
	}
	if p.refusal == nil {
		p.latched, p.by = false, by
	}
	return p.refusal
}

func TestThePanel(t *testing.T) {
	dir := t.TempDir()
	lines := []kiosk.Line{
		{Role: kiosk.RingLine, Name: "GPIO17", Chip: "gpiochip0", Offset: 17, Direction: kiosk.LineOut, State: kiosk.LineOwned, Holder: "kioskd", On: new(true)},
		{Name: "", Chip: "gpiochip0", Offset: 18, Direction: kiosk.LineIn},
		{Role: kiosk.HelpLine, Name: "GPIO19", Chip: "gpiochip0", Offset: 19, Direction: kiosk.LineIn, State: kiosk.LineHeld, Holder: "other"},
		{Role: kiosk.TamperLine, Name: "CASE", Direction: kiosk.LineIn, State: kiosk.LineMissing},
	}
	for i, tt := range []struct {
		name  string
		panel pane
		args  string
		code  int
		out   string
		err   string
		does  string // what the panel was told
	}{
		{
			name: "lines", panel: pane{lines: lines}, args: "list",
			out: "LINE    CHIP          DIRECTION  USED BY  ROLE    NOW\n" +
				"GPIO17  gpiochip0 17  out        kioskd   ring    on\n" +
				"-       gpiochip0 18  in         -        -       -\n" +
				"GPIO19  gpiochip0 19  in         other    help    used by somebody else\n" +
				"CASE    -             in         -        tamper  not there\n",
		},
		{
			name: "a line whose user names a command for the terminal", panel: pane{lines: []kiosk.Line{{Name: "A", Chip: "gpiochip0", Direction: kiosk.LineOut, Holder: "\x1b[2Jx"}}},
			args: "list", out: "LINE  CHIP         DIRECTION  USED BY  ROLE  NOW\nA     gpiochip0 0  out        ?[2Jx    -     -\n",
		},
		{name: "lines, for machines", panel: pane{lines: lines[1:2]}, args: "list --json", out: `{"name":"","chip":"gpiochip0","offset":18,"direction":"in"}` + "\n"},
		{name: "no lines", args: "", out: "this machine has no GPIO line that the daemon can see, and none is configured\n"},
		{name: "a line is set", args: "set door on --for 2s", out: "door: on for 2s\n", does: "[door true 2s]"},
		{name: "a line is cleared", args: "set ring off --for 500ms --json", out: `{"milliseconds":500,"on":false,"role":"ring"}` + "\n", does: "[ring false 500ms]"},
		{name: "a line is set for no time", args: "set door on", code: 64, err: "kioskctl: panel: --for: give a time within 100ms..1m0s\n"},
		{name: "a line is set for ever", args: "set door on --for 2h", code: 64, err: "kioskctl: panel: --for: give a time within 100ms..1m0s\n"},
		{name: "a line is set to what it cannot be", args: "set door ajar --for 2s", code: 64, err: "kioskctl: panel: \"ajar\" is neither on nor off\n"},
		{name: "a line is set to nothing", args: "set door --for 2s", code: 64, err: "kioskctl: panel: on or off is missing\n"},
		{name: "a time for a list", args: "list --for 2s", code: 64, err: "kioskctl: panel: --for goes with set: see kioskctl help panel\n"},
		{name: "what there is not", args: "open", code: 64, err: "kioskctl: panel: there is no \"open\": list, watch, set or clear-tamper: see kioskctl help panel\n"},
		{
			name: "a line that is no output", panel: pane{refusal: kiosk.ErrNoLine}, args: "set help on --for 2s", code: 65,
			err: "kioskctl: panel: help: no such output is configured: see kioskctl panel\n",
		},
		{
			name: "a line that is not there", panel: pane{refusal: kiosk.ErrLineAway}, args: "set ring on --for 2s", code: 75,
			err: "kioskctl: panel: ring: the line is not there, or somebody else uses it: see kioskctl panel\n",
		},
		{
			name: "a line while a session runs", panel: pane{refusal: kiosk.ErrOccupied}, args: "set ring on --for 2s", code: 75,
			err: "kioskctl: panel: ring: a session is in progress: wait until the visitor has left\n",
		},
		{name: "a case that was opened", panel: pane{latched: true}, args: "clear-tamper", out: "cleared: the kiosk is in service unless kioskctl status tells of another fault\n"},
		{name: "a case that is open", panel: pane{latched: true, refusal: kiosk.ErrCaseOpen}, args: "clear-tamper", code: 75, err: "kioskctl: panel: the case is open: close it first\n"},
		{name: "a case that never was", args: "clear-tamper", code: 65, err: "kioskctl: panel: no tampering is latched\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, path := &fakeKiosk{pane: tt.panel}, filepath.Join(dir, strconv.Itoa(i))
			stop := serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", path, "panel"}, strings.Fields(tt.args)...)...)
			stop()
			if code != tt.code || out != tt.out || errs != tt.err {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if tt.does == "" {
				tt.does = "[]"
			}
			if got := fmt.Sprint(k.pane.forced); got != tt.does {
				t.Errorf("the panel was told %s, want %s", got, tt.does)
			}
			if want := fmt.Sprintf("uid %d", os.Getuid()); tt.panel.latched && tt.code == 0 && k.pane.by != want {
				t.Errorf("cleared by %q, want %q", k.pane.by, want)
			}
		})
	}
}

// A tap calls each for every line that is written to it.
type tap struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	each func(line string)
}

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	for {
		line, err := w.buf.ReadString('\n')
		if err != nil {
			w.buf.WriteString(line)
			return len(p), nil
		}
		w.each(line)
	}
}

// TestThePanelIsWatched changes lines before and while somebody watches, and
// interrupts them.
func TestThePanelIsWatched(t *testing.T) {
	k, path := &fakeKiosk{}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.Local)
	k.log.Publish(kiosk.Event{Kind: kiosk.EventPanel, Text: "ring on", At: at})
	k.log.Publish(kiosk.Event{Kind: kiosk.EventFault, Text: "camera", At: at})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	out := &tap{each: func(line string) {
		got = append(got, line)
		if len(got) == 2 {
			cancel()
		}
	}}
	done := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		done <- run(ctx, []string{"--socket", path, "panel", "watch"}, world{in: strings.NewReader(""), out: out, err: &errs, getenv: func(string) string { return "" }, now: func() time.Time { return now }})
	}()
	// Until it is heard: who watches has no way to say that they have begun.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		k.log.Publish(kiosk.Event{Kind: kiosk.EventHint, Text: "no_face", At: at})
		k.log.Publish(kiosk.Event{Kind: kiosk.EventPanel, Text: "help on", At: at.Add(1500 * time.Millisecond)})
		select {
		case code := <-done:
			if code != 0 || errs.Len() > 0 {
				t.Errorf("exit %d: %s", code, errs.String())
			}
			for _, line := range got {
				if line != "09:00:01.500  help     on\n" {
					t.Errorf("printed %q", line)
				}
			}
			return
		case <-tick.C:
		}
	}
}

func statusOf(t *testing.T, text string) (s api.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheStatusTellsOfThePanel(t *testing.T) {
	text := statusText(statusOf(t, `{"panel":[{"role":"ring","name":"A","state":"owned","on":true},{"role":"help","name":"B","state":"held","holder":"other"},
		{"role":"tamper","name":"C","state":"missing"}],"tamper":{"latched":true,"opened":"2026-05-04T00:00:00Z"}}`), now)
	for _, want := range []string{
		"panel    1 of 3 lines\n         help (line B): used by somebody else, \"other\"\n         tamper (line C): not there\n",
		"alarm    the case was opened (" + clock(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC), now) + "): look at the kiosk and close it, then: kioskctl panel clear-tamper\n",
	} {
		if !strings.Contains(text+"\n", want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := statusText(statusOf(t, `{"tamper":{"latched":true}}`), now); !strings.Contains(text, "the case was opened (nobody knows when)") {
		t.Errorf("a latch that was damaged tells\n%s", text)
	}
	if text := statusText(statusOf(t, `{"tamper":{"latched":false,"by":"uid 7"}}`), now); strings.Contains(text, "panel") || strings.Contains(text, "alarm") {
		t.Errorf("a kiosk without a panel tells\n%s", text)
	}
}
