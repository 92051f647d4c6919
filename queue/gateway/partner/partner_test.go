package partner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/partner"
)

const auth = "Bearer sample-callback-key"

// A bank is a gateway in memory that behaves.
type bank struct {
	mu       sync.Mutex
	life     time.Duration // of partner tokens
	fetched  int           // partner tokens
	valid    string        // the partner token that is taken
	users    map[string]string
	flows    int // user tokens
	strict   bool
	answers  map[string]gateway.Details // by session
	asked    []time.Time                // for details
	down     error
	fetching chan struct{} // if set, holds up partner tokens
}

func newBank() *bank {
	return &bank{life: time.Hour, users: map[string]string{}, answers: map[string]gateway.Details{}}
}

func refusal(status int, cause string, then kiosk.Disposition) error {
	return &gateway.Error{Call: "test", Service: kiosk.GatewayService, Status: status, Cause: cause, Disposition: then}
}

func (b *bank) PartnerToken(ctx context.Context) (gateway.Token, error) {
	if b.fetching != nil {
		select {
		case <-b.fetching:
		case <-ctx.Done():
			return gateway.Token{}, ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		b.asked = append(b.asked, time.Now()) // for what comes after
		return gateway.Token{}, b.down
	}
	b.fetched++
	b.valid = fmt.Sprintf("secret-partner-%d", b.fetched)
	return gateway.Token{Value: b.valid, Expires: time.Now().Add(b.life)}, nil
}

func (b *bank) InitiateFlow(_ context.Context, token gateway.Token, r gateway.FlowRequest) (gateway.Flow, error) {
	if err := r.Validate(); err != nil {
		return gateway.Flow{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if token.Value != b.valid {
		return gateway.Flow{}, refusal(http.StatusUnauthorized, "UNAUTHORIZED", kiosk.NewToken)
	}
	if old, used := b.users[r.SessionID]; used && (b.strict || old != r.UserID) {
		return gateway.Flow{}, refusal(http.StatusBadRequest, "DUPLICATE_PARTNER_SESSION_ID", kiosk.PollOn)
	}
	b.users[r.SessionID] = r.UserID
	b.flows++
	expires := time.Now().Add(60 * 24 * time.Hour)
	return gateway.Flow{Token: kiosk.UserToken{Value: fmt.Sprintf("secret-user-%d", b.flows), Expires: expires}, Expires: expires}, nil
}

func (b *bank) Details(_ context.Context, token gateway.Token, by gateway.DetailsQuery) (gateway.Details, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, time.Now())
	if b.down != nil {
		return gateway.Details{}, b.down
	}
	if token.Value != b.valid {
		return gateway.Details{}, refusal(http.StatusUnauthorized, "UNAUTHORIZED", kiosk.NewToken)
	}
	for session, d := range b.answers {
		if session == by.SessionID || d.SubmissionID == by.SubmissionID {
			return d, nil
		}
	}
	return gateway.Details{}, refusal(http.StatusBadRequest, "SUBMISSION_DOES_NOT_EXIST", kiosk.RetryLater)
}

func (b *bank) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// A world is a partner backend at a bank.
type world struct {
	*partner.Server

	bank *bank
	log  *bytes.Buffer
}

func newWorld(tb testing.TB, opts partner.Options) *world {
	tb.Helper()
	w := &world{log: &bytes.Buffer{}}
	if opts.Gateway == nil {
		opts.Gateway = newBank()
	}
	w.bank, _ = opts.Gateway.(*bank)
	if opts.StateDir == "" {
		opts.StateDir = private(tb)
	}
	opts.CallbackAuth = auth
	opts.Log = slog.New(slog.NewJSONHandler(&lockedWriter{w: w.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := partner.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.Close() // again, where the test did
		if strings.Contains(w.log.String(), "secret-") {
			tb.Errorf("a token is in the log: %s", w.log)
		}
	})
	w.Server = s
	return w
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// run runs the backend until the test stops it or ends.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// do makes one request from this machine; headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func (w *world) initiate(correlation, user string) *httptest.ResponseRecorder {
	return w.do("POST", "/v1/kiosk/initiate", fmt.Sprintf(`{"correlationId":%q,"userId":%q,"locale":"id"}`, correlation, user))
}

// callback tells of submission s in flow c.
func (w *world) callback(body string) *httptest.ResponseRecorder {
	return w.do("POST", "/callback", body, "Authorization: "+auth)
}

func cause(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var e struct {
		Success bool
		Errors  []struct{ Cause string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	if len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Cause
}

func field(t *testing.T, rec *httptest.ResponseRecorder, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	return fmt.Sprint(m[name])
}

func TestOptionsAreJudged(t *testing.T) {
	good := partner.Options{Gateway: newBank(), CallbackAuth: "k", StateDir: "d"}
	if err := good.Validate(); err != nil {
		t.Errorf("the least there is: %v", err)
	}
	for want, spoil := range map[string]func(*partner.Options){
		"gateway":         func(o *partner.Options) { o.Gateway = nil },
		"callback auth":   func(o *partner.Options) { o.CallbackAuth = "" },
		"state directory": func(o *partner.Options) { o.StateDir = "" },
		"fallback after":  func(o *partner.Options) { o.FallbackAfter = -1 },
		"keep":            func(o *partner.Options) { o.Keep = -1 },
		"base URL":        func(o *partner.Options) { o.Reference = partner.References(".") },
	} {
		o := good
		spoil(&o)
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestOnePartnerTokenIsFetchedAtATimeAndFiveMinutesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank()
		b.fetching = make(chan struct{})
		w := newWorld(t, partner.Options{Gateway: b})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if rec := w.initiate(fmt.Sprint("c", i), "u"); rec.Code != http.StatusOK {
					t.Errorf("initiate: %d %s", rec.Code, rec.Body)
				}
			})
		}
		synctest.Wait() // all of them want a token
		close(b.fetching)
		all.Wait()
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {54*time.Minute + 59*time.Second, 1}, {2 * time.Second, 2}} {
			wait(tt.after)
			w.initiate("later"+tt.after.String(), "u")
			if b.fetched != tt.want {
				t.Errorf("%d tokens fetched %v later, want %d", b.fetched, tt.after, tt.want)
			}
		}
		// One that lives for less is used while it lives.
		b.life = 6 * time.Second
		wait(time.Hour)
		for i, want := range []int{3, 3, 4} {
			w.initiate(fmt.Sprint("short", i), "u")
			if b.fetched != want {
				t.Errorf("%d tokens fetched after request %d, want %d", b.fetched, i, want)
			}
			wait(2 * time.Second)
		}
		// One that the gateway does not take is fetched anew, once.
		b.life = time.Hour
		wait(time.Hour)
		w.initiate("fresh", "u")
		before := b.fetched
		b.valid = "secret-other"
		if rec := w.initiate("turned-down", "u"); rec.Code != http.StatusOK || b.fetched != before+1 {
			t.Errorf("a token that was turned down: %d, %d fetched", rec.Code, b.fetched-before)
		}
	})
}

