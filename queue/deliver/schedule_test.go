package deliver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
)

// A call is one thing the deliverer asked of the outside.
type call struct {
	name        string // token, urls, upload, confirm or status
	correlation string
	at          time.Duration // since the world began
}

// memWorld is a fake: a gateway and a partner backend that behave, in memory.
type memWorld struct {
	mu    sync.Mutex
	begun time.Time
	calls []call
	subs  map[string]*memSubmission // by correlation id
	ids   int

	// before, if set, is asked before a call is served: its error is the
	// answer. It may block until ctx ends.
	before func(ctx context.Context, c call) error
	// after, if set, is asked once a call took effect: its error is the answer.
	after func(ctx context.Context, c call) error
	// reject makes verdicts negative.
	reject bool
	// polls is how many status calls are answered IN_PROGRESS.
	polls int
	// renew makes every request for URLs start another submission.
	renew bool
	// valid is the one token that is good; "" means any.
	valid string
	// effects count confirmations that took effect, by correlation id.
	effects map[string]int
}

type memSubmission struct {
	id        string
	uploads   map[kiosk.Document]string
	confirmed int // effects
	polls     int
}

func newMemWorld() *memWorld {
	return &memWorld{begun: time.Now(), subs: map[string]*memSubmission{}, effects: map[string]int{}}
}

func (w *memWorld) enter(ctx context.Context, name, correlation string) error {
	c := call{name, correlation, time.Since(w.begun)}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	before := w.before
	w.mu.Unlock()
	if before != nil {
		return before(ctx, c)
	}
	return nil
}

// leave replaces an answer by that of after.
func (w *memWorld) leave(ctx context.Context, name, correlation string, err *error) {
	w.mu.Lock()
	c, after := call{name, correlation, time.Since(w.begun)}, w.after
	w.mu.Unlock()
	if *err == nil && after != nil {
		*err = after(ctx, c)
	}
}

func (w *memWorld) allowed(name string, who kiosk.Credentials) error {
	if w.valid != "" && who.Token != w.valid {
		return &kiosk.GatewayError{Call: name, Status: 401, Cause: "UNAUTHORIZED", Disposition: kiosk.NewToken}
	}
	return nil
}

func (w *memWorld) UserToken(ctx context.Context, r kiosk.TokenRequest) (_ kiosk.UserToken, err error) {
	defer w.leave(ctx, "token", r.CorrelationID, &err)
	if err := w.enter(ctx, "token", r.CorrelationID); err != nil {
		return kiosk.UserToken{}, err
	}
	return kiosk.UserToken{Value: "t-" + r.CorrelationID}, nil
}

