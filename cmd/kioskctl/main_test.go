package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

// A fakeKiosk runs every session to its end at once, or never.
type fakeKiosk struct {
	log *api.Events

	mu       sync.Mutex
	refusal  error         // of launches; nil: none
	end      *kiosk.Result // of sessions; nil: they go on
	faults   []kiosk.Fault
	entries  []kiosk.Entry
	unread   error // of the outbox
	launches []kiosk.Launch
}

func (k *fakeKiosk) Launch(_ context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refusal != nil {
		return "", k.refusal
	}
	k.launches = append(k.launches, l)
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	for _, e := range []kiosk.Event{
		{Kind: kiosk.EventLaunched},
		{Kind: kiosk.EventHint, Text: "face_too_far", At: at.Add(1250 * time.Millisecond)},
		{Kind: kiosk.EventAgain, Text: "2 left", At: at.Add(21 * time.Second)},
	} {
		e.Session = "session-1"
		if e.At.IsZero() {
			e.At = at
		}
		k.log.Publish(e)
	}
	if k.end != nil {
		r := *k.end
		r.Session, r.CorrelationID = "session-1", "c1"
		k.log.Publish(kiosk.Event{Kind: kiosk.EventResult, Session: "session-1", Text: string(r.Status), Result: &r, At: at.Add(25 * time.Second)})
	}
	return "session-1", nil
}

func (k *fakeKiosk) Result(id kiosk.SessionID) (kiosk.Result, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := kiosk.Result{Session: id, CorrelationID: "c1", Status: kiosk.Running}
	if k.end != nil && len(k.launches) > 0 {
		r = *k.end
		r.Session, r.CorrelationID = id, "c1"
	}
	return r, id == "session-1"
}

func (k *fakeKiosk) Entries(context.Context) ([]kiosk.Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.entries, k.unread
}

func (k *fakeKiosk) status() api.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return api.Status{
		Version: "1.2.3", Phase: "out_of_service", Faults: k.faults, Ready: len(k.faults) == 0, UptimeSeconds: 3725.4,
		Camera: api.CameraStatus{Source: "/dev/video0", Frames: 900, Dropped: 3, FramesPerSecond: 29.97},
	}
}