// wait lets time pass in a bubble.
func wait(d time.Duration) { <-time.After(d) }

func TestAKioskGetsATokenForItsOwnPersonOnly(t *testing.T) {
	w := newWorld(t, partner.Options{})
	body := func(s string) *httptest.ResponseRecorder { return w.do("POST", "/v1/kiosk/initiate", s) }
	for _, tt := range []struct {
		name, body string
		code       int
		cause      string
	}{
		{"first", `{"correlationId":"c","userId":"u","userIdType":"CUSTOMER_ID","locale":"id"}`, 200, ""},
		{"again", `{"correlationId":"c","userId":"u","locale":"en"}`, 200, ""},
		{"renewed without the person", `{"correlationId":"c","locale":"id"}`, 200, ""},
		{"another person", `{"correlationId":"c","userId":"other","locale":"id"}`, 409, "DUPLICATE_PARTNER_SESSION_ID"},
		{"another kind of id", `{"correlationId":"c","userId":"u","userIdType":"PHONE","locale":"id"}`, 409, "DUPLICATE_PARTNER_SESSION_ID"},
		{"nobody", `{"correlationId":"new","locale":"id"}`, 400, "USER_ID_CAN_NOT_BE_EMPTY"},
		{"no flow", `{"userId":"u","locale":"id"}`, 400, "CORRELATION_ID_CAN_NOT_BE_EMPTY"},
		{"a header in the id", `{"correlationId":"a\r\nb","userId":"u","locale":"id"}`, 400, "INVALID_CORRELATION_ID"},
		{"a long id", `{"correlationId":"` + strings.Repeat("x", 129) + `","userId":"u","locale":"id"}`, 400, "INVALID_CORRELATION_ID"},
		{"a header in the user", `{"correlationId":"d","userId":"a b","locale":"id"}`, 400, "INVALID_USER_ID"},
		{"another language", `{"correlationId":"d","userId":"u","locale":"id_ID"}`, 400, "INVALID_LOCALE"},
		{"no JSON", `correlationId=c`, 400, "INVALID_INITIATE_REQUEST"},
		{"too much", `{"correlationId":"d","userId":"` + strings.Repeat("x", 17<<10) + `"}`, 400, "INVALID_INITIATE_REQUEST"},
	} {
		rec := body(tt.body)
		if rec.Code != tt.code || cause(t, rec) != tt.cause {
			t.Errorf("%s: %d %s, want %d %s", tt.name, rec.Code, rec.Body, tt.code, tt.cause)
		}
		if tt.code == 200 && (field(t, rec, "token") == "" || field(t, rec, "expiresAt") == "") {
			t.Errorf("%s: %s", tt.name, rec.Body)
		}
	}
	if w.bank.flows != 3 {
		t.Errorf("the gateway was asked for %d tokens, want 3: none for another person", w.bank.flows)
	}
}