func (w *memWorld) Targets(ctx context.Context, who kiosk.Credentials) (_ kiosk.Targets, err error) {
	defer w.leave(ctx, "urls", who.CorrelationID, &err)
	if err := w.enter(ctx, "urls", who.CorrelationID); err != nil {
		return kiosk.Targets{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.allowed("urls", who); err != nil {
		return kiosk.Targets{}, err
	}
	s := w.subs[who.CorrelationID]
	if s == nil || w.renew {
		w.ids++
		s = &memSubmission{id: fmt.Sprintf("sub-%d", w.ids), uploads: map[kiosk.Document]string{}}
		w.subs[who.CorrelationID] = s
	}
	t := kiosk.Targets{SubmissionID: s.id, Documents: map[kiosk.Document]kiosk.Target{}}
	if s.confirmed > 0 {
		return t, nil
	}
	for _, d := range kiosk.Documents() {
		t.Documents[d] = kiosk.Target{URL: who.CorrelationID + "/" + s.id + "/" + string(d), ExpiresIn: 10 * time.Minute}
	}
	return t, nil
}

func (w *memWorld) Upload(ctx context.Context, up kiosk.Upload) (err error) {
	part := strings.Split(up.Target.URL, "/")
	defer w.leave(ctx, "upload", part[0], &err)
	if err := w.enter(ctx, "upload", part[0]); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.subs[part[0]]; s.id == part[1] {
		s.uploads[kiosk.Document(part[2])] = string(up.JPEG)
	}
	return nil
}

func (w *memWorld) Confirm(ctx context.Context, who kiosk.Credentials, id string, _ json.RawMessage) (err error) {
	defer w.leave(ctx, "confirm", who.CorrelationID, &err)
	if err := w.enter(ctx, "confirm", who.CorrelationID); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.allowed("confirm", who); err != nil {
		return err
	}
	s := w.subs[who.CorrelationID]
	switch {
	case s == nil || s.id != id:
		return &kiosk.GatewayError{Call: "confirm", Status: 404, Cause: "SUBMISSION_DOES_NOT_EXIST", Disposition: kiosk.NewURLs}
	case s.confirmed > 0:
		return &kiosk.GatewayError{Call: "confirm", Status: 409, Cause: "SUBMISSION_STATE_CONFLICT", Disposition: kiosk.PollOn}
	case len(s.uploads) < 2:
		return &kiosk.GatewayError{Call: "confirm", Status: 422, Cause: "INVALID_UPLOAD_ARTIFACT", Disposition: kiosk.Recapture}
	}
	s.confirmed++
	w.effects[who.CorrelationID]++
	return nil
}

func (w *memWorld) Status(ctx context.Context, who kiosk.Credentials, id string) (_ kiosk.SubmissionStatus, err error) {
	defer w.leave(ctx, "status", who.CorrelationID, &err)
	if err := w.enter(ctx, "status", who.CorrelationID); err != nil {
		return kiosk.SubmissionStatus{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.allowed("status", who); err != nil {
		return kiosk.SubmissionStatus{}, err
	}
	s := w.subs[who.CorrelationID]
	if s == nil || s.id != id {
		return kiosk.SubmissionStatus{}, &kiosk.GatewayError{Call: "status", Status: 404, Cause: "SUBMISSION_DOES_NOT_EXIST", Disposition: kiosk.NewURLs}
	}
	if s.confirmed == 0 {
		return kiosk.SubmissionStatus{SubmissionID: id, Status: kiosk.Initiated}, nil
	}
	if s.polls++; s.polls <= w.polls {
		return kiosk.SubmissionStatus{SubmissionID: id, Status: kiosk.InProgress}, nil
	}
	approved := !w.reject
	return kiosk.SubmissionStatus{SubmissionID: id, Status: kiosk.StatusCompleted, Approved: &approved}, nil
}

// count returns how many calls of a name were made; "" counts all.
func (w *memWorld) count(name string) int { return len(w.made(name, "")) }

func (w *memWorld) made(name, correlation string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var made []call
	for _, c := range w.calls {
		if (name == "" || c.name == name) && (correlation == "" || c.correlation == correlation) {
			made = append(made, c)
		}
	}
	return made
}

func offline(name string) error {
	return &kiosk.GatewayError{Call: name, Trouble: kiosk.TroubleDNS, Disposition: kiosk.RetryLater, Err: errors.New("no such host")}
}

func job(id, session string) kiosk.Job {
	return kiosk.Job{
		Record: kiosk.RecordID(id), Session: kiosk.SessionID(session), Attempt: 1, AttemptsLeft: 2,
		CorrelationID: "c-" + id, UserID: "u", Locale: kiosk.English,
	}
}

func faces(id string) map[kiosk.Document][]byte {
	return map[kiosk.Document][]byte{kiosk.Selfie: []byte("far " + id), kiosk.AdditionalSelfie: []byte("near " + id)}
}

// bench is a deliverer between a fake outbox and a fake world.
type bench struct {
	*deliver.Deliverer

	world  *memWorld
	outbox *memOutbox
	story  *story
	stop   func()
}

// start runs a deliverer in the test's bubble.
func start(t *testing.T, w *memWorld, o *memOutbox, change func(*deliver.Options)) *bench {
	t.Helper()
	b := &bench{world: w, outbox: o, story: newStory()}
	rnd := rand.New(rand.NewPCG(7, 7))
	opts := deliver.Options{
		Outbox: o, Gateway: w, Partner: w, Next: gateway.Next, Report: b.story.report, Emit: b.story.emit,
		Backoff: deliver.FullJitter(time.Second, 5*time.Minute, rnd.Float64),
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if b.Deliverer, err = deliver.New(opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil at the end of its context", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

// pass lets time go by in the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAnOutageCostsOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 1000 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		const outage = 2 * time.Hour
		w.before = func(ctx context.Context, c call) error {
			if c.at >= outage {
				return nil
			}
			select { // each try takes a while to find out
			case <-time.After(3 * time.Second):
			case <-ctx.Done():
			}
			return offline(c.name)
		}
		b := start(t, w, o, nil)
		pass(outage)
		// At most two lanes find out at first; then a probe every 2.5 minutes on
		// average once the wait has grown.
		if n := w.count(""); n < 20 || n > 120 {
			t.Errorf("%d calls in a two-hour outage with 1000 records, want 20 to 120", n)
		}
		if s := b.Stats(); !s.Offline || s.Since.IsZero() || s.Pending != 1000 {
			t.Errorf("during the outage: %+v", s)
		}
		pass(time.Hour)
		if o.left() != 0 {
			t.Errorf("%d records are left an hour after the outage", o.left())
		}
		for id, s := range w.subs {
			if s.confirmed != 1 {
				t.Errorf("%s was confirmed %d times", id, s.confirmed)
			}
		}
		if s := b.Stats(); s.Offline || s.Settled != 1000 {
			t.Errorf("after the outage: %+v", s)
		}
	})
}

func TestAfterAnOutageEveryLaneWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 20 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		w.before = func(ctx context.Context, c call) error {
			switch {
			case c.at < time.Minute:
				return offline(c.name)
			case c.name == "confirm" && c.correlation == "c-r0":
				<-ctx.Done()
				return offline(c.name)
			}
			return nil
		}
		start(t, w, o, nil)
		// Jitter may put the first probe that passes, and the gaps after it, minutes
		// apart; after half an hour the outage would be forgotten.
		pass(28 * time.Minute)
		if o.ends() != 19 {
			t.Errorf("%d settled beside one that hangs, want 19", o.ends())
		}
	})
}

func TestThePersonWaitingGoesBeforeABacklogAndAHangingUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 50 {
			id := fmt.Sprint("old", i)
			o.put(job(id, id), faces(id))
		}
		w.before = func(ctx context.Context, c call) error {
			if c.name == "upload" && strings.HasPrefix(c.correlation, "c-old") {
				<-ctx.Done() // until the deliverer stops
				return offline(c.name)
			}
			return nil
		}
		b := start(t, w, o, nil)
		pass(time.Minute)
		o.put(job("new", "new"), faces("new"))
		pass(100 * time.Millisecond)
		if r := o.end("new"); r.Action != kiosk.ExitSuccess {
			t.Errorf("100 ms after it was stored, the new record is %+v; story: %s", r, b.story)
		}
	})
}

func TestAPersonWhoArrivesOfflineIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("old", "old"), faces("old"))
		w.before = func(ctx context.Context, c call) error {
			if c.correlation == "c-old" {
				select { // swallowed packets
				case <-time.After(10 * time.Second):
				case <-ctx.Done():
				}
			}
			return offline(c.name)
		}
		b := start(t, w, o, nil)
		pass(3 * time.Hour)
		o.put(job("new", "new"), faces("new"))
		pass(100 * time.Millisecond)
		if n := len(w.made("", "c-new")); n != 1 {
			t.Errorf("%d calls for the person who has just arrived, want 1", n)
		}
		if got := b.story.String(); !strings.HasSuffix(got, "deferred:partner_dns") {
			t.Errorf("story: %s", got)
		}
	})
}

func TestANewRecordTakesItsSessionAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for _, id := range []string{"a", "b", "c", "d", "e1"} {
			o.put(job(id, id[:1]), faces(id))
		}
		w.before = func(context.Context, call) error {
			<-time.After(time.Second)
			return nil
		}
		start(t, w, o, func(o *deliver.Options) { o.Lanes = 1 })
		pass(time.Millisecond)
		o.put(job("e2", "e"), faces("e2"))
		pass(time.Minute)
		confirms := w.made("confirm", "")
		at := func(id string) int {
			return slices.IndexFunc(confirms, func(c call) bool { return c.correlation == "c-"+id })
		}
		if len(confirms) != 6 || at("e1") > 1 || at("e2") > 3 || at("e1") > at("e2") {
			t.Errorf("confirmed in the order %v; want e1 and e2 among the first, in their order", confirms)
		}
	})
}

func TestOrderWithinASessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("s-1", "s"), faces("s-1"))
		o.put(job("s-2", "s"), faces("s-2"))
		o.put(job("x-1", "x"), faces("x-1"))
		w.before = func(_ context.Context, c call) error {
			if c.correlation == "c-s-1" && c.at < time.Hour {
				return &kiosk.GatewayError{Call: c.name, Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		start(t, w, o, nil)
		pass(30 * time.Minute)
		if n := len(w.made("", "c-s-2")); n > 0 {
			t.Errorf("%d calls for the second record while the first is not delivered", n)
		}
		if o.end("x-1").Action != kiosk.ExitSuccess {
			t.Error("a record of another session waits for it, too")
		}
		pass(time.Hour)
		if o.ends() != 3 {
			t.Errorf("%d settled, want 3", o.ends())
		}
	})
}

func TestAPoisonRecordHoldsUpNobody(t *testing.T) {
	for name, poison := range map[string]error{
		"that breaks every connection": offline("upload"),
		"that is answered 500":         &kiosk.GatewayError{Call: "upload", Status: 500, Disposition: kiosk.RetryLater},
		"that is answered 503":         &kiosk.GatewayError{Call: "upload", Status: 503, Disposition: kiosk.RetryLater},
		"whose URLs never work":        &kiosk.GatewayError{Call: "upload", Status: 403, Disposition: kiosk.NewURLs},
		"that fails strangely":         errors.New("no gateway error at all"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				o.put(job("poison", "poison"), faces("poison"))
				for i := range 30 {
					id := fmt.Sprint("r", i)
					o.put(job(id, id), faces(id))
				}
				w.before = func(_ context.Context, c call) error {
					if c.name == "upload" && c.correlation == "c-poison" {
						return poison
					}
					return nil
				}
				b := start(t, w, o, nil)
				pass(time.Minute)
				if o.ends() != 30 || o.left() != 1 {
					t.Errorf("%d settled within a minute, want all 30 others", o.ends())
				}
				pass(24 * time.Hour)
				// Every 2.5 minutes on average, and it may ask for URLs twice each time.
				if n := len(w.made("upload", "c-poison")); n > 2*24*60 {
					t.Errorf("the poison record was tried %d times in a day", n)
				}
				o.put(job("late", "late"), faces("late"))
				pass(10 * time.Second)
				if o.end("late").Action != kiosk.ExitSuccess {
					t.Errorf("a record after a day of poison: %+v; %+v", o.end("late"), b.Stats())
				}
			})
		})
	}
}

func TestARecordThatDoesNotOpenIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("bad", "bad"), faces("bad"))
		o.put(job("good", "good"), faces("good"))
		o.sealed["bad"] = true
		start(t, w, o, nil)
		pass(time.Second)
		if o.aside("bad") != "unreadable" || o.end("good").Action != kiosk.ExitSuccess {
			t.Errorf("dead %q, settled %+v", o.aside("bad"), o.end("good"))
		}
	})
}

func TestPollingGrowsRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.polls = 1 << 20
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, nil)
		pass(24 * time.Hour)
		var at []time.Duration
		for _, c := range w.made("status", "") {
			at = append(at, c.at)
		}
		for i := 1; i < len(at); i++ {
			gap := at[i] - at[i-1]
			want := 5 * time.Second
			switch {
			case i <= 5:
				want = time.Second
			case i <= 20:
				want = 2 * time.Second
			case at[i-1] >= 2*time.Minute:
				if gap < 15*time.Second || gap > max(15*time.Second, at[i-1]/8) {
					t.Errorf("in the background, poll %d came after %v", i+1, gap)
				}
				continue
			}
			if gap != want {
				t.Errorf("poll %d came after %v, want %v", i+1, gap, want)
			}
		}
		if len(at) > 200 {
			t.Errorf("%d polls in a day", len(at))
		}
		if n := strings.Count(b.story.String(), "status:"); n != 1 {
			t.Errorf("one status was told %d times", n)
		}
	})
}

func TestAnExpiredTokenIsRenewedOnceAndTheSameCaptureIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		j := job("r", "r")
		j.Token = "of the launch, expired"
		w.valid = "t-c-r"
		o.put(j, faces("r"))
		start(t, w, o, nil)
		pass(time.Second)
		if w.count("token") != 1 || o.end("r").Action != kiosk.ExitSuccess {
			t.Errorf("%d tokens, settled %+v; want 1 and success", w.count("token"), o.end("r"))
		}
		if got := w.subs["c-r"].uploads[kiosk.Selfie]; got != "far r" {
			t.Errorf("the selfie is %q", got)
		}
	})
}

func TestATokenThatIsNeverGoodIsNotAskedForInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.valid = "none"
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, nil)
		pass(time.Hour)
		if n := w.count("token"); n < 5 || n > 120 {
			t.Errorf("%d tokens in an hour", n)
		}
		if o.left() != 1 || !strings.Contains(b.story.String(), "deferred:token") {
			t.Errorf("story: %s", b.story)
		}
	})
}

func TestFailuresOfOneStep(t *testing.T) {
	fail := func(name string, status int, cause string, d kiosk.Disposition) *kiosk.GatewayError {
		return &kiosk.GatewayError{Call: name, Status: status, Cause: cause, Disposition: d}
	}
	for name, tt := range map[string]struct {
		err    *kiosk.GatewayError
		times  int // how often; 0: always
		left   int // attempts
		want   kiosk.Action
		reason string
		dead   string
	}{
		"a dead upload URL is replaced":                      {fail("upload", 403, "", kiosk.NewURLs), 1, 2, kiosk.ExitSuccess, "COMPLETED", ""},
		"a submission the gateway lost is replaced":          {fail("confirm", 404, "SUBMISSION_DOES_NOT_EXIST", kiosk.NewURLs), 1, 2, kiosk.ExitSuccess, "COMPLETED", ""},
		"a submission it keeps losing ends aside":            {fail("confirm", 404, "SUBMISSION_DOES_NOT_EXIST", kiosk.NewURLs), 0, 2, "", "", "submission_lost"},
		"a refused image is captured anew":                   {fail("confirm", 422, "INVALID_UPLOAD_ARTIFACT", kiosk.Recapture), 0, 1, "", "", kiosk.NeedsRecapture},
		"a refused last image is a failure":                  {fail("confirm", 422, "INVALID_UPLOAD_ARTIFACT", kiosk.Recapture), 0, 0, kiosk.ExitFailure, "INVALID_UPLOAD_ARTIFACT", ""},
		"used up attempts are a failure":                     {fail("urls", 429, "SUBMISSION_QUOTA_EXCEEDED", kiosk.Final), 0, 2, kiosk.ExitFailure, "SUBMISSION_QUOTA_EXCEEDED", ""},
		"a request the gateway will never take is set aside": {fail("confirm", 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final), 0, 2, "", "", "INVALID_CONFIRM_UPLOAD_REQUEST"},
		"a person the partner does not know is set aside":    {fail("token", 400, "USER_ID_CAN_NOT_BE_EMPTY", kiosk.Final), 0, 2, "", "", "USER_ID_CAN_NOT_BE_EMPTY"},
		"a refusal without a cause has its status":           {fail("status", 400, "", kiosk.Final), 0, 2, "", "", "status_http_400"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				n := 0
				w.before = func(_ context.Context, c call) error {
					if c.name != tt.err.Call || tt.times > 0 && n >= tt.times {
						return nil
					}
					n++
					return tt.err
				}
				j := job("r", "r")
				j.AttemptsLeft = tt.left
				o.put(j, faces("r"))
				b := start(t, w, o, nil)
				pass(time.Hour)
				if got := o.end("r"); got.Action != tt.want || got.Reason != tt.reason || o.aside("r") != tt.dead {
					t.Errorf("settled %+v, dead %q; want %s for %q, dead %q", got, o.aside("r"), tt.want, tt.reason, tt.dead)
				}
				want := tt.want
				switch tt.dead {
				case "":
				case kiosk.NeedsRecapture:
					want = kiosk.Retry
				default:
					want = kiosk.ExitError
				}
				if r := b.story.receipts; len(r) != 1 || r[0].Action != want || r[0].Record != "r" || r[0].Session != "r" {
					t.Errorf("told %+v, want one %s", r, want)
				}
				if n := w.subs["c-r"]; n != nil && n.confirmed > 1 {
					t.Errorf("confirmed %d times", n.confirmed)
				}
			})
		})
	}
}