// serve runs k behind the real server on a socket at path.
func serve(t *testing.T, k *fakeKiosk, path string) {
	t.Helper()
	l, err := api.Listen(t.Context(), path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	k.log = api.NewEvents(64)
	s, err := api.New(api.Options{Launcher: k, Queue: k, Log: k.log, Status: k.status, Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// kioskctl runs the command and returns its exit code and what it said.
func kioskctl(ctx context.Context, env map[string]string, in string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	system := env["system"] // no variable, but told in the same way
	if system == "" {
		system = "/nonexistent/system"
	}
	code = run(ctx, args, world{
		in: strings.NewReader(in), out: &stdout, err: &stderr, getenv: func(k string) string { return env[k] }, system: system, now: time.Now,
	})
	return code, stdout.String(), stderr.String()
}

func TestSession(t *testing.T) {
	const launch = "launch --correlation-id c1 --user-id u1"
	dir := t.TempDir()
	for i, tt := range []struct {
		name  string
		kiosk *fakeKiosk // nil: one that is well
		args  string
		code  int
		out   string
		err   string
	}{
		{
			name: "a launch tells the session", args: launch, code: 0,
			out: "session session-1\n",
		},
		{
			name: "a launch for machines", args: launch + " --json", code: 0,
			out: `{"sessionId":"session-1"}` + "\n",
		},
		{
			name: "a session that completes", kiosk: &fakeKiosk{end: &kiosk.Result{Status: kiosk.Completed, SubmissionID: "sub-7"}}, args: launch + " --follow", code: 0,
			out: "session session-1\n" +
				"     0.0 s  launched\n" +
				"     1.2 s  hint       face too far\n" +
				"    21.0 s  try again  2 left\n" +
				"    25.0 s  result     COMPLETED\n" +
				"COMPLETED, submission sub-7\n",
		},
		{
			name:  "a session that is saved for later is nothing to worry about",
			kiosk: &fakeKiosk{end: &kiosk.Result{Status: kiosk.NotCompleted, Detail: kiosk.Saved}}, args: launch + " --follow", code: 0,
			out: "…NOT_COMPLETED: saved for later: the kiosk delivers it by itself, do not capture again\n",
		},
		{
			name:  "a session that fails",
			kiosk: &fakeKiosk{end: &kiosk.Result{Status: kiosk.Errored, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}}, args: launch + " --follow", code: 1,
			out: "…ERROR: the verification failed (VERIFICATION 2212), may be launched again\n",
		},
		{
			name:  "a session that the visitor left, for machines",
			kiosk: &fakeKiosk{end: &kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.UserCancelledError, Detail: kiosk.UserCancelled}}, args: launch + " --follow --json", code: 1,
			out: `…"kind":"result","session":"session-1","text":"NOT_COMPLETED","result":{"sessionId":"session-1","correlationId":"c1","status":"NOT_COMPLETED",` +
				`"extra":{"errorCode":"USER_CANCELLED","detailedErrorCode":2207,"errorMessage":"the visitor left the session"},"retriable":true}}` + "\n" +
				`{"sessionId":"session-1","correlationId":"c1","status":"NOT_COMPLETED","extra":{"errorCode":"USER_CANCELLED","detailedErrorCode":2207,"errorMessage":"the visitor left the session"},"retriable":true}` + "\n",
		},
		{
			name: "a kiosk that is busy", kiosk: &fakeKiosk{refusal: &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "another session is running", Busy: true}}, args: launch, code: 75,
			err: "kioskctl: launch: another session is running: try later (2205)\n",
		},
		{
			name: "a kiosk that is out of service", kiosk: &fakeKiosk{refusal: &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk is out of service: camera", Busy: true, Down: true}}, args: launch, code: 75,
			err: "kioskctl: launch: the kiosk is out of service: camera: try later (2205)\n",
		},
		{
			name: "a correlation id that was used", args: launch, code: 64,
			kiosk: &fakeKiosk{refusal: &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "correlationId", Reason: "was used before: every session needs a new one", Reused: true}},
			err:   "kioskctl: launch: --correlation-id was used before: every session needs a new one (2201)\n",
		},
		{
			name: "a gateway that is not the kiosk's", args: launch + " --base-url https://evil.example", code: 64,
			kiosk: &fakeKiosk{refusal: &kiosk.LaunchError{Code: kiosk.NotAllowListed, Field: "baseUrl", Reason: "is not this kiosk's gateway"}},
			err:   "kioskctl: launch: --base-url is not this kiosk's gateway (2204)\n",
		},
		{
			name: "a kiosk that fails", kiosk: &fakeKiosk{refusal: errors.New("disk on fire")}, args: launch, code: 69,
			err: "kioskctl: launch: the launch failed on the kiosk: see its log\n",
		},
		{name: "the result of a session that runs", args: "result session-1", code: 75, out: "RUNNING\n"},
		{
			name: "the result of a session that never was", args: "result nobody", code: 65,
			err: "kioskctl: result: no such session: it stored no capture, or it was long ago\n",
		},
		{
			name: "following a session that never was", args: "follow nobody", code: 65,
			err: "kioskctl: follow: no such session: it stored no capture, or it was long ago\n",
		},
		{
			name: "the status of a kiosk with faults", kiosk: &fakeKiosk{faults: []kiosk.Fault{kiosk.CameraFault, kiosk.ClockFault}}, args: "status", code: 0,
			out: "kioskd   1.2.3, up 1h2m5s, not ready\n" +
				"phase    out of service, no session\n" +
				"faults   camera clock\n" +
				"camera   /dev/video0: 30.0 frames/s, 900 frames, 3 dropped\n" +
				"clock    not compared with the gateway's yet, not trusted\n" +
				"           do: set the clock, and check the time service: timedatectl\n" +
				"queue    0 waiting, 0 done, 0 dead, 0 for review, 0 bytes\n",
		},
		{name: "the status of a kiosk whose outbox cannot be read", kiosk: &fakeKiosk{unread: kiosk.ErrQueueBad}, args: "status", code: 0, out: "…queue    cannot be read\n"},
		{name: "an empty outbox", args: "queue", code: 0, out: "the outbox is empty\n"},
		{name: "an empty outbox for machines", args: "queue --json", code: 0},
		{
			name: "an outbox", args: "queue", code: 0,
			kiosk: &fakeKiosk{entries: []kiosk.Entry{
				{Record: "S1-1", State: "dead", Attempt: 1, Review: true, Reason: "HTTP 404", Outcome: kiosk.ExitFailure, Bytes: 412_345, Queued: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)},
				{Record: "SESSION-2", State: "queued", Attempt: 3, Bytes: 800, Queued: time.Date(2026, 5, 4, 9, 1, 0, 0, time.UTC)},
			}},
			out: "RECORD     STATE   ATTEMPT  REVIEW  QUEUED               SIZE       OUTCOME       REASON\n" +
				"S1-1       dead    1        yes     2026-05-04 09:00:00  412 kB     EXIT_FAILURE  HTTP 404\n" +
				"SESSION-2  queued  3        -       2026-05-04 09:01:00  800 bytes  -             -\n" +
				"\nDead records, which the kiosk has given up:\n" +
				"  HTTP 404: the gateway refused it for good: tell the partner, who knows the person by the session\n",
		},
		{
			name: "an outbox that cannot be read", kiosk: &fakeKiosk{unread: kiosk.ErrQueueBad}, args: "queue", code: 75,
			err: "kioskctl: queue: the outbox cannot be read now: see the kiosk's log\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, strconv.Itoa(i)) // short: a socket's path has at most 107 bytes
			if tt.kiosk == nil {
				tt.kiosk = &fakeKiosk{}
			}
			serve(t, tt.kiosk, path)
			args := append(strings.Fields(tt.args), "--socket", path)
			code, out, errs := kioskctl(t.Context(), nil, "", args...)
			end, cut := strings.CutPrefix(tt.out, "…")
			if code != tt.code || errs != tt.err || !strings.HasSuffix(out, end) || !cut && out != end {
				t.Errorf("kioskctl %s\nexit %d\n%s%s\nwant exit %d\n%s%s", tt.args, code, out, errs, tt.code, tt.out, tt.err)
			}
		})
	}
}

