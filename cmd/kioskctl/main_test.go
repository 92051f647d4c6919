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
	state    func(*api.Status) // what else the status tells; nil: nothing
	booked   []kiosk.Booking
	bookErr  error

	by      string // who dropped a record last
	erased  []kiosk.Erasure
	uses    []kiosk.KeyUse
	found   kiosk.Verification
	paused  func() // called after each step of a verification or an export; nil: goes on
	holding bool   // a session is in progress
	pane    pane
	tub     tub
	ward    ward
	site    site
	cameras []api.Camera
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

func (k *fakeKiosk) Book(_ context.Context, b kiosk.Booking) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bookErr == nil {
		k.booked = append(k.booked, b)
	}
	return k.bookErr
}

func (k *fakeKiosk) Bookings(context.Context) ([]kiosk.Booking, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.booked, k.bookErr
}

func (k *fakeKiosk) Unbook(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.booked)
	k.booked = slices.DeleteFunc(k.booked, func(b kiosk.Booking) bool { return b.CorrelationID == id })
	if len(k.booked) == n {
		return kiosk.ErrNoBooking
	}
	return nil
}

func (k *fakeKiosk) status() api.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := api.Status{
		Version: "1.2.3", Phase: "out_of_service", Faults: k.faults, Ready: len(k.faults) == 0, UptimeSeconds: 3725.4,
		Camera: api.CameraStatus{Source: "/dev/video0", Frames: 900, Dropped: 3, FramesPerSecond: 29.97},
	}
	if k.state != nil {
		k.state(&s)
	}
	return s
}

// now is when these tests are read.
var now = time.Date(2026, 5, 4, 3, 0, 0, 0, time.Local)

