package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// offline returns the flags of a kiosk whose services are all unavailable.
func offline(t *testing.T) []string {
	t.Helper()
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(away.Close)
	return []string{"-gateway", away.URL, "-partner", away.URL}
}

// stock puts n records into the lab's outbox.
func (l *lab) stock(n int) []*kiosk.Submission {
	l.t.Helper()
	q := l.hold()
	defer l.release(q)
	var all []*kiosk.Submission
	for i := range n {
		s := queuetest.Submission(i+1, 30<<10)
		if err := q.Put(l.t.Context(), s); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// take copies the state's files whose names begin with prefix into dir.
func (l *lab) take(prefix, dir string) {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.state, prefix+"*"))
	if err != nil || len(files) == 0 {
		l.t.Fatalf("%s*: %v, %v", prefix, files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// TestADropWhileOfflineLeavesNothingToRead withdraws a consent before anything
// was delivered. Whoever copied the outbox before that has the record with all
// its sealed parts, and the device key; what is gone is its own key.
func TestADropWhileOfflineLeavesNothingToRead(t *testing.T) {
	l := newLab(t)
	all := l.stock(2)
	gone, stays := all[0], all[1]
	before, after := t.TempDir(), t.TempDir()
	l.take("outbox.db", before) // with the epoch keys of then
	d := l.start(offline(t)...)
	d.await("the outbox", healthy)
	if _, err := d.client.Show(t.Context(), gone.Record); err != nil {
		t.Fatal(err)
	}
	got, err := d.client.Drop(t.Context(), gone.Record, "consent withdrawn")
	if err != nil || got.Record != gone.Record || got.Confirmed {
		t.Fatalf("Drop() = %+v, %v", got, err)
	}
	// Whoever was told "saved" waits for how it ended.
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	told := errors.New("told")
	if err := d.client.Events(within, 0, true, func(e kiosk.Event) error {
		if e.Kind != kiosk.EventResult || e.Session != gone.Session {
			return nil
		}
		if e.Result.Status != kiosk.Errored || e.Result.Detail != kiosk.APIError {
			t.Errorf("the partner is told %+v, want that nothing will come of it", e.Result)
		}
		return told
	}); !errors.Is(err, told) {
		t.Errorf("the partner is told nothing: %v", err)
	}
	entries, err := d.client.Queue(t.Context())
	if err != nil || len(entries) != 2 || entries[0].Record != stays.Record || entries[1].State != "done" ||
		entries[1].Outcome != kiosk.ExitError || entries[1].Reason != "consent withdrawn" {
		t.Errorf("the outbox lists %+v, %v", entries, err)
	}
	if left, err := d.client.Show(t.Context(), gone.Record); err != nil || len(left.Parts) > 0 || left.Bytes > 0 {
		t.Errorf("of the record is left %+v, %v", left, err)
	}
	erased, err := d.client.Erasures(t.Context())
	if err != nil || len(erased) != 1 || erased[0].Record != gone.Record || erased[0].Why != "dropped" || erased[0].Erased.IsZero() {
		t.Errorf("the erasures are %+v, %v", erased, err)
	}
	if v, err := d.client.Verify(t.Context(), func(api.VerifyLine) error { return nil }); err != nil || v.Records != 1 || len(v.Broken) > 0 {
		t.Errorf("Verify() = %+v, %v", v, err)
	}
	if m := d.metrics(); !strings.Contains(m, `kiosk_outbox_erased_total{why="dropped"} 1`) {
		t.Error("the metrics do not tell of the drop")
	}
	if log := d.says(`"action":"drop","by":"uid `); !strings.Contains(log, "consent withdrawn") || strings.Contains(log, gone.UserID) {
		t.Errorf("the log should say who dropped what and why, and nothing of the person:\n%s", log)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	// The outbox of before with the keys of now: nobody has those of before.
	l.take("outbox.db.epochs-", after)
	old, err := os.ReadFile(filepath.Join(before, "outbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(after, "outbox.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	c := defaults()
	c.State.Dir = l.state
	read := func(dir string, id kiosk.RecordID) error {
		ring, err := c.keys(false)
		if err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(t.Context(), queue.Options{Path: filepath.Join(dir, "outbox.db"), Keys: ring})
		if err != nil {
			t.Fatal(err)
		}
		defer l.release(q)
		var buf []byte
		img, err := q.Image(t.Context(), id, kiosk.Selfie, &buf)
		if err == nil && !bytes.Equal(img, queuetest.Submission(1, 30<<10).Images[kiosk.Selfie]) && id == gone.Record {
			err = errors.New("another image")
		}
		return err
	}
	if err := read(after, gone.Record); err == nil {
		t.Error("a copy of before the drop still opens")
	}
	if err := read(after, stays.Record); err != nil {
		t.Errorf("what was not dropped does not open any more: %v", err)
	}
	if err := read(before, gone.Record); err != nil {
		t.Errorf("with its own key it should open, or this test proves nothing: %v", err)
	}
}

// TestACompactionGivesRoomBack compacts an outbox of which most was dropped,
// while a person is there and then while nobody is.
func TestACompactionGivesRoomBack(t *testing.T) {
	l := newLab(t)
	all := l.stock(30)
	d := l.start(offline(t)...)
	d.await("the outbox", healthy)
	for _, s := range all[1:] {
		if _, err := d.client.Drop(t.Context(), s.Record, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	launch := func(id string) error {
		_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: id, UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light})
		return err
	}
	if err := launch("c-1"); err != nil {
		t.Fatal(err)
	}
	var refused *api.RefusalError
	if _, err := d.client.Compact(t.Context()); !errors.As(err, &refused) || refused.HTTP != http.StatusConflict || !refused.Retriable {
		t.Errorf("a compaction in the middle of a session: %v, want a 409", err)
	}
	d.stop() // with its session
	d = l.start(offline(t)...)
	d.await("service", healthy)
	size, err := d.client.Compact(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, d.log.String())
	}
	info, err := os.Stat(filepath.Join(l.state, "outbox.db"))
	if err != nil || size.After != info.Size() || size.Before <= size.After {
		t.Errorf("compacted %+v, and the file has %d bytes, %v", size, info.Size(), err)
	}
	d.await("service again", healthy)
	entries, err := d.client.Queue(t.Context())
	if err != nil || len(entries) != len(all) || entries[0].Record != all[0].Record || entries[0].State != "queued" {
		t.Errorf("the outbox lists %d records, %v", len(entries), err)
	}
	if v, err := d.client.Verify(t.Context(), func(api.VerifyLine) error { return nil }); err != nil || v.Records != 1 || len(v.Broken) > 0 {
		t.Errorf("Verify() = %+v, %v", v, err)
	}
	if err := launch("c-2"); err != nil {
		t.Errorf("a launch after that: %v", err)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestACompactionThatFailsPutsTheOutboxBack has the device key away in the
// middle of it.
func TestACompactionThatFailsPutsTheOutboxBack(t *testing.T) {
	l := newLab(t)
	all := l.stock(1)
	d := l.start(offline(t)...)
	d.await("the outbox", healthy)
	key := filepath.Join(l.state, "keys", "device.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	var refused *api.RefusalError
	if _, err := d.client.Compact(t.Context()); !errors.As(err, &refused) || refused.HTTP != http.StatusServiceUnavailable {
		t.Errorf("a compaction without the device key: %v, want a 503", err)
	}
	d.await("the fault", faulty(kiosk.StorageFault))
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	d.await("service again", healthy)
	if entries, err := d.client.Queue(t.Context()); err != nil || len(entries) != 1 || entries[0].Record != all[0].Record {
		t.Errorf("the outbox lists %+v, %v", entries, err)
	}
}

func TestAnExportIsForItsRecipientOnly(t *testing.T) {
	l := newLab(t)
	all := l.stock(2)
	d := l.start(offline(t)...)
	d.await("the outbox", healthy)
	var out bytes.Buffer
	var refused *api.RefusalError
	if err := d.client.Export(t.Context(), &out, []byte("hello")); !errors.As(err, &refused) || refused.HTTP != http.StatusBadRequest || out.Len() > 0 {
		t.Errorf("an export for what is no key: %v, %d bytes", err, out.Len())
	}
	support, err := seal.Generate(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.client.Export(t.Context(), &out, support.Public().PEM()); err != nil {
		t.Fatalf("%v\n%s", err, d.log.String())
	}
	_, text, err := seal.OpenEnvelope(support, "", bytes.Clone(out.Bytes())) // in place
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if bytes.Contains(out.Bytes(), []byte(s.Record)) || !bytes.Contains(text, []byte(s.Record)) {
			t.Errorf("record %s should be told to the recipient only", s.Record)
		}
		for _, secret := range []string{s.UserID, s.CorrelationID, s.Token} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the export tells %q", secret)
			}
		}
	}
	d.says(fmt.Sprintf(`"recipient":%q`, support.Fingerprint()))
	keys, err := d.client.Keys(t.Context())
	if err != nil || len(keys) != 1 || !keys[0].Current || keys[0].Records != 2 {
		t.Errorf("Keys() = %+v, %v", keys, err)
	}
}