// TestMalformedCommandLines need no daemon: there is none.
func TestMalformedCommandLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		in   string
		err  string
	}{
		{"no command", nil, "", "no command given: see kioskctl help"},
		{"a command that does not exist", []string{"lunch"}, "", `there is no command "lunch": see kioskctl help`},
		{"help on a command that does not exist", []string{"help", "lunch"}, "", `help: there is no command "lunch": see kioskctl help`},
		{"a flag that does not exist", []string{"status", "--watch"}, "", "status: there is no flag --watch: see kioskctl help status"},
		{"a flag without its value", []string{"launch", "--user-id"}, "", "launch: --user-id needs a value: see kioskctl help launch"},
		{"a flag with a value it cannot take", []string{"launch", "--follow=SECRET"}, "", "launch: --follow has a value that it cannot take: see kioskctl help launch"},
		{"a word too many", []string{"status", "now"}, "", `status: "now" is one argument too many`},
		{"a session that is missing", []string{"follow"}, "", "follow: SESSION is missing"},
		{"a session that is empty", []string{"result", ""}, "", "result: SESSION is empty"},
		{"a trace that is missing", []string{"replay"}, "", "replay: TRACE is missing"},
		{"a launch without correlation id", []string{"launch", "--user-id", "u"}, "", "launch: --correlation-id is missing (2206)"},
		{
			"a launch without token and user",
			[]string{"launch", "--correlation-id", "c"},
			"",
			"launch: --token-file (or --token) and --user-id are both missing: give one of them (2206)",
		},
		{"a launch in a language nobody speaks", []string{"launch", "--correlation-id", "c", "--user-id", "u", "--locale", "fr"}, "", "launch: --locale must be id or en (2201)"},
		{
			"a launch with a theme that does not exist",
			[]string{"launch", "--correlation-id", "c", "--user-id", "u", "--theme", "PINK"},
			"",
			"launch: --theme must be DARK_MODE, LIGHT_MODE or NO_PREFERENCE (2201)",
		},
		{"a user id with a space", []string{"launch", "--correlation-id", "c", "--user-id", "SECRET u"}, "", "launch: --user-id has a character that cannot stand in an HTTP header (2201)"},
		{"two tokens", []string{"launch", "--correlation-id", "c", "--token", "SECRET", "--token-file", file}, "", "launch: --token and --token-file are both given: give one"},
		{"a token file that is empty", []string{"launch", "--correlation-id", "c", "--token-file", file}, "", "launch: --token-file: it holds no token"},
		{"a token from an empty input", []string{"launch", "--correlation-id", "c", "--token", "-"}, "", "launch: --token-file: it holds no token"},
		{"a token that is far too long", []string{"launch", "--correlation-id", "c", "--token-file", "-"}, strings.Repeat("x", 40_000), "launch: --token-file: it is longer than 32768 bytes"},
		{"a token file that is not there", []string{"launch", "--correlation-id", "c", "--token-file", "/nonexistent"}, "", "launch: --token-file: open /nonexistent: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := kioskctl(t.Context(), nil, tt.in, append([]string{"--socket", "/nonexistent/s"}, tt.args...)...)
			if want := "kioskctl: " + tt.err + "\n"; code != 64 || out != "" || errs != want {
				t.Errorf("exit %d\n%s%s\nwant exit 64\n%s", code, out, errs, want)
			}
			if strings.Contains(errs, "SECRET") {
				t.Error("a secret was told")
			}
		})
	}
}

