package partner_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/partner"
)

// lossy is a bank whose answers to so many initiated flows are lost after they
// took effect.
type lossy struct {
	*bank

	lose int
}

func (l *lossy) InitiateFlow(ctx context.Context, token gateway.Token, r gateway.FlowRequest) (gateway.Flow, error) {
	f, err := l.bank.InitiateFlow(ctx, token, r)
	if err == nil && l.lose > 0 {
		l.lose--
		return gateway.Flow{}, &gateway.Error{Call: "flow", Service: kiosk.GatewayService, Trouble: kiosk.TroubleTimeout, Disposition: kiosk.RetryLater}
	}
	return f, err
}

func TestALostAnswerIsNeverAConflictForTheSamePerson(t *testing.T) {
	b := newBank()
	b.strict = true
	dir := private(t)
	w := newWorld(t, partner.Options{Gateway: &lossy{bank: b, lose: 1}, StateDir: dir})
	if rec := w.initiate("c", "u"); rec.Code != http.StatusBadGateway {
		t.Errorf("the lost answer: %d %s", rec.Code, rec.Body)
	}
	again := func(w *world, when string) {
		t.Helper()
		w.log.Reset()
		rec := w.initiate("c", "u")
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || cause(t, rec) != "USER_TOKEN_IS_LOST" {
			t.Errorf("%s: %d %s, want 503", when, rec.Code, rec.Body)
		}
		if !strings.Contains(w.log.String(), `"level":"ERROR"`) {
			t.Errorf("%s: nobody is told: %s", when, w.log)
		}
	}
	again(w, "asked again")
	if rec := w.initiate("c", "other"); rec.Code != http.StatusConflict {
		t.Errorf("another person: %d", rec.Code)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again(newWorld(t, partner.Options{Gateway: b, StateDir: dir}), "after a restart")

	// Once the gateway gives the token, all is well.
	b.strict = false
	late := newWorld(t, partner.Options{Gateway: &lossy{bank: b, lose: 1}})
	late.initiate("d", "u")
	if rec := late.initiate("d", "u"); rec.Code != http.StatusOK {
		t.Errorf("a gateway that gives it again: %d %s", rec.Code, rec.Body)
	}
}

// stopped is a bank that never answers what it has initiated.
type stopped struct {
	*bank

	asked chan struct{}
}

func (s stopped) InitiateFlow(ctx context.Context, token gateway.Token, r gateway.FlowRequest) (gateway.Flow, error) {
	if _, err := s.bank.InitiateFlow(ctx, token, r); err != nil {
		return gateway.Flow{}, err
	}
	close(s.asked)
	<-ctx.Done()
	return gateway.Flow{}, ctx.Err()
}

func TestACrashWhileTheGatewayIsAskedIsNoConflict(t *testing.T) {
	b := newBank()
	b.strict = true
	dir, killed := private(t), private(t)
	g := stopped{b, make(chan struct{})}
	w := newWorld(t, partner.Options{Gateway: g, StateDir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	var call sync.WaitGroup
	call.Go(func() {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/kiosk/initiate", strings.NewReader(`{"correlationId":"c","userId":"u","locale":"id"}`)).WithContext(ctx)
		r.RemoteAddr = "127.0.0.1:1"
		w.ServeHTTP(httptest.NewRecorder(), r)
	})
	<-g.asked
	data, err := os.ReadFile(filepath.Join(dir, "partner.db")) // as a SIGKILL would leave it
	cancel()
	call.Wait()
	if err = errors.Join(err, os.WriteFile(filepath.Join(killed, "partner.db"), data, 0o600)); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, partner.Options{Gateway: b, StateDir: killed})
	if rec := again.initiate("c", "u"); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("after the crash: %d %s, want 503", rec.Code, rec.Body)
	}
	if rec := again.initiate("c", "other"); rec.Code != http.StatusConflict {
		t.Errorf("another person: %d", rec.Code)
	}
}

func TestWhatTheGatewayNeverHeardBindsNobody(t *testing.T) {
	b := newBank()
	w := newWorld(t, partner.Options{Gateway: b})
	for _, down := range []error{errors.New("no network"), refusal(http.StatusUnauthorized, "UNAUTHORIZED", kiosk.Final)} {
		b.down = down
		w.initiate("c", "mistyped")
	}
	b.down = nil
	if rec := w.initiate("c", "u"); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// poison is a bank that always fails on the flow "bad".
type poison struct {
	*bank

	err error
}

func (p poison) Details(ctx context.Context, token gateway.Token, by gateway.DetailsQuery) (gateway.Details, error) {
	d, err := p.bank.Details(ctx, token, by)
	if by.SessionID == "bad" {
		return gateway.Details{}, p.err
	}
	return d, err
}

func TestAFlowThatAlwaysFailsStarvesNoOther(t *testing.T) {
	for name, err := range map[string]error{
		"a status":             refusal(http.StatusInternalServerError, "GENERIC_SERVICE_ERROR", kiosk.RetryLater),
		"a wish for a day":     &gateway.Error{Call: "details", Status: 503, Disposition: kiosk.RetryLater, RetryAfter: 24 * time.Hour},
		"a garbled answer":     &gateway.Error{Call: "details", Status: 200, Trouble: kiosk.TroubleGarbled, Disposition: kiosk.RetryLater},
		"no answer":            &gateway.Error{Call: "details", Trouble: kiosk.TroubleTimeout, Disposition: kiosk.RetryLater},
		"another flow's state": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank()
				var g partner.Gateway = poison{b, err}
				if err == nil {
					g = mistaken{b}
				}
				w := newWorld(t, partner.Options{Gateway: g})
				w.bank = b
				stop := w.run(t)
				defer stop()
				w.initiate("bad", "u")
				wait(time.Second)
				w.initiate("good", "u2")
				b.set(func() {
					b.answers["good"] = gateway.Details{SubmissionID: "s", SessionID: "good", Status: "COMPLETED", Result: gateway.Valid}
				})
				wait(16 * time.Minute)
				good := false
				for _, ev := range w.Events() {
					good = good || ev.CorrelationID == "good" && ev.Call == partner.CallFallback && ev.Result == "VALID"
				}
				if !good {
					t.Error("the other flow was not asked for")
				}
				b.set(func() { b.asked = nil })
				wait(24 * time.Hour)
				b.set(func() {
					if n := len(b.asked); n < 5 || n > 300 {
						t.Errorf("asked %d times in a day for the one that fails", n)
					}
				})
			})
		})
	}
}

