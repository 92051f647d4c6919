package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

func TestADropIsSignedByTheCaller(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	d, err := c.Drop(t.Context(), "s1-1", "consent withdrawn")
	if err != nil || d.Record != "s1-1" || d.Confirmed {
		t.Fatalf("Drop() = %+v, %v", d, err)
	}
	if want := fmt.Sprintf("uid %d", os.Getuid()); w.kiosk.by != want {
		t.Errorf("dropped by %q, want %q", w.kiosk.by, want)
	}
	got, err := c.Show(t.Context(), "s1-1")
	if err != nil || got.State != "done" || got.Reason != "consent withdrawn" {
		t.Errorf("Show() = %+v, %v", got, err)
	}
	if refused, is := errors.AsType[*api.RefusalError](func() error { _, err := c.Drop(t.Context(), "s1-1", "again"); return err }()); !is || refused.HTTP != http.StatusNotFound {
		t.Errorf("a second drop: %+v", refused)
	}
}

// TestWhatStaffDoIsLogged holds that each action leaves one line of who did
// what, whether it came to anything or not.
func TestWhatStaffDoIsLogged(t *testing.T) {
	for _, tt := range []struct {
		name       string
		method     string
		path, body string
		broken     error
		want       map[string]any // nil: no line
	}{
		{"a drop", "POST", "/v1/queue/s1-1/drop", `{"reason":"came again"}`, nil, map[string]any{"action": "drop", "record": "s1-1", "reason": "came again", "done": true}},
		{"a drop of nothing", "POST", "/v1/queue/nobody/drop", `{"reason":"came again"}`, nil, map[string]any{"action": "drop", "record": "nobody", "reason": "came again", "done": false}},
		{"a retry", "POST", "/v1/queue/s2-1/retry", "", nil, map[string]any{"action": "revive", "record": "s2-1", "done": true}},
		{"a verification", "POST", "/v1/queue/verify", "", nil, map[string]any{"action": "verify", "done": true}},
		{"a verification that is cut short", "POST", "/v1/queue/verify", "", errLater, map[string]any{"action": "verify", "done": false}},
		{"an export", "POST", "/v1/queue/export", "public key", nil, map[string]any{"action": "export", "recipient": "k9", "bytes": 6.0, "done": true}},
		{"a compaction", "POST", "/v1/queue/compact", "", nil, map[string]any{"action": "compact", "before": 300.0, "after": 200.0, "done": true}},
		{"a switch", "POST", "/v1/panel/door", `{"on":true,"milliseconds":2000}`, nil, map[string]any{"action": "switch", "role": "door", "on": true, "during": 2e9, "done": true}},
		{"a switch that fails", "POST", "/v1/panel/buzzer", `{"on":true,"milliseconds":2000}`, nil, map[string]any{"action": "switch", "role": "buzzer", "done": false}},
		{"a switch of any text", "POST", "/v1/panel/SECRET", `{"on":true,"milliseconds":2000}`, nil, nil},
		{"a latch that is cleared", "POST", "/v1/panel/tamper/clear", "", nil, map[string]any{"action": "clear_tamper", "done": true}},
		{"a latch that is not, since it fails", "POST", "/v1/panel/tamper/clear", "", errLater, map[string]any{"action": "clear_tamper", "done": false}},
		{"a look", "GET", "/v1/queue/s1-1", "", nil, nil},
		{"a drop without a reason, of which nothing is told", "POST", "/v1/queue/s1-1/drop", `{"reason":""}`, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.kiosk.broken, w.kiosk.export, w.kiosk.latched = tt.broken, []string{"sealed"}, true
			w.ask(tt.method, tt.path, tt.body)
			var lines []map[string]any
			for line := range strings.Lines(w.logged.String()) {
				var l map[string]any
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatal(err)
				}
				if l["msg"] == "staff acted on the outbox" || l["msg"] == "staff acted on the panel" {
					lines = append(lines, l)
				}
			}
			if tt.want == nil {
				if len(lines) > 0 {
					t.Errorf("logged %v, want nothing", lines)
				}
				return
			}
			if len(lines) != 1 {
				t.Fatalf("logged %v, want one line", lines)
			}
			tt.want["by"] = "unknown" // nobody asked the kernel
			for k, v := range tt.want {
				if lines[0][k] != v {
					t.Errorf("%s is %v, want %v, in %v", k, lines[0][k], v, lines[0])
				}
			}
		})
	}
}