func TestARejectionAsksForAnotherCaptureWhileAttemptsAreLeft(t *testing.T) {
	for left, want := range map[int]kiosk.Action{2: kiosk.Retry, 1: kiosk.Retry, 0: kiosk.ExitFailure} {
		synctest.Test(t, func(t *testing.T) {
			w, o := newMemWorld(), newOutbox()
			w.reject = true
			j := job("r", "r")
			j.AttemptsLeft = left
			o.put(j, faces("r"))
			b := start(t, w, o, nil)
			pass(time.Minute)
			if r := b.story.receipts; len(r) != 1 || r[0].Action != want {
				t.Errorf("%d attempts left: told %+v, want %s", left, r, want)
			}
			if aside := o.aside("r") == kiosk.NeedsRecapture; aside != (want == kiosk.Retry) {
				t.Errorf("%d attempts left: dead %q, settled %+v", left, o.aside("r"), o.end("r"))
			}
		})
	}
}

// TestARestartAtAnyStepLosesNothingAndRepeatsNothing stops the deliverer at
// every call to the outside, before and after it took effect, and starts
// another one.
func TestARestartAtAnyStepLosesNothingAndRepeatsNothing(t *testing.T) {
	for _, renew := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for step := range 7 {
				t.Run(fmt.Sprintf("renew=%t/after=%t/step=%d", renew, after, step), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w, o := newMemWorld(), newOutbox()
						w.renew = renew
						o.put(job("r", "r"), faces("r"))
						n := 0
						end := func(ctx context.Context, _ call) error {
							if n++; n-1 == step {
								<-ctx.Done() // the process ends
								return offline("x")
							}
							return nil
						}
						if after {
							w.after = end
						} else {
							w.before = end
						}
						b := start(t, w, o, nil)
						pass(time.Second)
						b.stop()
						start(t, w, o, nil)
						pass(time.Minute)
						s := w.subs["c-r"]
						if o.end("r").Action != kiosk.ExitSuccess || w.effects["c-r"] != 1 {
							t.Errorf("settled %+v, confirmed %d times", o.end("r"), w.effects["c-r"])
						}
						if s.uploads[kiosk.Selfie] != "far r" || s.uploads[kiosk.AdditionalSelfie] != "near r" {
							t.Errorf("images at the gateway: %v", s.uploads)
						}
					})
				})
			}
		}
	}
}

func TestABadDiskIsWaitedOutAndKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.polls = 3
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, nil)
		pass(500 * time.Millisecond) // polling now
		o.failSettle(errors.New("input/output error"))
		pass(time.Minute)
		if r := b.story.receipts; len(r) != 1 || r[0].Action != kiosk.ExitSuccess {
			t.Errorf("told %+v while the disk is bad, want the verdict once", r)
		}
		if s := b.Stats(); s.LocalFaults < 2 || s.Settled != 0 {
			t.Errorf("%+v", s)
		}
		o.failSettle(nil)
		pass(5 * time.Minute)
		if o.end("r").Action != kiosk.ExitSuccess || len(b.story.receipts) != 1 {
			t.Errorf("settled %+v, told %d times", o.end("r"), len(b.story.receipts))
		}
		if n := w.count("status"); n != 4 {
			t.Errorf("%d polls; the verdict was asked for again", n)
		}

		o.fail(errors.New("input/output error"))
		o.put(job("r2", "r2"), faces("r2"))
		pass(time.Hour)
		o.fail(nil)
		pass(5*time.Minute + time.Second)
		if o.end("r2").Action != kiosk.ExitSuccess {
			t.Errorf("after the disk came back: %+v", o.end("r2"))
		}
	})
}