func TestALaunchCarriesAllItsFlags(t *testing.T) {
	k, path := &fakeKiosk{}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("token-of-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"launch", "--correlation-id", "c", "--user-id", "u", "--user-id-type", "T", "--base-url", "https://gateway.example",
		"--theme", "LIGHT_MODE", "--locale", "en_ID", "--no-time-limit",
	}
	want := kiosk.Launch{
		BaseURL: "https://gateway.example", CorrelationID: "c", UserID: "u", UserIDType: "T",
		Theme: kiosk.Light, Locale: kiosk.English, NoTimeLimit: true,
	}
	for _, tt := range []struct {
		name  string
		flags []string
		token string
	}{
		{"no token", nil, ""},
		{"a token on the command line", []string{"--token", "token-of-line"}, "token-of-line"},
		{"a token from a file", []string{"--token-file", file}, "token-of-file"},
		{"a token from standard input", []string{"--token", "-"}, "token-of-input"},
		{"a token file that is standard input", []string{"--token-file=-"}, "token-of-input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k.launches = nil
			env := map[string]string{"KIOSKD_SOCKET": path}
			if code, _, errs := kioskctl(t.Context(), env, "token-of-input\n", append(all, tt.flags...)...); code != 0 {
				t.Fatalf("exit %d: %s", code, errs)
			}
			want.Token = tt.token
			if got := k.launches[0]; got != want {
				t.Errorf("launched %+v with token %q, want %q", got, got.Token, want.Token)
			}
		})
	}
}