// TestAVerificationEndsWithItsReader holds that what nobody listens to goes on
// for nobody, and makes room for the next one.
func TestAVerificationEndsWithItsReader(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	w.kiosk.verify = func(ctx context.Context) { // in the middle of it
		<-ctx.Done()
		close(ended)
	}
	_, err := c.Verify(ctx, func(l api.VerifyLine) error {
		if l.Done != 1 || l.Total != 3 {
			t.Errorf("the first line is %+v", l)
		}
		if _, err := c.Compact(t.Context()); !refusedWith(err, http.StatusConflict) {
			t.Errorf("a compaction meanwhile: %v, want a 409", err)
		}
		cancel()
		return nil
	})
	if !errors.Is(err, api.ErrBroken) {
		t.Errorf("Verify() = %v, want ErrBroken", err)
	}
	<-ended
	w.kiosk.verify, w.kiosk.found = nil, kiosk.Verification{Records: 3}
	for { // the server hears of it a little later
		v, err := c.Verify(t.Context(), func(api.VerifyLine) error { return nil })
		if refusedWith(err, http.StatusConflict) {
			continue
		}
		if err != nil || v.Records != 3 {
			t.Errorf("the next one: %+v, %v", v, err)
		}
		return
	}
}

func TestAVerificationIsReadToItsResult(t *testing.T) {
	const step, result = `{"done":1,"total":3}` + "\n", `{"done":3,"total":3,"result":{"records":3,"parts":9,"bytes":900}}` + "\n"
	for _, tt := range []struct {
		name, body string
		lines      int
		broken     bool
	}{
		{"whole", step + step + result, 2, false},
		{"with lines after its result", step + result + "<html>", 1, false},
		{"empty", "", 0, true},
		{"without a result", step, 1, true},
		{"cut in its result", step + result[:40], 1, true},
		{"garbled", "<html>\n" + result, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			v, err := api.ReadVerification(strings.NewReader(tt.body), func(api.VerifyLine) error { n++; return nil })
			if errors.Is(err, api.ErrBroken) != tt.broken || (err == nil) == tt.broken || n != tt.lines || (v.Records == 3) == tt.broken {
				t.Errorf("%+v, %v after %d lines; want %d", v, err, n, tt.lines)
			}
		})
	}
}