func TestATokenOfAGatewayThatInitiatesASessionOnceIsGivenAgain(t *testing.T) {
	b := newBank()
	b.strict = true
	w := newWorld(t, partner.Options{Gateway: b})
	first := field(t, w.initiate("c", "u"), "token")
	if again := w.initiate("c", "u"); again.Code != http.StatusOK || field(t, again, "token") != first {
		t.Errorf("again: %d %s, want the first token", again.Code, again.Body)
	}
	b.users["theirs"] = "somebody"
	if rec := w.initiate("theirs", "u"); rec.Code != http.StatusConflict {
		t.Errorf("a session of somebody else's: %d, want 409", rec.Code)
	}
	// What was refused must not bind the id to the wrong person.
	b.strict = false
	if rec := w.initiate("theirs", "somebody"); rec.Code != http.StatusOK {
		t.Errorf("their own session: %d %s", rec.Code, rec.Body)
	}
}

func TestAGatewayInTroubleIsToldAsPassing(t *testing.T) {
	b := newBank()
	b.down = &gateway.Error{Call: "partner_token", Status: 503, Cause: "SERVICE_UNAVAILABLE", Disposition: kiosk.RetryLater, RetryAfter: 7 * time.Second}
	w := newWorld(t, partner.Options{Gateway: b})
	rec := w.initiate("c", "u")
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") != "7" || cause(t, rec) != "SERVICE_UNAVAILABLE" {
		t.Errorf("%d %q %s", rec.Code, rec.Header().Get("Retry-After"), rec.Body)
	}
	b.down = errors.New("no network")
	if rec = w.initiate("c", "u"); rec.Code != http.StatusBadGateway {
		t.Errorf("no network: %d", rec.Code)
	}
}