// mistaken answers the question after the flow "bad" with another's details.
type mistaken struct{ *bank }

func (m mistaken) Details(ctx context.Context, token gateway.Token, by gateway.DetailsQuery) (gateway.Details, error) {
	if by.SessionID == "bad" {
		m.set(func() { m.asked = append(m.asked, time.Now()) })
		return gateway.Details{SubmissionID: "x", SessionID: "somebody's", Status: "COMPLETED", Result: gateway.Valid}, nil
	}
	return m.bank.Details(ctx, token, by)
}

func TestAnotherFlowsDetailsAreRefused(t *testing.T) {
	w := newWorld(t, partner.Options{Gateway: mistaken{newBank()}})
	if rec := w.do("GET", "/v1/sessions/bad", ""); rec.Code != http.StatusBadGateway {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/v1/submissions/bad", ""); rec.Code == http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestACallbackThatContradictsTheFlowIsRefused(t *testing.T) {
	w := newWorld(t, partner.Options{})
	w.initiate("c", "u")
	w.initiate("d", "v")
	if rec := w.callback(told("s", "IN_PROGRESS", "", 1)); rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	for name, body := range map[string]string{
		"another person's": strings.Replace(told("s2", "COMPLETED", "VALID", 2), `"userId":"u"`, `"userId":"v"`, 1),
		"another flow's":   strings.NewReplacer(`"c"`, `"d"`, `"userId":"u"`, `"userId":"v"`).Replace(told("s", "COMPLETED", "VALID", 2)),
	} {
		w.log.Reset()
		if rec := w.callback(body); rec.Code != http.StatusConflict || cause(t, rec) != "CALLBACK_CONTRADICTS_THE_FLOW" {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		if log := w.log.String(); !strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("%s: nobody is told: %s", name, log)
		}
	}
	for _, id := range []string{"c", "d"} {
		if rec := w.do("GET", "/v1/sessions/"+id, ""); field(t, rec, "result") == "VALID" {
			t.Errorf("%s: %s", id, rec.Body)
		}
	}
	if rec := w.callback(told("s", "COMPLETED", "VALID", 3)); rec.Code != http.StatusOK {
		t.Errorf("the right one: %d %s", rec.Code, rec.Body)
	}
}

// from makes a kiosk's request by the certificate of that name.
func (w *world) from(name, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://localhost/v1/kiosk/initiate", strings.NewReader(body))
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}}}}}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func TestAFlowIsRenewedWithoutThePersonForItsFirstKioskOnly(t *testing.T) {
	w := newWorld(t, partner.Options{})
	const renew = `{"correlationId":%q,"locale":"id"}`
	for i, tt := range []struct {
		name, kiosk, body string
		code              int
	}{
		{"no name in the certificate", "", `{"correlationId":"c","userId":"u","locale":"id"}`, 403},
		{"the first", "north", `{"correlationId":"c","userId":"u","locale":"id"}`, 200},
		{"renewed by it", "north", fmt.Sprintf(renew, "c"), 200},
		{"renewed by another", "south", fmt.Sprintf(renew, "c"), 403},
		{"another that knows the person", "south", `{"correlationId":"c","userId":"u","locale":"id"}`, 200},
		{"still the first one's", "south", fmt.Sprintf(renew, "c"), 403},
		{"and it", "north", fmt.Sprintf(renew, "c"), 200},
		{"launched by token", "south", fmt.Sprintf(renew, "front"), 200},
		{"and renewed by another", "north", fmt.Sprintf(renew, "front"), 403},
	} {
		if i == 0 {
			w.do("POST", "/v1/flows", `{"userId":"u","correlationId":"front"}`)
		}
		if rec := w.from(tt.kiosk, tt.body); rec.Code != tt.code {
			t.Errorf("%s: %d %s, want %d", tt.name, rec.Code, rec.Body, tt.code)
		}
	}
	if rec := w.initiate("c", ""); rec.Code != http.StatusForbidden {
		t.Errorf("renewed without TLS: %d", rec.Code)
	}
}

