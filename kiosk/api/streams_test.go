package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// follow collects the kinds of a stream's events on a channel, and what ended
// it.
func follow(t *testing.T, walk func(context.Context, func(kiosk.Event) error) error) (kinds <-chan kiosk.Event, done <-chan error) {
	t.Helper()
	events, ended := make(chan kiosk.Event, 64), make(chan error, 1)
	go func() {
		ended <- walk(t.Context(), func(e kiosk.Event) error { events <- e; return nil })
		close(events)
	}()
	return events, ended
}

func TestAResultComesWithItsEvent(t *testing.T) {
	w, path, _ := serve(t)
	id, err := api.NewClient(path).Launch(t.Context(), kiosk.Launch{CorrelationID: "c1", UserID: "u", Locale: kiosk.English, Theme: kiosk.Light})
	if err != nil {
		t.Fatal(err)
	}
	want := kiosk.Result{Session: id, CorrelationID: "c1", Status: kiosk.Completed, SubmissionID: "sub"}
	w.kiosk.end(want)
	var got *kiosk.Result
	err = api.NewClient(path).Session(t.Context(), id, func(e kiosk.Event) error {
		if e.Kind == kiosk.EventResult {
			got = e.Result
		}
		return nil
	})
	if err != nil || got == nil || *got != want {
		t.Errorf("the event holds %+v, %v; want %+v", got, err, want)
	}
}

// TestACaptureSavedForLaterIsFollowedToItsEnd has one reader who leaves with
// the first result and one who waits for the last.
func TestACaptureSavedForLaterIsFollowedToItsEnd(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	id, err := c.Launch(t.Context(), kiosk.Launch{CorrelationID: "c1", UserID: "u", Locale: kiosk.English, Theme: kiosk.Light})
	if err != nil {
		t.Fatal(err)
	}
	w.kiosk.end(kiosk.Result{Session: id, Status: kiosk.NotCompleted, Detail: kiosk.Saved})
	early, left := follow(t, func(ctx context.Context, fn func(kiosk.Event) error) error { return c.Session(ctx, id, fn) })
	if err := <-left; err != nil {
		t.Fatalf("Session() = %v, want its end with the first result", err)
	}
	if n := len(early); n != 2 {
		t.Errorf("%d events until the first result, want 2", n)
	}
	late, delivered := follow(t, func(ctx context.Context, fn func(kiosk.Event) error) error { return c.Delivered(ctx, id, fn) })
	for e := range late {
		if e.Result != nil && e.Result.Detail == kiosk.Saved { // it waits: now the network is back
			w.kiosk.end(kiosk.Result{Session: id, Status: kiosk.Completed})
		}
		if e.Result != nil && e.Result.Status == kiosk.Completed {
			break
		}
	}
	if err := <-delivered; err != nil {
		t.Errorf("Delivered() = %v, want its end with the last result", err)
	}
}

// TestASavedCaptureOfAnEarlierRunIsFollowedToItsEnd knows the session from the
// outbox only.
func TestASavedCaptureOfAnEarlierRunIsFollowedToItsEnd(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	if err := c.Session(t.Context(), "s1", func(kiosk.Event) error { return nil }); err != nil {
		t.Fatalf("Session() = %v, want its end: it has its result", err)
	}
	events, done := follow(t, func(ctx context.Context, fn func(kiosk.Event) error) error { return c.Delivered(ctx, "s1", fn) })
	w.log.Publish(kiosk.Event{Kind: kiosk.EventConfirmed, Session: "s1"})
	if e := <-events; e.Kind != kiosk.EventConfirmed {
		t.Errorf("got %+v, want the delivery", e)
	}
	w.kiosk.end(kiosk.Result{Session: "s1", Status: kiosk.Completed})
	if e := <-events; e.Result == nil || e.Result.Status != kiosk.Completed {
		t.Errorf("got %+v, want the result", e)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStoppingIsToldToThoseWhoFollow(t *testing.T) {
	w, path, stop := serve(t)
	c := api.NewClient(path)
	id, err := c.Launch(t.Context(), kiosk.Launch{CorrelationID: "c1", UserID: "u", Locale: kiosk.English, Theme: kiosk.Light})
	if err != nil {
		t.Fatal(err)
	}
	w.log.Publish(kiosk.Event{Kind: kiosk.EventFault})
	all, allDone := follow(t, func(ctx context.Context, fn func(kiosk.Event) error) error { return c.Events(ctx, 0, true, fn) })
	one, oneDone := follow(t, func(ctx context.Context, fn func(kiosk.Event) error) error { return c.Session(ctx, id, fn) })
	<-all
	<-all
	<-one
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil once asked to stop", err)
	}
	for name, s := range map[string]struct {
		events <-chan kiosk.Event
		done   <-chan error
		seq    uint64
	}{"all events": {all, allDone, 2}, "one session": {one, oneDone, 1}} {
		if e := <-s.events; e.Kind != api.EventStopping || e.Seq != s.seq {
			t.Errorf("%s: the last line is %+v, want stopping after %d", name, e, s.seq)
		}
		if err := <-s.done; !errors.Is(err, api.ErrStopping) {
			t.Errorf("%s: the stream ended with %v, want ErrStopping", name, err)
		}
	}
	if _, err := api.NewClient(path).Status(t.Context()); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("Status() = %v of a daemon that stopped, want ErrUnreachable", err)
	}
}

