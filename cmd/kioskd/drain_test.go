package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/queuetest"
)

// busy looks beside the daemon's socket as a script does.
func (l *lab) busy() bool {
	l.t.Helper()
	f, err := os.Open(Config{API: APIConfig{Socket: l.socket}}.busyPath())
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

// TestADrainLetsTheVisitorFinish drains a kiosk in the middle of a session, and
// with a record in its outbox that no gateway takes.
func TestADrainLetsTheVisitorFinish(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	l := newLab(t)
	q := l.hold()
	if err := q.Put(t.Context(), queuetest.Submission(1, 30<<10)); err != nil {
		t.Fatal(err)
	}
	l.release(q)
	slow := l.file("c.toml", "[display]\nscript_delay = \"3s\"\n") // the visitor reads before they decline
	d := l.start("-config", slow, "-gateway", away.URL, "-partner", away.URL, "-script", "decline,done")
	d.await("service", healthy)
	launch := func(id string) error {
		_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: id, UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light})
		return err
	}
	drained := func(want api.Drain) func(api.Status) bool {
		return func(api.Status) bool {
			got, err := d.client.Drained(t.Context())
			return err == nil && got == want
		}
	}
	d.await("rest", drained(api.Drain{Left: api.LeftNothing, Unsent: 1}))
	if l.busy() {
		t.Error("an idle kiosk is busy")
	}
	if err := launch("c-1"); err != nil {
		t.Fatal(err)
	}
	if !l.busy() {
		t.Error("not busy with a visitor")
	}
	got, err := d.client.Drain(t.Context(), true)
	if want := (api.Drain{Draining: true, Left: api.LeftSession, Unsent: 1}); err != nil || got != want {
		t.Errorf("Drain() = %+v, %v, want %+v", got, err, want)
	}
	if refused, is := errors.AsType[*api.RefusalError](launch("c-2")); !is || !refused.Retriable {
		t.Errorf("a launch beside the visitor: %v", refused)
	}
	if s := d.await("the session still", func(api.Status) bool { return true }); !s.SessionRunning || s.Phase != "consent" {
		t.Errorf("the drain touched the session: %+v", s)
	}
	d.await("the update screen, once the visitor has left", faulty(kiosk.UpdateFault))
	if got, err := d.client.Drained(t.Context()); err != nil || !got.Drained || got.Unsent != 1 || l.busy() {
		t.Errorf("Drained() = %+v, %v, and busy is %v", got, err, l.busy())
	}
	if refused, is := errors.AsType[*api.RefusalError](launch("c-2")); !is || refused.HTTP != http.StatusServiceUnavailable || !refused.Retriable {
		t.Errorf("a launch while draining: %v", refused)
	}
	if _, err := d.client.Drain(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	d.await("service again", healthy)
	if _, err := d.client.Drain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	d.stop()
	l.start("-gateway", away.URL, "-partner", away.URL).await("service after a restart", healthy)
}