func TestTheEventsCanBeKeptToTheBackend(t *testing.T) {
	w := newWorld(t, partner.Options{HideEvents: true})
	w.initiate("c", "u")
	if rec := w.do("GET", "/events", ""); rec.Code != http.StatusNotFound || len(w.Events()) != 1 {
		t.Errorf("%d %s, %d events", rec.Code, rec.Body, len(w.Events()))
	}
}

// tokensOnDisk returns how many flows in the file hold a user token.
func tokensOnDisk(t *testing.T, dir string) (n int) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "partner.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				n += bytes.Count(k, []byte("secret-")) + bytes.Count(v, []byte("secret-"))
				return nil
			})
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAUserTokenIsKeptNoLongerThanItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := private(t)
		w := newWorld(t, partner.Options{StateDir: dir})
		stop := w.run(t)
		w.initiate("c", "u")
		w.initiate("silent", "u")
		w.callback(told("s", "COMPLETED", "VALID", 1))
		restart := func(want int, when string) {
			t.Helper()
			stop()
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if n := tokensOnDisk(t, dir); n != want {
				t.Errorf("%s: %d tokens on disk, want %d", when, n, want)
			}
			w = newWorld(t, partner.Options{StateDir: dir, Gateway: w.bank})
			stop = w.run(t)
		}
		restart(1, "one flow is settled")
		// A late renewal is answered, and leaves nothing behind.
		if rec := w.initiate("c", "u"); rec.Code != http.StatusOK || !strings.HasPrefix(field(t, rec, "token"), "secret-user-") {
			t.Errorf("a late renewal: %d", rec.Code)
		}
		restart(1, "a late renewal")
		wait(59 * 24 * time.Hour)
		restart(1, "the other's token is good")
		wait(26 * time.Hour)
		restart(0, "the other's token has expired")
		stop()
	})
}

func TestAStateDirectoryThatIsOpenToOthersIsRefused(t *testing.T) {
	for mode, good := range map[os.FileMode]bool{0o755: false, 0o750: false, 0o701: false, 0o700: true} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		s, err := partner.New(partner.Options{Gateway: newBank(), CallbackAuth: auth, StateDir: dir})
		if err == nil {
			_ = s.Close()
		}
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

func TestAHeldPartnerTokenIsUsedWhileItIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank()
		w := newWorld(t, partner.Options{Gateway: b})
		w.initiate("c0", "u")
		b.down = errors.New("no token gateway")
		wait(56 * time.Minute)
		for i := range 3 {
			if rec := w.initiate(fmt.Sprint("c", i+1), "u"); rec.Code != http.StatusOK {
				t.Errorf("with a good token: %d %s", rec.Code, rec.Body)
			}
		}
		if n := strings.Count(w.log.String(), "partner token not renewed"); n != 1 {
			t.Errorf("%d lines on it, want 1", n)
		}
		wait(5 * time.Minute)
		if rec := w.initiate("late", "u"); rec.Code != http.StatusBadGateway {
			t.Errorf("with none: %d %s", rec.Code, rec.Body)
		}
		b.down = nil
		if rec := w.initiate("late", "u"); rec.Code != http.StatusOK {
			t.Errorf("afterwards: %d %s", rec.Code, rec.Body)
		}
	})
}

func TestReferenceImagesTravelInTheClearOnThisMachineOnly(t *testing.T) {
	for base, good := range map[string]bool{
		"http://127.0.0.1:1/partner": true, "http://[::1]:1": true, "http://localhost": true, "https://partner.example": true,
		"http://partner.example": false, "http://192.0.2.1": false,
	} {
		err := partner.Options{Gateway: newBank(), CallbackAuth: auth, StateDir: "d", BaseURL: base, Reference: partner.References(".")}.Validate()
		if (err == nil) != good {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// private returns a directory of the test that is closed to others.
func private(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func FuzzReference(f *testing.F) {
	fuzzed(f, "POST", "/reference", `{"userId":"u","userIdType":"t","partnerSessionId":"c"}`, `{"userId":1}`, "{}", "")
}

func TestAConcurrentRequestIsNoConflict(t *testing.T) {
	b := newBank()
	b.strict = true
	b.fetching = make(chan struct{})
	w := newWorld(t, partner.Options{Gateway: b})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if rec := w.initiate("c", "u"); rec.Code != http.StatusOK && rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	close(b.fetching)
	all.Wait()
	if rec := w.initiate("c", "u"); rec.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", rec.Code, rec.Body)
	}
}