func TestTheServersWishIsWaitedFor(t *testing.T) {
	for status, name := range map[int]string{429: "busy", 503: "unavailable", 500: "unavailable"} {
		synctest.Test(t, func(t *testing.T) {
			w, o := newMemWorld(), newOutbox()
			o.put(job("r", "r"), faces("r"))
			w.before = func(_ context.Context, c call) error {
				if c.name == "confirm" && c.at < time.Minute {
					return &kiosk.GatewayError{Call: c.name, Status: status, Disposition: kiosk.RetryLater, RetryAfter: 2 * time.Minute}
				}
				return nil
			}
			b := start(t, w, o, nil)
			pass(10 * time.Minute)
			made := w.made("confirm", "")
			if len(made) != 2 || made[1].at-made[0].at < 2*time.Minute {
				t.Errorf("HTTP %d: confirmed at %v, want 2 minutes apart", status, made)
			}
			if !strings.Contains(b.story.String(), "deferred:"+name) {
				t.Errorf("HTTP %d: %s", status, b.story)
			}
		})
	}
}

func TestImagesAreOverwrittenAfterUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("r", "r"), faces("r"))
		fails := 0
		w.before = func(_ context.Context, c call) error {
			if fails++; c.name == "upload" && fails < 6 {
				return &kiosk.GatewayError{Call: c.name, Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		start(t, w, o, nil)
		pass(time.Hour)
		if len(o.lent) < 3 || o.left() != 0 {
			t.Fatalf("%d images lent, %d records left", len(o.lent), o.left())
		}
		for i, img := range o.lent {
			if strings.Trim(string(img), "\x00") != "" {
				t.Errorf("image %d still holds %q", i, img)
			}
		}
	})
}

func TestAnotherSubmissionsVerdictIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("r", "r"), faces("r"))
		start(t, w, o, func(opts *deliver.Options) { opts.Gateway = mixedUp{w} })
		pass(10 * time.Minute)
		if o.ends() != 0 || o.left() != 1 {
			t.Errorf("%d settled with another's verdict", o.ends())
		}
	})
}

// mixedUp is a gateway that answers every poll with another submission.
type mixedUp struct{ *memWorld }

func (m mixedUp) Status(context.Context, kiosk.Credentials, string) (kiosk.SubmissionStatus, error) {
	yes := true
	return kiosk.SubmissionStatus{SubmissionID: "another", Status: kiosk.StatusCompleted, Approved: &yes}, nil
}

func TestAnEarlierSubmissionsVerdictIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.subs["c-r"] = &memSubmission{id: "sub-0", confirmed: 1, uploads: map[kiosk.Document]string{}}
		w.polls = 3 // it is not judged yet
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, nil)
		pass(time.Millisecond)
		if o.aside("r") != "" {
			t.Errorf("dead %q before the earlier one has ended", o.aside("r"))
		}
		pass(time.Minute)
		if o.aside("r") != "session_closed" || o.ends() != 0 || w.count("confirm") != 0 || b.story.word("r").Action != kiosk.ExitError {
			t.Errorf("dead %q, settled %+v, told %+v after %d confirmations", o.aside("r"), o.end("r"), b.story.word("r"), w.count("confirm"))
		}
	})
}

func TestASecondCaptureDoesNotGetTheFirstOnesVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.reject = true
		b := start(t, w, o, nil)
		first, second := job("s-1", "s"), job("s-2", "s")
		second.CorrelationID, second.Attempt, second.AttemptsLeft = first.CorrelationID, 2, 0
		o.put(first, faces("s-1"))
		pass(5 * time.Second)
		o.put(second, faces("s-2"))
		pass(time.Minute)
		if o.aside("s-2") != "session_closed" || b.story.word("s-2").Action != kiosk.ExitError {
			t.Errorf("dead %q, settled %+v, told %+v", o.aside("s-2"), o.end("s-2"), b.story.word("s-2"))
		}
	})
}

// notFound is a gateway that knows no submission.
func notFound(name string) error {
	return &kiosk.GatewayError{Call: name, Status: 404, Cause: "SUBMISSION_DOES_NOT_EXIST", Disposition: kiosk.NewURLs}
}

func TestASubmissionThatMayBeConfirmedIsReplacedByNoOther(t *testing.T) {
	for _, name := range []string{"confirm", "status"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				w.renew = true
				denied := 0
				deny := func(_ context.Context, c call) error {
					if c.name != name || denied >= 3 {
						return nil
					}
					denied++
					return notFound(name)
				}
				if w.before = deny; name == "confirm" { // it took effect, and the answer denies it
					w.before, w.after = nil, deny
				}
				o.put(job("r", "r"), faces("r"))
				b := start(t, w, o, nil)
				pass(2 * time.Minute)
				if w.effects["c-r"] != 1 || w.count("urls") != 1 || o.end("r").Action != kiosk.ExitSuccess {
					t.Errorf("%d effects, URLs asked for %d times, settled %+v; story %s", w.effects["c-r"], w.count("urls"), o.end("r"), b.story)
				}
			})
		})
	}
}