func TestADaemonThatCannotBeAsked(t *testing.T) {
	dir := t.TempDir()
	serve(t, &fakeKiosk{}, filepath.Join(dir, "running"))
	// A server that knows no peers turns everybody away.
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", filepath.Join(dir, "closed"))
	if err != nil {
		t.Fatal(err)
	}
	k := &fakeKiosk{log: api.NewEvents(1)}
	s, err := api.New(api.Options{Launcher: k, Queue: k, Log: k.log, Status: k.status, Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		err  string // part of it
	}{
		{"there is none", map[string]string{"KIOSKD_SOCKET": "/nonexistent/s"}, []string{"status"}, 69, "is kioskd running with its socket at /nonexistent/s?"},
		{"the flag wins over the environment", map[string]string{"KIOSKD_SOCKET": filepath.Join(dir, "running")}, []string{"status", "--socket=/nonexistent/s"}, 69, "/nonexistent/s?"},
		{"a user's own daemon", map[string]string{"XDG_RUNTIME_DIR": "/nonexistent"}, []string{"queue"}, 69, "/nonexistent/kioskd/kioskd.sock?"},
		{"neither the system nor the user has one", nil, []string{"queue"}, 69, "/nonexistent/system?"},
		{
			"the system's own daemon comes before the user's",
			map[string]string{"XDG_RUNTIME_DIR": "/nonexistent", "system": filepath.Join(dir, "closed")},
			[]string{"queue"},
			77, filepath.Join(dir, "closed"),
		},
		{"it may not be asked", nil, []string{"events", "--socket", filepath.Join(dir, "closed")}, 77, "run it as a member of the group kiosk-staff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := kioskctl(t.Context(), tt.env, "", tt.args...)
			if code != tt.code || out != "" || !strings.Contains(errs, tt.err) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d\n%s%s\nwant exit %d and one line with %q", code, out, errs, tt.code, tt.err)
			}
		})
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A closer calls f once something was written.
type closer struct {
	bytes.Buffer

	f func()
}

func (c *closer) Write(p []byte) (int, error) {
	if c.f != nil {
		c.f()
	}
	return c.Buffer.Write(p)
}

func TestInterrupted(t *testing.T) {
	k, path := &fakeKiosk{}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	if _, err := k.Launch(t.Context(), kiosk.Launch{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"events is done", []string{"events", "--follow"}, 0, ""},
		{"follow leaves a session that goes on", []string{"follow", "session-1"}, 75, "kioskctl: follow: interrupted; the session goes on: kioskctl follow session-1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, errs := &closer{f: cancel}, &bytes.Buffer{}
			code := run(ctx, tt.args, world{out: out, err: errs, getenv: func(string) string { return path }})
			if code != tt.code || errs.String() != tt.err {
				t.Errorf("exit %d %q, want %d %q", code, errs, tt.code, tt.err)
			}
		})
	}
}