func TestOnlyTheGatewayMayCallBack(t *testing.T) {
	w := newWorld(t, partner.Options{})
	const body = `{"submissionId":"s","partnerSessionId":"c","status":"COMPLETED","result":"VALID"}`
	for _, header := range []string{"X: y", "Authorization: ", "Authorization: Bearer", "Authorization: " + auth + "x", "Authorization: " + strings.ToLower(auth)} {
		for _, path := range []string{"/callback", "/reference"} {
			if rec := w.do("POST", path, body, header); rec.Code != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, header, rec.Code)
			}
		}
	}
	if rec := w.do("GET", "/v1/sessions/c", ""); rec.Code != http.StatusNotFound {
		t.Errorf("a callback without authority counts: %d %s", rec.Code, rec.Body)
	}
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		if rec := w.do(method, "/callback", body, "Authorization: "+auth); rec.Code != http.StatusOK {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
	for name, bad := range map[string]string{
		"no JSON": "x", "no submission": `{"partnerSessionId":"c","status":"COMPLETED"}`, "no status": `{"submissionId":"s","partnerSessionId":"c"}`,
		"no flow": `{"submissionId":"unknown","status":"COMPLETED"}`, "too much": `{"a":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if rec := w.callback(bad); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	// The submission leads to its flow where the callback does not.
	if rec := w.callback(`{"submissionId":"s","status":"ERROR"}`); rec.Code != http.StatusOK {
		t.Errorf("a known submission: %d", rec.Code)
	}
}

// A told is a callback's body, by what it says.
func told(submission, status, result string, minute int) string {
	return fmt.Sprintf(`{"submissionId":%q,"flow":"STANDALONE_LIVENESS","userId":"u","partnerSessionId":"c","status":%q,"result":%q,"processedAt":"2026-05-01T10:%02d:00Z"}`,
		submission, status, result, minute)
}

func TestCallbacksLeadToTheSameEndInAnyOrderAndNumber(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	// Two attempts: the first was not approved, the second was. The gateway's
	// word on the end of an attempt is not older than those before it.
	words := []string{
		told("a", "IN_PROGRESS", "", 1), told("a", "PARTIALLY_COMPLETED", "", 0), told("a", "COMPLETED", "INVALID", 2),
		told("b", "IN_PROGRESS", "", 4), told("b", "IN_PROGRESS", "VALID", 3), told("b", "COMPLETED", "VALID", 5),
		// Late, and dated later than the end: the end counts all the same.
		told("b", "IN_PROGRESS", "INVALID", 5),
	}
	for round := range 40 {
		w := newWorld(t, partner.Options{})
		var sent []string
		for _, word := range words {
			for range 1 + r.IntN(3) {
				sent = append(sent, word)
			}
		}
		r.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		duplicates := 0
		for _, body := range sent {
			rec := w.callback(body)
			if rec.Code != http.StatusOK {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			if field(t, rec, "duplicate") == "true" {
				duplicates++
			}
		}
		if want := len(sent) - len(words); duplicates != want {
			t.Errorf("round %d: %d duplicates, want %d", round, duplicates, want)
		}
		rec := w.do("GET", "/v1/sessions/c", "")
		if field(t, rec, "submissionId") != "b" || field(t, rec, "status") != "COMPLETED" || field(t, rec, "result") != "VALID" {
			t.Errorf("round %d: %s after %v", round, rec.Body, sent)
		}
	}
}

func TestALateWordOfAnEarlierAttemptDoesNotHideTheNewOne(t *testing.T) {
	w := newWorld(t, partner.Options{})
	w.callback(told("b", "IN_PROGRESS", "", 5))
	w.callback(told("a", "COMPLETED", "INVALID", 4))
	if rec := w.do("GET", "/v1/sessions/c", ""); field(t, rec, "submissionId") != "b" {
		t.Errorf("%s, want the second attempt", rec.Body)
	}
}

func TestTheGatewayIsAskedWhenItIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank()
		w := newWorld(t, partner.Options{Gateway: b})
		stop := w.run(t)
		defer stop()
		start := time.Now()
		w.initiate("c", "u")
		asked := func() (at []time.Duration) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, a := range b.asked {
				at = append(at, a.Sub(start).Round(time.Minute))
			}
			return at
		}
		wait(9 * time.Minute)
		if len(asked()) > 0 {
			t.Errorf("asked after %v", asked())
		}
		// A callback that is no end puts it off.
		w.callback(told("s", "IN_PROGRESS", "", 1))
		wait(9 * time.Minute)
		if len(asked()) > 0 {
			t.Errorf("asked after %v, though something was heard", asked())
		}
		wait(2 * time.Hour)
		if want := []time.Duration{19 * time.Minute, 39 * time.Minute, 79 * time.Minute}; !slices.Equal(asked(), want) {
			t.Errorf("asked after %v, want %v", asked(), want)
		}
		// What is heard then begins the waits anew.
		w.callback(told("s", "PARTIALLY_COMPLETED", "", 2))
		b.set(func() { b.asked = nil })
		heard := time.Since(start).Round(time.Minute)
		wait(11 * time.Minute)
		if want := []time.Duration{heard + 10*time.Minute}; !slices.Equal(asked(), want) {
			t.Errorf("asked after %v, want %v", asked(), want)
		}
		// While the gateway is out of reach the flow stays due.
		b.set(func() { b.down, b.asked = errors.New("no network"), nil })
		wait(time.Hour)
		if n := len(asked()); n < 3 || n > 30 {
			t.Errorf("asked %d times in an outage of an hour", n)
		}
		b.set(func() {
			b.down, b.asked = nil, nil
			b.answers["c"] = gateway.Details{SubmissionID: "s", SessionID: "c", Status: "COMPLETED", Result: gateway.Valid}
		})
		wait(6 * time.Minute)
		if rec := w.do("GET", "/v1/sessions/c", ""); field(t, rec, "result") != "VALID" || field(t, rec, "source") != "details" {
			t.Errorf("%s, want VALID from details", rec.Body)
		}
		wait(50 * time.Hour)
		if n := len(asked()); n != 1 {
			t.Errorf("asked %d times although it has ended", n)
		}
	})
}

func TestAFlowThatNobodyGoesThroughIsGivenUpWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank()
		w := newWorld(t, partner.Options{Gateway: b})
		stop := w.run(t)
		defer stop()
		w.initiate("c", "u")
		wait(59 * 24 * time.Hour)
		b.set(func() {
			// 10, 30, 70 … minutes, then once a day.
			if n := len(b.asked); n < 60 || n > 70 {
				t.Errorf("asked %d times in 59 days", n)
			}
		})
		wait(2 * 24 * time.Hour)
		b.set(func() { b.asked = nil })
		wait(10 * 24 * time.Hour)
		b.set(func() {
			if len(b.asked) > 0 {
				t.Errorf("asked %d times after the token's end", len(b.asked))
			}
		})
	})
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank()
		dir := private(t)
		w := newWorld(t, partner.Options{Gateway: b, StateDir: dir})
		w.initiate("told", "u")
		w.initiate("silent", "u")
		w.callback(strings.Replace(told("s", "COMPLETED", "VALID", 1), `"c"`, `"told"`, 1))

		// The file as a SIGKILL would leave it.
		b.set(func() { b.users = map[string]string{} })
		killed := private(t)
		data, err := os.ReadFile(filepath.Join(dir, "partner.db"))
		if err != nil {
			t.Fatal(err)
		}
		if err = os.WriteFile(filepath.Join(killed, "partner.db"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		again := newWorld(t, partner.Options{Gateway: b, StateDir: killed})
		stop := again.run(t)
		defer stop()
		if rec := again.do("GET", "/v1/sessions/told", ""); field(t, rec, "result") != "VALID" {
			t.Errorf("what was told is gone: %s", rec.Body)
		}
		if rec := again.callback(strings.Replace(told("s", "COMPLETED", "VALID", 1), `"c"`, `"told"`, 1)); field(t, rec, "duplicate") != "true" {
			t.Errorf("a callback of before counts again: %s", rec.Body)
		}
		if rec := again.initiate("silent", "other"); rec.Code != http.StatusConflict {
			t.Errorf("another person's flow: %d", rec.Code)
		}
		if rec := again.do("POST", "/v1/kiosk/initiate", `{"correlationId":"silent","locale":"id"}`); rec.Code != http.StatusOK {
			t.Errorf("a renewal: %d %s", rec.Code, rec.Body)
		}
		b.set(func() { b.asked = nil })
		wait(11 * time.Minute)
		b.set(func() {
			if len(b.asked) != 1 {
				t.Errorf("asked %d times for one flow that the gateway is silent on", len(b.asked))
			}
		})
		// One process at a time.
		if s, err := partner.New(partner.Options{Gateway: b, CallbackAuth: auth, StateDir: killed}); err == nil {
			t.Error("two use one directory")
			_ = s.Close()
		}
	})
}

func TestAFileThatIsNotTheBackendsIsRefused(t *testing.T) {
	dir := private(t)
	if err := os.WriteFile(filepath.Join(dir, "partner.db"), bytes.Repeat([]byte("no"), 8<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := partner.New(partner.Options{Gateway: newBank(), CallbackAuth: auth, StateDir: dir}); err == nil {
		t.Error("it opens")
		_ = s.Close()
	}
}

func TestTheOldestFlowsAreForgotten(t *testing.T) {
	dir := private(t)
	b := newBank()
	w := newWorld(t, partner.Options{Gateway: b, StateDir: dir, Keep: 3})
	known := func(w *world) (ids []string) {
		for i := range 7 {
			id := fmt.Sprint("c", i)
			if rec := w.do("POST", "/v1/kiosk/initiate", fmt.Sprintf(`{"correlationId":%q,"locale":"id"}`, id)); rec.Code == http.StatusOK {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for i := range 5 {
		w.initiate(fmt.Sprint("c", i), "u")
	}
	if got := known(w); !slices.Equal(got, []string{"c2", "c3", "c4"}) {
		t.Errorf("known: %v", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, partner.Options{Gateway: b, StateDir: dir, Keep: 3})
	again.initiate("c5", "u")
	if got := known(again); !slices.Equal(got, []string{"c3", "c4", "c5"}) {
		t.Errorf("known after a restart: %v", got)
	}
}

func TestTheFrontEndInitiatesAndAsks(t *testing.T) {
	w := newWorld(t, partner.Options{})
	rec := w.do("POST", "/v1/flows", `{"userId":"u"}`)
	if rec.Code != http.StatusCreated || rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	id := field(t, rec, "correlationId")
	if other := field(t, w.do("POST", "/v1/flows", `{"userId":"u"}`), "correlationId"); other == id {
		t.Error("an id is used twice")
	}
	if rec = w.do("POST", "/v1/flows", `{"userId":"u","correlationId":"`+id+`"}`); rec.Code != http.StatusCreated {
		t.Errorf("a request that is repeated: %d %s", rec.Code, rec.Body)
	}
	for name, tt := range map[string]struct {
		body string
		code int
	}{
		"nobody": {`{}`, 400}, "no JSON": {`u`, 400}, "another language": {`{"userId":"u","locale":"fr"}`, 400},
		"a strange user": {`{"userId":"u\n"}`, 400}, "a strange type": {`{"userId":"u","userIdType":"a b"}`, 400}, "another's flow": {`{"userId":"v","correlationId":"` + id + `"}`, 409},
	} {
		if rec := w.do("POST", "/v1/flows", tt.body); rec.Code != tt.code {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	if rec = w.do("GET", "/v1/submissions/"+id, ""); rec.Code != http.StatusNotFound {
		t.Errorf("nothing submitted: %d", rec.Code)
	}
	w.bank.answers[id] = gateway.Details{
		SubmissionID: "s", SessionID: id, Status: "COMPLETED", Result: gateway.Invalid, ReasonCode: "NOT_LIVE",
		ImageURLs: map[kiosk.Document]string{kiosk.Selfie: "https://store/secret-url"},
		Checks:    gateway.Checks{Liveness: &gateway.Check{Result: "INVALID"}},
	}
	for _, name := range []string{id, "s"} {
		rec = w.do("GET", "/v1/submissions/"+name, "")
		if rec.Code != http.StatusOK || field(t, rec, "reasonCode") != "NOT_LIVE" || field(t, rec, "documents") != "[SELFIE]" ||
			field(t, rec, "correlationId") != id || strings.Contains(rec.Body.String(), "secret-url") {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
}

func TestOnlyThisMachineAndNoOtherSiteIsServed(t *testing.T) {
	w := newWorld(t, partner.Options{Hosts: []string{"partner.example"}})
	for name, tt := range map[string]struct {
		method, path, host, from, header string
		code                             int
	}{
		"the page":                          {"GET", "/", "localhost", "127.0.0.1:1", "", 200},
		"the page from elsewhere":           {"GET", "/", "partner.example", "192.0.2.1:1", "", 403},
		"the front end from elsewhere":      {"POST", "/v1/flows", "partner.example", "192.0.2.1:1", "", 403},
		"the events from elsewhere":         {"GET", "/events", "partner.example", "192.0.2.1:1", "", 403},
		"a session's events from elsewhere": {"GET", "/v1/sessions/c/events", "partner.example", "192.0.2.1:1", "", 403},
		"a kiosk from elsewhere":            {"POST", "/v1/kiosk/initiate", "partner.example", "192.0.2.1:1", "", 403},
		"the gateway from elsewhere":        {"POST", "/callback", "partner.example", "192.0.2.1:1", "", 401},
		"a name that leads here":            {"GET", "/", "attacker.example", "127.0.0.1:1", "", 421},
		"its own page":                      {"POST", "/v1/flows", "localhost", "127.0.0.1:1", "Sec-Fetch-Site: same-origin", 400},
		"another site's page":               {"POST", "/v1/flows", "localhost", "127.0.0.1:1", "Sec-Fetch-Site: cross-site", 403},
		"another site's old browser":        {"POST", "/v1/flows", "localhost", "127.0.0.1:1", "Origin: https://attacker.example", 403},
		"IPv6":                              {"GET", "/", "[::1]:80", "[::1]:1", "", 200},
	} {
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader("{}"))
		r.Host, r.RemoteAddr = tt.host, tt.from
		if header, value, given := strings.Cut(tt.header, ": "); given {
			r.Header.Set(header, value)
		}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != tt.code {
			t.Errorf("%s: %d %s, want %d", name, rec.Code, rec.Body, tt.code)
		}
	}
	strict := newWorld(t, partner.Options{KioskTLS: true})
	if rec := strict.initiate("c", "u"); rec.Code != http.StatusForbidden {
		t.Errorf("a kiosk without a certificate: %d", rec.Code)
	}
}

// A booth is a kiosk that says what it is told to.
type booth struct {
	mu       sync.Mutex
	launches []partner.Launch
	refuse   error
	says     chan partner.Progress
	gone     error
	follows  int
}

func (b *booth) Launch(_ context.Context, l partner.Launch) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return "", b.refuse
	}
	b.launches = append(b.launches, l)
	return fmt.Sprint("session-", len(b.launches)), nil
}

func (b *booth) Follow(ctx context.Context, _ string, fn func(partner.Progress) error) error {
	b.mu.Lock()
	b.follows++
	gone := b.gone
	b.mu.Unlock()
	if gone != nil {
		return gone
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-b.says:
			if err := fn(p); err != nil || p.Verdict != nil && p.Verdict.Last {
				return err
			}
		}
	}
}

func (b *booth) followed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.follows
}

func TestALaunchIsFollowedFromSavedToCompletedOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &booth{says: make(chan partner.Progress)}
		b := newBank()
		dir := private(t)
		w := newWorld(t, partner.Options{Gateway: b, StateDir: dir, Launcher: k})
		stop := w.run(t)
		id := field(t, w.do("POST", "/v1/flows", `{"userId":"u","locale":"en"}`), "correlationId")
		rec := w.do("POST", "/v1/sessions/"+id+"/launch", `{"locale":"en"}`)
		if rec.Code != http.StatusAccepted || len(k.launches) != 1 || k.launches[0].Token != "secret-user-1" || k.launches[0].Locale != "en" {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}

		// The page follows.
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequest(http.MethodGet, "http://localhost/v1/sessions/"+id+"/events", http.NoBody).WithContext(ctx)
		r.RemoteAddr = "127.0.0.1:1"
		stream := &streamRecorder{}
		left := make(chan struct{})
		go func() { w.ServeHTTP(stream, r); close(left) }()
		synctest.Wait()
		k.says <- partner.Progress{Stage: "far"}
		synctest.Wait()
		if s := stream.String(); !strings.Contains(s, `"stage":"far"`) {
			t.Errorf("the stage does not show: %s", s)
		}
		saved := partner.Verdict{Status: "NOT_COMPLETED", DetailedErrorCode: 2299, ErrorMessage: "saved"}
		k.says <- partner.Progress{Verdict: &saved}
		synctest.Wait()
		if s := stream.String(); !strings.Contains(s, `"detailedErrorCode":2299`) {
			t.Errorf("saved does not show: %s", s)
		}
		leave()
		<-left
		stop()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}

		again := newWorld(t, partner.Options{Gateway: b, StateDir: dir, Launcher: k})
		stop = again.run(t)
		defer stop()
		k.says <- partner.Progress{Verdict: &partner.Verdict{Status: "COMPLETED", SubmissionID: "s", Last: true}}
		synctest.Wait()
		var results []string
		for _, ev := range append(w.Events(), again.Events()...) {
			if ev.Call == partner.CallVerdict {
				results = append(results, ev.Result)
			}
		}
		if !slices.Equal(results, []string{"NOT_COMPLETED", "COMPLETED"}) {
			t.Errorf("results: %v", results)
		}
		follows := k.followed()
		again.do("POST", "/v1/flows", `{"userId":"u"}`) // something else happens
		synctest.Wait()
		if k.followed() != follows {
			t.Error("a session that has ended is followed")
		}
	})
}

func TestTheSessionThatWasLaunchedLastCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &booth{says: make(chan partner.Progress)}, &booth{says: make(chan partner.Progress)}
		w := newWorld(t, partner.Options{Launcher: twoBooths{first, second}})
		stop := w.run(t)
		defer stop()
		id := field(t, w.do("POST", "/v1/flows", `{"userId":"u"}`), "correlationId")
		w.do("POST", "/v1/sessions/"+id+"/launch", `{}`)
		synctest.Wait()
		w.do("POST", "/v1/sessions/"+id+"/launch", `{}`)
		synctest.Wait()
		second.says <- partner.Progress{Verdict: &partner.Verdict{Status: "COMPLETED", SubmissionID: "s", Last: true}}
		synctest.Wait()
		first.says <- partner.Progress{Verdict: &partner.Verdict{Status: "NOT_COMPLETED", DetailedErrorCode: 2207, Last: true}}
		synctest.Wait()
		for _, ev := range w.Events() {
			if ev.Call == partner.CallVerdict && ev.Result != "COMPLETED" {
				t.Errorf("the earlier session's %s counts", ev.Result)
			}
		}
	})
}

// twoBooths launch on the second once the first was launched.
type twoBooths [2]*booth

func (b twoBooths) Launch(ctx context.Context, l partner.Launch) (string, error) {
	if b[0].followed() == 0 {
		_, err := b[0].Launch(ctx, l)
		return "0", err
	}
	_, err := b[1].Launch(ctx, l)
	return "1", err
}

func (b twoBooths) Follow(ctx context.Context, session string, fn func(partner.Progress) error) error {
	if session == "0" {
		return b[0].Follow(ctx, session, fn)
	}
	return b[1].Follow(ctx, session, fn)
}

func TestAKioskThatForgotASessionLeavesItToTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &booth{gone: partner.ErrForgotten}
		w := newWorld(t, partner.Options{Launcher: k})
		stop := w.run(t)
		defer stop()
		id := field(t, w.do("POST", "/v1/flows", `{"userId":"u"}`), "correlationId")
		w.do("POST", "/v1/sessions/"+id+"/launch", `{}`)
		wait(time.Minute)
		if n := k.followed(); n != 1 {
			t.Errorf("followed %d times", n)
		}
		w.bank.set(func() {
			w.bank.answers[id] = gateway.Details{SubmissionID: "s", SessionID: id, Status: "COMPLETED", Result: gateway.Valid}
		})
		wait(10 * time.Minute)
		if rec := w.do("GET", "/v1/sessions/"+id, ""); field(t, rec, "result") != "VALID" {
			t.Errorf("%s", rec.Body)
		}
	})
}

func TestLaunchesThatCannotBe(t *testing.T) {
	k := &booth{}
	w := newWorld(t, partner.Options{Launcher: k})
	id := field(t, w.do("POST", "/v1/flows", `{"userId":"u"}`), "correlationId")
	path := "/v1/sessions/" + id + "/launch"
	if rec := w.do("POST", "/v1/sessions/unknown/launch", `{}`); rec.Code != http.StatusNotFound {
		t.Errorf("no flow: %d", rec.Code)
	}
	if rec := w.do("POST", path, `{"locale":"fr"}`); rec.Code != http.StatusBadRequest {
		t.Errorf("another language: %d", rec.Code)
	}
	k.refuse = &partner.RefusedError{Verdict: partner.Verdict{Status: "ERROR", DetailedErrorCode: 2205, ErrorMessage: "busy", Retriable: true}}
	if rec := w.do("POST", path, `{}`); rec.Code != http.StatusConflict || cause(t, rec) != "LAUNCH_REFUSED" || !strings.Contains(rec.Body.String(), "busy") {
		t.Errorf("refused: %d %s", rec.Code, rec.Body)
	}
	k.refuse = errors.New("no socket")
	if rec := w.do("POST", path, `{}`); rec.Code != http.StatusServiceUnavailable || cause(t, rec) != "KIOSK_UNREACHABLE" {
		t.Errorf("unreachable: %d %s", rec.Code, rec.Body)
	}
}

func TestWithoutAKioskTheCommandIsTold(t *testing.T) {
	dir := private(t)
	w := newWorld(t, partner.Options{StateDir: dir})
	w.initiate("it's mine", "u") // not an id
	w.initiate("it's", "u")
	rec := w.do("POST", "/v1/sessions/it's/launch", `{}`)
	files, err := filepath.Glob(filepath.Join(dir, "tokens", "*.token"))
	if rec.Code != http.StatusOK || err != nil || len(files) != 1 {
		t.Fatalf("%d %s, files %v %v", rec.Code, rec.Body, files, err)
	}
	command := field(t, rec, "command")
	if !strings.Contains(command, `--correlation-id 'it'\''s' `) || !strings.Contains(command, files[0]) || strings.Contains(command, "secret-") {
		t.Errorf("%s", command)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if b, err := os.ReadFile(files[0]); err != nil || string(b) != "secret-user-1\n" {
		t.Errorf("%q %v", b, err)
	}
	w.callback(strings.Replace(told("s", "COMPLETED", "VALID", 1), `"c"`, `"it's"`, 1))
	if _, err = os.Stat(files[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the token stays after the end: %v", err)
	}
}

// A streamRecorder is a client that reads as it is written.
type streamRecorder struct {
	mu sync.Mutex
	b  bytes.Buffer
	h  http.Header
}

func (s *streamRecorder) Header() http.Header {
	if s.h == nil {
		s.h = http.Header{}
	}
	return s.h
}

func (s *streamRecorder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *streamRecorder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (*streamRecorder) WriteHeader(int)                  {}
func (*streamRecorder) Flush()                           {}
func (*streamRecorder) SetWriteDeadline(time.Time) error { return nil }

func TestReferenceImagesAreHandedOutForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		image := append([]byte{0xff, 0xd8, 0xff, 0xe0}, bytes.Repeat([]byte("x"), 100)...)
		if err := os.WriteFile(filepath.Join(dir, "siti.jpg"), image, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "text.jpg"), []byte("no image"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, partner.Options{BaseURL: "http://localhost/", Reference: partner.References(dir)})
		ask := func(user string) *httptest.ResponseRecorder {
			return w.do("POST", "/reference", fmt.Sprintf(`{"userId":%q,"userIdType":"CUSTOMER_ID","partnerSessionId":"c","flow":"STANDALONE_LIVENESS"}`, user), "Authorization: "+auth)
		}
		for user, want := range map[string]int{"siti": 200, "budi": 404, "../siti": 404, "": 400, "text": 500} {
			if rec := ask(user); rec.Code != want {
				t.Errorf("%q: %d, want %d", user, rec.Code, want)
			}
		}
		url := field(t, ask("siti"), "url")
		path := strings.TrimPrefix(url, "http://localhost")
		if rec := w.do("GET", path, ""); rec.Code != http.StatusOK || !bytes.Equal(rec.Body.Bytes(), image) || rec.Header().Get("Content-Type") != "image/jpeg" {
			t.Errorf("%s: %d", url, rec.Code)
		}
		if rec := w.do("GET", "/reference/guess", ""); rec.Code != http.StatusForbidden {
			t.Errorf("a guess: %d", rec.Code)
		}
		wait(5 * time.Minute)
		if rec := w.do("GET", path, ""); rec.Code != http.StatusForbidden {
			t.Errorf("after five minutes: %d", rec.Code)
		}
	})
}