// FuzzVerification holds that a stream of anything is read to an end, which is
// a result, a refusal or an error that callers know.
func FuzzVerification(f *testing.F) {
	for _, seed := range []string{
		`{"done":1,"total":3}` + "\n" + `{"done":3,"total":3,"result":{"records":3,"parts":9,"bytes":900,"broken":["s-1"]}}`,
		`{"problem":"the daemon is stopping"}`, `{"result":null}`, `null`, "\n\n", `{"done":-1}`, `{"result":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := api.ReadVerification(bytes.NewReader(body), func(api.VerifyLine) error { return nil })
		if err != nil && !errors.Is(err, api.ErrBroken) && !refusedWith(err, http.StatusServiceUnavailable) {
			t.Fatalf("an error that callers do not know: %v", err)
		}
	})
}

func refusedWith(err error, code int) bool {
	r, is := errors.AsType[*api.RefusalError](err)
	return is && r.HTTP == code
}

// TestStoppingEndsAVerification has the daemon stop in the middle.
func TestStoppingEndsAVerification(t *testing.T) {
	w, path, stop := serve(t)
	stopped := make(chan error, 1)
	w.kiosk.verify = func(ctx context.Context) {
		go func() { stopped <- stop() }()
		<-ctx.Done()
	}
	_, err := api.NewClient(path).Verify(t.Context(), func(api.VerifyLine) error { return nil })
	if r, is := errors.AsType[*api.RefusalError](err); !is || !r.Retriable || r.Message != "the daemon is stopping" {
		t.Errorf("Verify() = %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAnExportIsWholeOrBroken(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	large := strings.Repeat("x", 100_000)
	w.kiosk.export = []string{"sealed", large}
	var got bytes.Buffer
	if err := c.Export(t.Context(), &got, []byte("public key")); err != nil || got.String() != "sealed"+large {
		t.Errorf("Export() = %v with %d bytes", err, got.Len())
	}
	w.kiosk.broken = errLater // once it has written
	for _, parts := range [][]string{{"sealed"}, {"sealed", large}} {
		w.kiosk.export = parts
		if err := c.Export(t.Context(), &got, []byte("public key")); !errors.Is(err, api.ErrBroken) {
			t.Errorf("Export() = %v of an export that broke off, want ErrBroken", err)
		}
	}
	if err := c.Export(t.Context(), full{}, []byte("public key")); !errors.Is(err, errFull) || errors.Is(err, api.ErrBroken) {
		t.Errorf("Export() = %v on a full disk", err)
	}
	// The daemon may not know yet that the one before was given up.
	err := c.Export(t.Context(), &got, []byte("private key"))
	for limit := time.Now().Add(30 * time.Second); refusedWith(err, http.StatusConflict) && time.Now().Before(limit); {
		err = c.Export(t.Context(), &got, []byte("private key"))
	}
	if !refusedWith(err, http.StatusBadRequest) {
		t.Errorf("Export() = %v for what is no public key, want a 400", err)
	}
}

var errFull = errors.New("no space left")

// A full writer takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// A timed recorder notes the deadlines that a handler sets.
type timed struct {
	*httptest.ResponseRecorder

	read, write *time.Time
}

func (r *timed) SetReadDeadline(t time.Time) error  { r.read = &t; return nil }
func (r *timed) SetWriteDeadline(t time.Time) error { r.write = &t; return nil }

// TestUpkeepTakesItsTime holds that what takes minutes is not cut off as a
// request that takes seconds is.
func TestUpkeepTakesItsTime(t *testing.T) {
	for _, path := range []string{"/v1/queue/verify", "/v1/queue/export", "/v1/queue/compact"} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			rec := &timed{ResponseRecorder: httptest.NewRecorder()}
			lifted := false
			w.kiosk.begun = func() {
				lifted = rec.read != nil && rec.read.IsZero() && rec.write != nil && rec.write.IsZero()
			}
			w.kiosk.export = []string{"sealed"}
			w.server.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader("public key")))
			if !lifted {
				t.Error("it begins under the deadlines of a request")
			}
			if rec.Code != http.StatusOK || rec.write.IsZero() {
				t.Errorf("answered %d with no limit to how long that takes to read", rec.Code)
			}
		})
	}
}

func TestLedgerOverTheSocket(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	at := time.Unix(0, 0).UTC()
	w.kiosk.erased = []kiosk.Erasure{{Record: "s0-1", Why: "dropped", Epoch: "e/7", Removed: at, Erased: at}}
	w.kiosk.keys = []kiosk.KeyUse{{Fingerprint: "k1", KEM: "x25519", Current: true, Records: 2}}
	if got, err := c.Erasures(t.Context()); err != nil || !slices.Equal(got, w.kiosk.erased) {
		t.Errorf("Erasures() = %+v, %v", got, err)
	}
	if got, err := c.Keys(t.Context()); err != nil || !slices.Equal(got, w.kiosk.keys) {
		t.Errorf("Keys() = %+v, %v", got, err)
	}
	if got, err := c.Compact(t.Context()); err != nil || got != (kiosk.Compaction{Before: 300, After: 200}) {
		t.Errorf("Compact() = %+v, %v", got, err)
	}
}

func TestThePanelThroughTheClient(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	w.kiosk.lines, w.kiosk.latched = []kiosk.Line{{Role: kiosk.RingLine, Name: "R", On: new(true)}}, true
	if got, err := c.Panel(t.Context()); err != nil || len(got) != 1 || got[0].Name != "R" || got[0].On == nil || !*got[0].On {
		t.Errorf("Panel() = %+v, %v", got, err)
	}
	if err := c.Force(t.Context(), kiosk.DoorLine, true, 2*time.Second); err != nil {
		t.Errorf("Force() = %v", err)
	}
	if err := c.Force(t.Context(), "../queue", true, 2*time.Second); !refusedWith(err, http.StatusNotFound) {
		t.Errorf("Force() of what is no line = %v", err)
	}
	if err := c.ClearTamper(t.Context()); err != nil {
		t.Errorf("ClearTamper() = %v", err)
	}
	if want := fmt.Sprintf("uid %d", os.Getuid()); w.kiosk.by != want {
		t.Errorf("cleared by %q, want %q", w.kiosk.by, want)
	}
}