func TestEventsOfAllSessions(t *testing.T) {
	k, path := &fakeKiosk{}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	for _, e := range []kiosk.Event{
		{Kind: kiosk.EventFault, Text: "camera", At: at},
		{Kind: kiosk.EventFault, At: at.Add(time.Second)},
		{Kind: kiosk.EventUploaded, Session: "ABCDEFGHIJK", Text: "ADDITIONAL_SELFIE", At: at.Add(65 * time.Second)},
	} {
		k.log.Publish(e)
	}
	code, out, errs := kioskctl(t.Context(), nil, "", "--socket", path, "events")
	want := "     0.0 s  -         fault      camera\n" +
		"     1.0 s  -         fault      cleared\n" +
		"    65.0 s  ABCDEFGH  uploaded   ADDITIONAL_SELFIE\n"
	if code != 0 || out != want || errs != "" {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
}

// recorded returns the trace of a visitor who declines.
func recorded(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	p, s := flow.Standard(), flow.State{Phase: flow.Idle}
	w, err := trace.NewWriter(&buf, trace.Header{Facts: map[string]string{"version": "test"}, Policy: p, Start: s})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Second
	for _, in := range []flow.Input{
		flow.Launched{Session: "S1", Locale: kiosk.English, Theme: kiosk.Light},
		flow.Tapped{Session: "S1", Control: kiosk.Decline},
		flow.Tick{},
	} {
		var fx []flow.Effect
		s, fx = p.Step(s, at, in)
		if err := w.Step(at, in, s, fx); err != nil {
			t.Fatal(err)
		}
		at += 10 * time.Minute
	}
	return buf.Bytes()
}

func TestReplay(t *testing.T) {
	dir, good := t.TempDir(), recorded(t)
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := file("good", good)
	bad := file("bad", bytes.Replace(good, []byte(`"phase":"consent"`), []byte(`"phase":"far"`), 1))
	junk := file("junk", []byte("not a trace\n"))
	lines := bytes.SplitAfter(good, []byte("\n"))
	short := file("short", slices.Concat(lines[0], lines[1]))
	for _, tt := range []struct {
		name string
		args []string
		in   string
		code int
		out  string // its beginning
		err  string // part of it
	}{
		{"a trace that reproduces", []string{whole}, "", 0, whole + ": trace reproduces: 3 inputs, phases consent → outcome → idle\n", ""},
		{"a trace on standard input", []string{"-"}, string(good), 0, "-: trace reproduces: 3 inputs", ""},
		{"a trace that was cut short", []string{short}, "", 0, short + ": trace reproduces: 1 inputs, phases consent; it ends before its session does\n", ""},
		{"a trace that does not reproduce", []string{bad}, "", 65, bad + ": line 2: recorded ", "does not reproduce: 1 of 3 inputs led elsewhere"},
		{"a file that is no trace", []string{junk}, "", 65, "", "kioskctl: replay: " + junk + ": line 1:"},
		{"a file that is not there", []string{"/nonexistent"}, "", 65, "", "kioskctl: replay: open /nonexistent: no such file or directory"},
		{"a bad one before a good one", []string{bad, whole}, "", 65, bad, "does not reproduce"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := kioskctl(t.Context(), nil, tt.in, append([]string{"replay"}, tt.args...)...)
			if code != tt.code || !strings.HasPrefix(out, tt.out) || !strings.Contains(errs, tt.err) || tt.err == "" && errs != "" {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s…%s", code, out, errs, tt.code, tt.out, tt.err)
			}
		})
	}
	t.Run("for machines", func(t *testing.T) {
		code, out, _ := kioskctl(t.Context(), nil, "", "replay", "--json", bad)
		var got replayed
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 65 || got.Reproduces || got.Summary.Inputs != 3 || len(got.Summary.Mismatches) != 1 {
			t.Errorf("exit %d, %v\n%s", code, err, out)
		}
	})
}

func TestHelp(t *testing.T) {
	code, out, _ := kioskctl(t.Context(), nil, "", "help")
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, c := range commands() {
		if !strings.Contains(out, "\n  "+c.name+" ") {
			t.Errorf("help does not name %s", c.name)
		}
		for _, args := range [][]string{{"help", c.name}, {c.name, "--help"}, {c.name, "-h"}} {
			code, out, errs := kioskctl(t.Context(), nil, "", args...)
			if code != 0 || errs != "" || !strings.HasPrefix(out, "usage: kioskctl "+c.name) || !strings.Contains(out, "Exit codes:") {
				t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
			}
		}
	}
	// The package comment and the help say the same.
	src, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(src), "\npackage main")
	_, codes, _ := strings.Cut(common, "Exit codes:\n")
	for l := range strings.Lines(codes) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(l), "  ")
		if !strings.Contains(doc, "//\t"+code+" ") || !strings.Contains(doc, meaning) {
			t.Errorf("the package comment lacks %q", strings.TrimSpace(l))
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, out, _ := kioskctl(t.Context(), nil, "", args...); code != 0 || out != version+"\n" {
			t.Errorf("%v: exit %d %q, want the version", args, code, out)
		}
	}
}

// A full writer takes nothing.
type full struct{ io.Writer }

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAnOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"version"}, world{out: full{}, err: &errs}); code == 0 || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("exit %d %q, want an error", code, &errs)
	}
}