func TestASubmissionThatStaysLostIsSetAside(t *testing.T) {
	for name, restart := range map[string]bool{"in one run": false, "with a restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				w.before = func(_ context.Context, c call) error {
					if c.name == "status" {
						return notFound("status")
					}
					return nil
				}
				o.put(job("r", "r"), faces("r"))
				b := start(t, w, o, nil)
				pass(10 * time.Minute)
				if o.aside("r") != "" || w.count("status") > 12 {
					t.Errorf("dead %q after ten minutes and %d polls", o.aside("r"), w.count("status"))
				}
				if restart {
					b.stop()
					b = start(t, w, o, nil)
				}
				pass(time.Hour)
				if o.aside("r") != "submission_lost" || b.story.word("r").SubmissionID != "sub-1" || w.count("confirm") != 1 || w.count("urls") != 1 {
					t.Errorf("dead %q, told %+v", o.aside("r"), b.story.word("r"))
				}
				if n := w.count("status"); n > 15 {
					t.Errorf("%d polls", n)
				}
			})
		})
	}
}

func TestARecordOfOneImageTakesEffectOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.renew = true
		lost := false
		w.after = func(_ context.Context, c call) error {
			switch {
			case c.name == "urls": // the gateway is content with one
				w.mu.Lock()
				w.subs[c.correlation].uploads[kiosk.AdditionalSelfie] = ""
				w.mu.Unlock()
			case c.name == "confirm" && !lost:
				lost = true
				return offline("confirm")
			}
			return nil
		}
		o.put(job("r", "r"), map[kiosk.Document][]byte{kiosk.Selfie: []byte("far")})
		b := start(t, w, o, nil)
		pass(time.Millisecond)
		b.stop()
		start(t, w, o, nil)
		pass(time.Minute)
		if !lost || w.effects["c-r"] != 1 || w.count("urls") != 1 || o.end("r").Action != kiosk.ExitSuccess {
			t.Errorf("%d effects, URLs asked for %d times, settled %+v", w.effects["c-r"], w.count("urls"), o.end("r"))
		}
	})
}

func TestARecordThatIsRefusedForLongIsSetAside(t *testing.T) {
	const day = 24 * time.Hour
	refuse := func(w *memWorld, name string, status int) {
		w.before = func(_ context.Context, c call) error {
			if c.correlation == "c-poison" && c.name == name {
				return &kiosk.GatewayError{Call: name, Status: status, Disposition: kiosk.RetryLater}
			}
			return nil
		}
	}
	for name, tt := range map[string]struct {
		status int
		call   string
		others bool
		before time.Duration // it is not given up before
		after  time.Duration // and it is after so much more
		dead   string
	}{
		"while others are served":         {500, "confirm", true, 6 * time.Hour, 6 * time.Hour, "refused_http_500"},
		"of its own, by a permission":     {403, "status", true, 6 * time.Hour, 6 * time.Hour, "refused_http_403"},
		"by the store":                    {500, "upload", true, 6 * time.Hour, 6 * time.Hour, "refused_http_500"},
		"and there are no others to tell": {500, "confirm", false, 6 * day, 2 * day, "refused_http_500"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				refuse(w, tt.call, tt.status)
				o.put(job("poison", "poison"), faces("poison"))
				start(t, w, o, nil)
				if tt.others {
					pass(time.Hour)
					for i := range 3 {
						id := fmt.Sprint("r", i)
						o.put(job(id, id), faces(id))
						pass(time.Minute)
					}
				}
				pass(tt.before)
				if o.aside("poison") != "" {
					t.Errorf("dead %q after %v", o.aside("poison"), tt.before)
				}
				pass(tt.after)
				if o.aside("poison") != tt.dead {
					t.Errorf("dead %q, want %q", o.aside("poison"), tt.dead)
				}
			})
		})
	}
}

func TestALongOutageGivesNobodyUp(t *testing.T) {
	for name, g := range map[string]kiosk.GatewayError{
		"no network":                {Trouble: kiosk.TroubleDNS},
		"500 for everybody":         {Status: 500},
		"403 for everybody":         {Status: 403, Cause: "FORBIDDEN"},
		"401 for every new token":   {Status: 401, Cause: "UNAUTHORIZED", Disposition: kiosk.NewToken},
		"unavailable for everybody": {Status: 503},
	} {
		for _, step := range []string{"urls", "confirm"} {
			t.Run(name+" at "+step, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const outage = 30 * time.Hour // more than enough for 200 tries
					w, o := newMemWorld(), newOutbox()
					for i := range 8 {
						id := fmt.Sprint("r", i)
						o.put(job(id, id), faces(id))
					}
					w.before = func(_ context.Context, c call) error {
						if c.name != step || c.at > outage {
							return nil
						}
						said := g
						if said.Call = c.name; said.Disposition == "" {
							said.Disposition = kiosk.RetryLater
						}
						return &said
					}
					b := start(t, w, o, nil)
					pass(outage)
					if s := b.Stats(); s.Dead != 0 || s.Pending != 8 {
						t.Errorf("after 30 hours: %+v", s)
					}
					if n := w.count(step); n > 30*60 {
						t.Errorf("%d calls in 30 hours", n)
					}
					pass(6 * time.Hour)
					if o.ends() != 8 {
						t.Errorf("%d of 8 settled afterwards", o.ends())
					}
				})
			})
		}
	}
}

func TestASubmissionThatIsNeverBegunIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		w, o := newMemWorld(), newOutbox()
		w.before = func(_ context.Context, c call) error {
			if c.name == "confirm" {
				return &kiosk.GatewayError{Call: c.name, Status: 409, Cause: "SUBMISSION_STATE_CONFLICT", Disposition: kiosk.PollOn}
			}
			return nil
		}
		o.put(job("r", "r"), faces("r"))
		start(t, w, o, nil)
		pass(5 * day)
		if o.aside("r") != "" {
			t.Errorf("dead %q after five days", o.aside("r"))
		}
		pass(5 * day)
		if o.aside("r") != "stays_initiated" {
			t.Errorf("dead %q after ten days and %d polls", o.aside("r"), w.count("status"))
		}
	})
}

func TestEveryPersonWhoArrivesFindsALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.before = func(ctx context.Context, c call) error {
			if c.name == "upload" && c.correlation != "c-last" {
				<-ctx.Done()
				return offline(c.name)
			}
			return nil
		}
		for i := range 6 {
			id := fmt.Sprint("old", i)
			o.put(job(id, id), faces(id))
		}
		start(t, w, o, nil)
		pass(time.Second)
		for i := range 5 { // each hangs
			id := fmt.Sprint("p", i)
			o.put(job(id, id), faces(id))
			pass(50 * time.Second)
			if len(w.made("upload", "c-"+id)) != 1 {
				t.Errorf("person %d: %v", i+1, w.made("", "c-"+id))
			}
		}
		pass(time.Minute)
		o.put(job("last", "last"), faces("last"))
		pass(100 * time.Millisecond)
		if o.end("last").Action != kiosk.ExitSuccess {
			t.Errorf("the person after them: %v", w.made("", "c-last"))
		}
	})
}

func TestAPersonsOwnWaitsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		start(t, w, o, func(o *deliver.Options) { o.Backoff = func(int) time.Duration { return 5 * time.Minute } })
		pass(time.Second)
		w.before = func(_ context.Context, c call) error {
			if c.name == "confirm" && c.at < 40*time.Second {
				return &kiosk.GatewayError{Call: c.name, Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		o.put(job("r", "r"), faces("r"))
		pass(50 * time.Second)
		if o.end("r").Action != kiosk.ExitSuccess {
			t.Errorf("a person waits for %v", w.made("confirm", ""))
		}
	})
}

func TestARecordTakenAwayIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.polls = 1 << 20
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, nil)
		pass(time.Minute)
		o.mu.Lock()
		o.order = nil // expired
		o.mu.Unlock()
		pass(2 * time.Minute)
		n := w.count("")
		pass(time.Hour)
		if w.count("") != n || b.Stats().Pending != 0 {
			t.Errorf("%d calls for a record that is gone; %+v", w.count("")-n, b.Stats())
		}
	})
}

func TestItBeatsWhileUploadsHangAndInAnOutage(t *testing.T) {
	for name, hang := range map[string]bool{"hang": true, "outage": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				for i := range 5 {
					id := fmt.Sprint("r", i)
					o.put(job(id, id), faces(id))
				}
				w.before = func(ctx context.Context, c call) error {
					if hang {
						<-ctx.Done()
					}
					return offline(c.name)
				}
				last, longest := time.Now(), time.Duration(0)
				start(t, w, o, func(o *deliver.Options) {
					o.Backoff = func(int) time.Duration { return 10 * time.Minute }
					o.Beat = func() { longest, last = max(longest, time.Since(last)), time.Now() }
				})
				pass(time.Hour)
				if longest > 5*time.Second || time.Since(last) > 5*time.Second {
					t.Errorf("%v without a beat", max(longest, time.Since(last)))
				}
			})
		})
	}
}

func TestFullJitter(t *testing.T) {
	for failures, limit := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 30: 5 * time.Minute,
	} {
		for _, r := range []float64{0, 0.5, 0.999} {
			backoff := deliver.FullJitter(time.Second, 5*time.Minute, func() float64 { return r })
			if got, want := backoff(failures), time.Duration(r*float64(limit)); got != want {
				t.Errorf("after %d failures with %v: %v, want %v", failures, r, got, want)
			}
		}
	}
}

func TestOptionsThatAreMissingAreNamed(t *testing.T) {
	w, o := newMemWorld(), newOutbox()
	whole := deliver.Options{Outbox: o, Gateway: w, Partner: w, Next: gateway.Next}
	for word, change := range map[string]func(*deliver.Options){
		"outbox":  func(o *deliver.Options) { o.Outbox = nil },
		"gateway": func(o *deliver.Options) { o.Gateway = nil },
		"partner": func(o *deliver.Options) { o.Partner = nil },
		"next":    func(o *deliver.Options) { o.Next = nil },
		"lanes":   func(o *deliver.Options) { o.Lanes = -1 },
	} {
		opts := whole
		change(&opts)
		if _, err := deliver.New(opts); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("without %s: %v", word, err)
		}
	}
	if _, err := deliver.New(whole); err != nil {
		t.Error(err)
	}
}