// serve runs k behind the real server on a socket at path.
func serve(t *testing.T, k *fakeKiosk, path string) (stop func()) {
	t.Helper()
	l, err := api.Listen(t.Context(), path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	k.log = api.NewEvents(64)
	s, err := api.New(api.Options{Launcher: k, Queue: k, Bookings: k, Letters: k, Ledger: k, Upkeep: k, Cameras: k, Panel: &k.pane, Commissioner: &k.site, Drainer: &k.tub, Toucher: &k.tub, Unlocker: &k.tub, Doctor: &k.ward, Log: k.log, Status: k.status, Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// kioskctl runs the command and returns its exit code and what it said.
func kioskctl(ctx context.Context, env map[string]string, in string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	system := env["system"] // no variable, but told in the same way
	if system == "" {
		system = "/nonexistent/system"
	}
	code = run(ctx, args, world{
		in: strings.NewReader(in), out: &stdout, err: &stderr, getenv: func(k string) string { return env[k] }, system: system, now: func() time.Time { return now },
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
				"models   those of the image\n" +
				"queue    0 waiting, 0 done, 0 dead, 0 for review, 0 bytes\n",
		},
		{
			name: "the status of a kiosk at night in an outage", args: "status", code: 0,
			kiosk: &fakeKiosk{
				entries: []kiosk.Entry{{State: "dead", Reason: "FORBIDDEN"}},
				state: func(s *api.Status) {
					s.Network = []api.ServiceStatus{
						{Service: kiosk.GatewayService, State: api.ReachOut, Trouble: kiosk.TroubleDNS, Since: now.Add(-50 * time.Minute), Failures: 14},
						{Service: kiosk.StoreService, State: api.ReachUnknown},
						{Service: kiosk.PartnerService, State: api.ReachOut, Trouble: kiosk.TroubleCertificate, Since: now.Add(-3 * 24 * time.Hour).UTC(), Failures: 1},
					}
					s.Clock = api.ClockStatus{Known: true, SkewSeconds: 2 * 86400}
					s.Quarantined, s.Orphans, s.KeyStore = "/var/lib/kioskd/outbox.db.bad-1", 3, "file"
					s.Mode = "direct"
				},
			},
			out: "…" +
				"network  gateway: out since 02:10 (50 min), host name does not resolve (dns), 14 tries\n" +
				"           do: check the network link and the name server\n" +
				"         store: not asked yet\n" +
				"         partner: out since 2026-05-01 03:00 (3 days), a certificate is not accepted (certificate), 1 try\n" +
				"           do: the kiosk's log says which: its own trust store, pins or certificate are wrong, or somebody is in between: tell the fleet's administrators\n" +
				"clock    2 days ahead of the gateway's, not trusted\n" +
				"           do: set the clock, and check the time service: timedatectl\n" +
				"models   those of the image\n" +
				"queue    0 waiting, 0 done, 1 dead, 0 for review, 0 bytes: see kioskctl queue\n" +
				"mode     direct: this kiosk can read the pictures that wait in its outbox\n" +
				"keys     in a file: on the storage of the outbox it protects only against a look at the outbox alone\n" +
				"alarm    a damaged outbox was moved to /var/lib/kioskd/outbox.db.bad-1: captures may be in it that nobody delivers; tell the fleet's administrators\n" +
				"alarm    3 records are sealed for another device key and cannot be delivered: bring that key back, or tell the fleet's administrators\n",
		},
		{
			name: "the status of a kiosk whose network and clock are well", args: "status", code: 0,
			kiosk: &fakeKiosk{state: func(s *api.Status) {
				s.Network = []api.ServiceStatus{{Service: kiosk.GatewayService, State: api.ReachOK}}
				s.Clock = api.ClockStatus{Known: true, Trusted: true, SkewSeconds: -1.2}
				s.KeyStore, s.Mode, s.RelayKey = "credential", "relay", "0123456789abcdef0123456789abcdef"
			}},
			out: "…" +
				"network  gateway: ok\n" +
				"clock    agrees with the gateway's\n" +
				"models   those of the image\n" +
				"queue    0 waiting, 0 done, 0 dead, 0 for review, 0 bytes\n" +
				"mode     relay: pictures and metadata open only with the relay's key 0123456789abcdef0123456789abcdef\n" +
				"keys     in a credential: it protects as well as what encrypted it, a TPM more than systemd's host key\n",
		},
		{
			name: "a person is booked", args: "book --correlation-id b1 --user-id u1", code: 0,
			out: "booked b1, code 58734559\n",
		},
		{
			name: "a person who is booked under another's correlation id", args: "book --correlation-id b1 --user-id u1", code: 64, kiosk: &fakeKiosk{bookErr: kiosk.ErrBooked},
			err: "kioskctl: book: --correlation-id is booked for somebody else or was used before: every session needs a new one (2201)\n",
		},
		{
			name: "a booking more than there is room for", args: "book --correlation-id b1 --user-id u1", code: 75, kiosk: &fakeKiosk{bookErr: kiosk.ErrQueueFull},
			err: "kioskctl: book: the kiosk has no room for another booking: try later (2205)\n",
		},
		{
			name: "bookings while the outbox is down", args: "bookings", code: 75, kiosk: &fakeKiosk{bookErr: kiosk.ErrQueueBad},
			err: "kioskctl: bookings: the bookings cannot be reached now: see the kiosk's log\n",
		},
		{name: "no bookings", args: "bookings", code: 0, out: "nobody is booked\n"},
		{
			name: "bookings", args: "bookings", code: 0,
			kiosk: &fakeKiosk{booked: []kiosk.Booking{
				{CorrelationID: "branch-17", UserID: "SECRET", Booked: now.Add(-time.Hour), Token: kiosk.UserToken{Expires: now.Add(60 * 24 * time.Hour)}},
				{CorrelationID: "b2", UserID: "SECRET", Booked: now.Add(-70 * 24 * time.Hour), Token: kiosk.UserToken{Expires: now.Add(-time.Hour)}},
				{CorrelationID: "b3", UserID: "SECRET", Booked: now},
			}},
			out: "CORRELATION ID  CODE      BOOKED            TOKEN\n" +
				"branch-17       29959068  02:00             fetched, expires 2026-07-03 03:00\n" +
				"b2              30304494  2026-02-23 03:00  expired 02:00\n" +
				"b3              64484962  03:00             not fetched yet\n",
		},
		{
			name: "a booking is taken back", args: "unbook b/3", code: 0,
			kiosk: &fakeKiosk{booked: []kiosk.Booking{{CorrelationID: "b/3"}}},
		},
		{name: "a booking that is not there is not taken back", args: "unbook b3", code: 65, err: "kioskctl: unbook: no such booking\n"},
		{
			name: "the result of a session of an earlier run", args: "result old", code: 0,
			kiosk: &fakeKiosk{entries: []kiosk.Entry{{Session: "old", State: "done", Outcome: kiosk.ExitSuccess, SubmissionID: "sub-7"}}},
			out:   "COMPLETED, submission sub-7\n",
		},
		{
			name: "the result of a session of an earlier run that must be captured again", args: "result old", code: 1,
			kiosk: &fakeKiosk{entries: []kiosk.Entry{{Session: "old", State: "dead", Reason: kiosk.NeedsRecapture}}},
			out:   "NOT_COMPLETED: the verification failed (VERIFICATION 2212), may be launched again\n",
		},
		{
			name: "following a session of an earlier run that is saved", args: "follow old", code: 0,
			kiosk: &fakeKiosk{entries: []kiosk.Entry{{Session: "old", State: "confirmed"}}},
			out:   "NOT_COMPLETED: saved for later: the kiosk delivers it by itself, do not capture again\n",
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
				"\nDead records, which wait for a decision (kioskctl help queue):\n" +
				"  HTTP 404: the gateway refused it for good: tell the partner, who knows the person by the session\n",
		},
		{
			name: "an outbox that cannot be read", kiosk: &fakeKiosk{unread: kiosk.ErrQueueBad}, args: "queue", code: 75,
			err: "kioskctl: queue: the outbox cannot be reached now: see the kiosk's log\n",
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
	private := filepath.Join(t.TempDir(), "private")
	if err := os.WriteFile(private, []byte("-----BEGIN PRIVATE KEY-----\nSECRET\n"), 0o600); err != nil {
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
		{"a launch in what is no language", []string{"launch", "--correlation-id", "c", "--user-id", "u", "--locale", "f?"}, "", "launch: --locale must be a language tag such as id or en (2201)"},
		{
			"a launch with a theme that does not exist",
			[]string{"launch", "--correlation-id", "c", "--user-id", "u", "--theme", "PINK"},
			"",
			"launch: --theme must be DARK_MODE, LIGHT_MODE, NO_PREFERENCE or HIGH_CONTRAST (2201)",
		},
		{"a user id with a space", []string{"launch", "--correlation-id", "c", "--user-id", "SECRET u"}, "", "launch: --user-id has a character that cannot stand in an HTTP header (2201)"},
		{"a booking of nobody", []string{"book", "--correlation-id", "c"}, "", "book: --user-id is missing (2206)"},
		{"a booking of a person from an empty input", []string{"book", "--correlation-id", "c", "--user-id", "-"}, "\n", "book: --user-id: it holds no user id"},
		{"a booking in what is no language", []string{"book", "--correlation-id", "c", "--user-id", "u", "--locale", "f?"}, "", "book: --locale must be a language tag such as id or en (2201)"},
		{"a booking to be taken back that is missing", []string{"unbook"}, "", "unbook: CORRELATION-ID is missing"},
		{
			"a token and a user id from one input",
			[]string{"launch", "--correlation-id", "c", "--user-id", "-", "--token-file", "-"},
			"SECRET",
			"launch: --user-id and the token are both to be read from standard input: give one in another way",
		},
		{"a record to be retried that is missing", []string{"queue", "retry"}, "", "queue: RECORD is missing, or --reason for all records of a reason"},
		{"records to be retried by name and by reason", []string{"queue", "retry", "r", "--reason", "FORBIDDEN"}, "", "queue: RECORD and --reason are both given: give one"},
		{"a record to be retried that is empty", []string{"queue", "retry", ""}, "", "queue: RECORD is empty"},
		{"a record to be dropped that is missing", []string{"queue", "drop", "--reason", "came again"}, "", "queue: RECORD is missing"},
		{"two records to be dropped", []string{"queue", "drop", "r1", "r2", "--reason", "came again"}, "", `queue: "r2" is one argument too many`},
		{"a record to be dropped for nothing", []string{"queue", "drop", "r"}, "", "queue: --reason is missing"},
		{"a reason that would break a terminal", []string{"queue", "drop", "r", "--reason", "SECRET\x1b[2J"}, "", "queue: --reason has a character that cannot be printed"},
		{"a reason to list by", []string{"queue", "--reason", "FORBIDDEN"}, "", "queue: --reason goes with retry or drop: see kioskctl help queue"},
		{"a file to list to", []string{"queue", "--out", "f"}, "", "queue: --to and --out go with export: see kioskctl help queue"},
		{
			"a decision that does not exist",
			[]string{"queue", "remove"},
			"",
			`queue: there is no "remove": list, show, retry, drop, erasures, verify, export or compact: see kioskctl help queue`,
		},
		{"a record to be shown that is missing", []string{"queue", "show"}, "", "queue: RECORD is missing"},
		{"a record to verify", []string{"queue", "verify", "r"}, "", `queue: "r" is one argument too many`},
		{"a record to compact", []string{"queue", "compact", "r"}, "", `queue: "r" is one argument too many`},
		{"the erasures of a record", []string{"queue", "erasures", "r"}, "", `queue: "r" is one argument too many`},
		{"an export for nobody", []string{"queue", "export", "--out", "f"}, "", "queue: --to is missing: the public key of whoever may open it"},
		{"an export to nowhere", []string{"queue", "export", "--to", file}, "", "queue: --out is missing: the file to write"},
		{"an export for a key that is not there", []string{"queue", "export", "--to", "/nonexistent", "--out", "f"}, "", "queue: --to: open /nonexistent: no such file or directory"},
		{
			"an export for a private key",
			[]string{"queue", "export", "--to", private, "--out", "f"},
			"",
			"queue: --to: " + private + " holds a private key: give its public half, as kioskctl keys public prints it",
		},
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

func TestABookingCarriesAllItsFlags(t *testing.T) {
	k, path := &fakeKiosk{}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	code, out, errs := kioskctl(t.Context(), nil, "user-of-input\n", "book", "--socket", path, "--correlation-id", "c", "--user-id", "-", "--user-id-type", "T", "--locale", "en_ID")
	if code != 0 || strings.Contains(out+errs, "user-of-input") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	got := k.booked[0]
	if got.CorrelationID != "c" || got.UserID != "user-of-input" || got.UserIDType != "T" || got.Locale != kiosk.English {
		t.Errorf("booked %+v", got)
	}
}

// TestADaemonThatStops has a reader who waits for a result and one who waits
// for a delivery.
func TestADaemonThatStops(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct {
		name string
		end  *kiosk.Result
		args []string
		code int
		err  string
	}{
		{
			"in the middle of a session", nil,
			[]string{"follow", "session-1"},
			75, "kioskctl: follow: the daemon is stopping, and a session that has stored no capture is over; once it runs again, ask: kioskctl follow session-1\n",
		},
		{
			"while a delivery is waited for", &kiosk.Result{Status: kiosk.NotCompleted, Detail: kiosk.Saved},
			[]string{"follow", "--delivered", "session-1"},
			75, "kioskctl: follow: the daemon is stopping, and delivers the capture once it runs again: kioskctl follow --delivered session-1\n",
		},
		{"while all events are followed", nil, []string{"events", "--follow"}, 75, "kioskctl: events: the daemon is stopping\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, path := &fakeKiosk{end: tt.end}, filepath.Join(dir, strconv.Itoa(i))
			stop := serve(t, k, path)
			if _, err := k.Launch(t.Context(), kiosk.Launch{}); err != nil {
				t.Fatal(err)
			}
			lines, told, errs := 0, 1, &bytes.Buffer{}
			if tt.end != nil {
				told = 4 // the result, too, which the daemon need not send once it stops
			}
			var stopped sync.WaitGroup
			out := &closer{f: func() {
				if lines++; lines == told { // it listens
					stopped.Go(stop)
				}
			}}
			code := run(t.Context(), tt.args, world{out: out, err: errs, getenv: func(string) string { return path }, now: time.Now})
			stopped.Wait()
			if code != tt.code || errs.String() != tt.err || !strings.HasSuffix(out.String(), "stopping   the daemon ends\n") {
				t.Errorf("exit %d %q, want %d %q\n%s", code, errs, tt.code, tt.err, out)
			}
		})
	}
}

func TestFollowingADelivery(t *testing.T) {
	k, path := &fakeKiosk{end: &kiosk.Result{Status: kiosk.NotCompleted, Detail: kiosk.Saved}}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path)
	if _, err := k.Launch(t.Context(), kiosk.Launch{}); err != nil {
		t.Fatal(err)
	}
	told := false
	out := &closer{}
	out.f = func() {
		if !told && strings.Contains(out.String(), "NOT_COMPLETED") {
			told = true
			r := kiosk.Result{Session: "session-1", Status: kiosk.Completed, SubmissionID: "sub-7"}
			k.log.Publish(kiosk.Event{Kind: kiosk.EventDeferred, Session: "session-1", Text: "partner_dns"})
			k.log.Publish(kiosk.Event{Kind: kiosk.EventSettled, Session: "session-1", Text: "EXIT_SUCCESS"})
			k.log.Publish(kiosk.Event{Kind: kiosk.EventResult, Session: "session-1", Text: "COMPLETED", Result: &r})
		}
	}
	var first kiosk.Event
	if err := api.NewClient(path).Events(t.Context(), 0, false, func(e kiosk.Event) error {
		if first.Kind == "" {
			first = e
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	k.log.Publish(kiosk.Event{Kind: kiosk.EventPhase, Session: "session-1", Text: "idle", At: first.At}) // one more line after the result
	code := run(t.Context(), []string{"follow", "--delivered", "session-1"}, world{out: out, getenv: func(string) string { return path }, now: time.Now})
	for _, want := range []string{"deferred   partner: host name does not resolve\n", "result     COMPLETED\nCOMPLETED, submission sub-7\n"} {
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d, without %q:\n%s", code, want, out)
		}
	}
}

// TestEveryReasonHasWords holds what staff are told against the list that the
// deliverer documents.
func TestEveryReasonHasWords(t *testing.T) {
	src, err := os.ReadFile("../../queue/deliver/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(src), "// Dead letters have")
	if !found {
		t.Fatal("queue/deliver/doc.go lists no reasons of dead letters any more")
	}
	n, said := 0, map[string]string{reasonWords("FORBIDDEN"): "FORBIDDEN", reasonWords("status_http_400"): "status_http_400"}
	for line := range strings.Lines(list) {
		fields := strings.Fields(strings.TrimPrefix(line, "//\t"))
		if !strings.HasPrefix(line, "//\t") || len(fields) < 2 {
			continue
		}
		n++
		words := reasonWords(fields[0])
		if other := said[words]; other != "" {
			t.Errorf("%s has the words of %s: %q", fields[0], other, words)
		}
		said[words] = fields[0]
	}
	if n < 4 {
		t.Errorf("%d reasons in queue/deliver/doc.go, want at least 4", n)
	}
}

func TestEveryTroubleHasWordsOfItsOwn(t *testing.T) {
	seen := map[string]kiosk.Trouble{}
	for _, trouble := range []kiosk.Trouble{
		kiosk.NoTrouble, kiosk.TroubleDNS, kiosk.TroubleConnect, kiosk.TroubleTimeout, kiosk.TroubleBroken, kiosk.TroubleClock, kiosk.TroubleCertificate,
		kiosk.TroubleProxy, kiosk.TroublePortal, kiosk.TroubleGarbled, kiosk.TroubleBusy, kiosk.TroubleUnavailable,
	} {
		what, do := troubleWords(trouble)
		if other, taken := seen[what]; taken || do == "" {
			t.Errorf("%q says %q as %q does, and to do %q", trouble, what, other, do)
		}
		seen[what] = trouble
	}
	for why, want := range map[string]string{
		"dns": "gateway: host name does not resolve", "unavailable": "gateway: it is unavailable, or does not serve this kiosk", "store_timeout": "store: no answer in time", "partner_busy": "partner: it asks for fewer calls",
		"token": "the gateway refused a new token too", "something_new": "something new",
	} {
		if got := deferralWords(why); got != want {
			t.Errorf("deferralWords(%q) = %q, want %q", why, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1400 * time.Millisecond: "1 s", 90 * time.Second: "90 s", -3 * time.Minute: "3 min", 90 * time.Minute: "90 min",
		47 * time.Hour: "47 h", 48 * time.Hour: "2 days", 60 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
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
		{"follow until the delivery, too", []string{"follow", "session-1", "--delivered"}, 75, "kioskctl: follow: interrupted; the session goes on: kioskctl follow --delivered session-1\n"},
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
	const committed = "../../kiosk/trace/testdata/format1.trace" // never recorded anew
	profile := file("stricter.json", []byte(`{"guidance":{"angle_max":2}}`))
	commissioned := file("profile.json", []byte(`{"format":1,"camera":"","written":"2026-11-30T00:00:00Z","version":"test","steps":{"focus":{"at":"2026-11-30T00:00:00Z","figures":{"pitch":-3.5}}}}`))
	damaged := file("damaged.json", []byte(`{"format":1,"camera":"","written":"2026-11-30T00:00:00Z","version":"test","steps":{"knees":{}}}`))
	typo := file("typo.json", []byte(`{"guidance":{"angel_max":2}}`))
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
		{"another profile", []string{committed, "--profile", profile}, "", 0, committed + ": with stricter.json 73 of 161 inputs lead elsewhere\n" +
			"  value   guidance.angle_max: 15 → 2\n" +
			"  judged  line 90, 7.3 s, frame 87, far: good_hold → turn_head_left (2.805 is above angle_max, 2)\n" +
			"  parted  line 90, 7.3 s: far good_hold {\"hold\":{\"pose\":\"far\",\"frame\":87}} → far turn_head_left\n" +
			"  was     consent → far → near → saving → waiting → outcome → idle\n" +
			"  is      consent → far\n", ""},
		{"a profile as commission writes it", []string{committed, "--profile", commissioned}, "", 0, committed + ": with profile.json 0 of 161 inputs lead elsewhere\n  value   guidance.pitch_zero: -6 → -3.5\n", ""},
		{"a damaged profile", []string{committed, "--profile", damaged}, "", 64, "", `there is no step "knees"`},
		{"another profile that changes nothing here", []string{"--profile", profile, whole}, "", 0, whole + ": with stricter.json 0 of 3 inputs lead elsewhere\n  value   guidance.angle_max: 15 → 2\n", ""},
		{"another profile for a trace that does not reproduce", []string{"--profile", profile, bad}, "", 65, "", bad + ": line 2: it does not reproduce"},
		{"a profile with a key that is none", []string{"--profile", typo, whole}, "", 64, "", `--profile: json: unknown field "angel_max"`},
		{"a profile that is not there", []string{"--profile", "/nonexistent", whole}, "", 64, "", "--profile: open /nonexistent"},
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