func TestThePageSpeaksBothLanguagesAndLoadsNothingFromElsewhere(t *testing.T) {
	w := newWorld(t, partner.Options{})
	script := w.do("GET", "/page.js", "").Body.String()
	words := map[string]map[string]string{}
	for _, tt := range []struct{ query, header, lang string }{
		{"", "", "id"}, {"?lang=en", "", "en"}, {"?lang=id", "en-GB,en;q=0.9", "id"}, {"", "en-US", "en"}, {"?lang=fr", "fr,en", "id"},
	} {
		rec := w.do("GET", "/"+tt.query, "", "Accept-Language: "+tt.header)
		page := rec.Body.String()
		if rec.Code != http.StatusOK || !strings.Contains(page, `<html lang="`+tt.lang+`">`) {
			t.Errorf("%q %q: %d, want %s: %s", tt.query, tt.header, rec.Code, tt.lang, page)
		}
		_, rest, _ := strings.Cut(page, `type="application/json">`)
		data, _, _ := strings.Cut(rest, "</script>")
		words[tt.lang] = nil
		m := map[string]string{}
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		words[tt.lang] = m
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("policy %q", csp)
		}
		for _, bad := range []string{"http:", "https:", "//", "style=", "onclick=", "ZgotmplZ"} {
			if html := strings.Replace(page, data, "", 1); strings.Contains(html, bad) {
				t.Errorf("the page has %q", bad)
			}
		}
	}
	if id, en := slices.Sorted(maps.Keys(words["id"])), slices.Sorted(maps.Keys(words["en"])); !slices.Equal(id, en) {
		t.Errorf("words of id %v, of en %v", id, en)
	}
	for _, key := range []string{"working", "launched", "SAVED", "RUNNING", "refused", "unreachable", "failed", "lost"} {
		if !strings.Contains(script, `"`+key+`"`) || words["en"]["say:"+key] == "" {
			t.Errorf("%s is not said", key)
		}
	}
	if rec := w.do("GET", "/nothing", ""); rec.Code != http.StatusNotFound {
		t.Errorf("nothing: %d", rec.Code)
	}
}