func TestAStreamThatIsCutOrGarbledIsBroken(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		events     int
		want       error
	}{
		{"whole", `{"seq":1,"kind":"hint"}` + "\n", 1, nil},
		{"empty", "", 0, nil},
		{"cut in a line", `{"seq":1,"kind":"hint"}` + "\n" + `{"seq":2,`, 1, api.ErrBroken},
		{"garbled", "<html>\n", 0, api.ErrBroken},
		{"stopping", `{"seq":1,"kind":"stopping"}` + "\n" + `{"seq":2,"kind":"hint"}` + "\n", 1, api.ErrStopping},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			err := api.ReadEvents(strings.NewReader(tt.body), func(kiosk.Event) error { n++; return nil })
			if !errors.Is(err, tt.want) || n != tt.events {
				t.Errorf("%d events, %v; want %d, %v", n, err, tt.events, tt.want)
			}
		})
	}
}

// endless is a line that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	if e.read > 1<<20 {
		return len(p), errors.New("read without an end")
	}
	return len(p), nil
}

func TestALineWithoutEndIsGivenUp(t *testing.T) {
	var e endless
	err := api.ReadEvents(&e, func(kiosk.Event) error { return nil })
	if !errors.Is(err, api.ErrBroken) || e.read > 128<<10 {
		t.Errorf("%v after %d bytes, want ErrBroken after 64 KiB", err, e.read)
	}
}

// A lapper lets the log go round once the first line is written.
type lapper struct {
	*httptest.ResponseRecorder

	lap func()
}

func (l *lapper) Write(p []byte) (int, error) {
	l.lap()
	return l.ResponseRecorder.Write(p)
}

func TestASessionWhoseResultIsMissingEndsAllTheSame(t *testing.T) {
	w := newWorld(t)
	if code, answer := w.ask("POST", "/v1/sessions", `{"correlationId":"c1","userId":"u"}`); code != 201 {
		t.Fatalf("launch = %d %s", code, answer)
	}
	rec := &lapper{ResponseRecorder: httptest.NewRecorder()}
	rec.lap = sync.OnceFunc(func() {
		w.kiosk.end(kiosk.Result{Session: "s1", Status: kiosk.Completed})
		for range 100 { // more than the log keeps
			w.log.Publish(kiosk.Event{Kind: kiosk.EventHint, Session: "other"})
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.server.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/v1/sessions/s1/events", nil))
	if ctx.Err() != nil || !strings.Contains(rec.Body.String(), `"kind":"gap"`) {
		t.Errorf("%v; got %s", ctx.Err(), rec.Body)
	}
}

// FuzzEvents holds that a stream of anything is read to an end, and that what
// was read is written and read the same again.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		`{"seq":1,"at":"2026-05-04T09:00:00Z","kind":"hint","session":"s","text":"no_face"}`,
		`{"seq":2,"kind":"result","result":{"sessionId":"s","correlationId":"c","status":"ERROR","extra":{"errorCode":"API","detailedErrorCode":2215,"errorMessage":"m"},"retriable":true}}`,
		`{"result":{"extra":null}}`, `{"result":null}`, `{"result":[]}`, `null`, "\n\n", `{"seq":-1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got []kiosk.Event
		err := api.ReadEvents(bytes.NewReader(body), func(e kiosk.Event) error { got = append(got, e); return nil })
		if err != nil && !errors.Is(err, api.ErrBroken) && !errors.Is(err, api.ErrStopping) {
			t.Fatalf("an error that callers do not know: %v", err)
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		for _, e := range got {
			if r := e.Result; r != nil && r.Detail != kiosk.NoDetail && r.Error == kiosk.NoErrorCode {
				r.Error = r.Detail.Class() // as it is written
			}
			if e.Result != nil && e.Result.Detail == kiosk.NoDetail {
				e.Result.Error = kiosk.NoErrorCode // no extra is written
			}
			if err := enc.Encode(e); err != nil {
				t.Skip("a time that JSON cannot hold")
			}
		}
		var twice []kiosk.Event
		if err := api.ReadEvents(&again, func(e kiosk.Event) error { twice = append(twice, e); return nil }); err != nil && !errors.Is(err, api.ErrStopping) {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, twice, func(a, b kiosk.Event) bool { return a.At.Equal(b.At) && sameButTime(a, b) }) {
			t.Errorf("read %+v, and then %+v", got, twice)
		}
	})
}

func sameButTime(a, b kiosk.Event) bool {
	a.At = b.At
	return reflect.DeepEqual(a, b)
}