// fuzzed sends any body and looks that the answer is one of the backend's.
func fuzzed(f *testing.F, method, path string, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	w := newWorld(f, partner.Options{Keep: 100})
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := w.do(method, path, string(body), "Authorization: "+auth)
		if rec.Code == http.StatusInternalServerError || rec.Body.Len() == 0 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if len(body) > 0 && rec.Body.Len() > 2048 {
			t.Errorf("an answer of %d bytes", rec.Body.Len())
		}
		w.log.Reset()
	})
}

func FuzzCallback(f *testing.F) {
	fuzzed(f, "POST", "/callback", told("s", "COMPLETED", "VALID", 1), `{"submissionId":1,"status":"ERROR","processedAt":0}`, `{"submissionId":"s","partnerSessionId":"c","status":"COMPLETED","processedAt":"9999-12-31T23:59:59Z"}`, "[]", "")
}

func FuzzInitiate(f *testing.F) {
	fuzzed(f, "POST", "/v1/kiosk/initiate", `{"correlationId":"c","userId":"u","userIdType":"t","locale":"id"}`, `{"correlationId":"c"}`, "null", "")
}

func FuzzFlows(f *testing.F) {
	fuzzed(f, "POST", "/v1/flows", `{"userId":"u","userIdType":"t","locale":"en","correlationId":"c"}`, `{"userId":"u"}`, "0", "")
}
