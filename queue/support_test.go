package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// exported returns what an export holds, opened.
func exported(t *testing.T, q *queue.Queue) []byte {
	t.Helper()
	support, err := seal.Generate(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := q.Export(t.Context(), &sealed, support.Public()); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.Bytes(), []byte("session-")) {
		t.Error("the export is not sealed")
	}
	b, text, err := seal.OpenEnvelope(support, "", sealed.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if b.Part != queue.ExportPart || b.Device == "" {
		t.Errorf("the envelope says %+v", b)
	}
	if !json.Valid(text) {
		t.Errorf("no JSON: %s", text)
	}
	return text
}

// furnished returns an outbox with something of every kind in it.
func furnished(t *testing.T, o queue.Options) *queue.Queue {
	t.Helper()
	q := queuetest.OpenWith(t, o)
	for n := range 8 {
		put(t, q, n, 2000)
	}
	book(t, q, 20, kiosk.UserToken{Value: "token-canary-20"})
	book(t, q, 21, kiosk.UserToken{Value: "token-canary-21"})
	for what, err := range map[string]error{
		"mark": q.Mark(t.Context(), "session-1-1", kiosk.Marks{
			Token: "token-canary-new", SubmissionID: "sub-1", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}, Pace: kiosk.Pace{Failures: 3},
		}),
		"dead":      q.Dead(t.Context(), "session-2-1", "FORBIDDEN"),
		"recapture": q.Recapture(t.Context(), "session-3-1", kiosk.Receipt{SubmissionID: "sub-3"}),
		"settle":    q.Settle(t.Context(), "session-4-1", kiosk.Receipt{Action: kiosk.ExitSuccess, SubmissionID: "sub-4"}),
		"drop":      q.Drop(t.Context(), "session-5-1", "uid 1000", "consent withdrawn"),
		"unbook":    q.Unbook(t.Context(), queuetest.Booking(21).CorrelationID),
		"outages":   q.SetOutages(t.Context(), []kiosk.Outage{{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 3}}),
		"probe":     q.Probe(t.Context()),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	return q
}

func TestNothingForStaffTellsWhoIsInThere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t)
	o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	q := furnished(t, o)
	said := map[string]any{"export": string(exported(t, q))}
	entries, err := q.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said["entries"] = entries
	for _, e := range entries {
		d, err := q.Show(t.Context(), e.Record)
		if err != nil {
			t.Fatal(err)
		}
		said["detail of "+string(e.Record)] = d
	}
	if said["erasures"], err = q.Erasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said["keys"], err = q.KeyUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said["verification"], err = q.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, v := range said {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s tells a secret: %s", what, text)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log tells a secret: %s", log.String())
	}
	for _, text := range [][]byte{read(t, o.Path)} {
		for _, secret := range []string{"user-canary", "token-canary", "metadata-canary", "correlation-canary"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the file has %s", secret)
			}
		}
	}
}

func TestSupportSeesEverythingElse(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Clock = func() queue.Reading { return queue.Reading{Boot: "boot", Up: 5} }
	q := furnished(t, o)
	var got struct {
		Entries  []kiosk.Detail
		Erasures []kiosk.Erasure
		Outages  []json.RawMessage
		Keys     []kiosk.KeyUse
		Proof    struct {
			Lines int
			Holds bool
		}
		Counts, Limits, Bolt map[string]int64
		Files                []struct {
			Name  string
			Bytes int64
		}
		Clock struct{ Boot string }
	}
	if err := json.Unmarshal(exported(t, q), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Entries) != 8 || len(got.Erasures) != 4 || len(got.Outages) != 1 || len(got.Keys) != 1 || got.Proof.Lines != 4 || !got.Proof.Holds {
		t.Errorf("exported %d entries, %d erasures, %d outages, %d keys, proof %+v", len(got.Entries), len(got.Erasures), len(got.Outages), len(got.Keys), got.Proof)
	}
	if got.Counts["records"] != 5 || got.Counts["letters"] != 1 || got.Counts["history"] != 2 || got.Counts["bookings"] != 1 ||
		got.Limits["records"] != 1000 || got.Limits["maxAge"] != 60*24*3600 || got.Bolt["size"] == 0 || len(got.Files) != 2 || got.Clock.Boot != "boot" {
		t.Errorf("counts %v, limits %v, bolt %v, files %v, clock %v", got.Counts, got.Limits, got.Bolt, got.Files, got.Clock)
	}
	if err := q.Export(t.Context(), &bytes.Buffer{}, nil); err == nil {
		t.Error("exported for nobody")
	}
}

func TestShowTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := furnished(t, o)
	key := o.Keys.Current().Fingerprint()
	for id, want := range map[kiosk.RecordID]string{
		"session-0-1": "queued parts 3/3 uploaded 0 failures 0 by  key " + key,
		"session-1-1": "submitted parts 4/4 uploaded 1 failures 3 by  key " + key,
		"session-2-1": "dead parts 3/3 uploaded 0 failures 0 by  key " + key,
		"session-3-1": "dead parts 0/0 uploaded 0 failures 0 by  key " + key,
		"session-4-1": "done parts 0/0 uploaded 0 failures 0 by  key ",
		"session-5-1": "done parts 0/0 uploaded 0 failures 0 by uid 1000 key ",
	} {
		d, err := q.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		opens := 0
		for _, p := range d.Parts {
			if p.Opens && p.Bytes > 0 {
				opens++
			}
		}
		got := strings.Join([]string{
			d.State, "parts", itoa(opens) + "/" + itoa(len(d.Parts)), "uploaded", itoa(len(d.Uploaded)), "failures", itoa(d.Failures), "by", d.By, "key", d.Key,
		}, " ")
		if got != want || d.Record != id || d.Changed.IsZero() && d.State != "queued" {
			t.Errorf("%s is shown as %q, changed %v; want %q", id, got, d.Changed, want)
		}
	}
	if _, err := q.Show(t.Context(), "nobody"); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("shown: %v", err)
	}
}

func itoa(n int) string { return string(rune('0' + n)) }

func TestVerifyNamesWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(record *bbolt.Bucket) error
		want   []kiosk.RecordID
	}{
		"nothing": {change: func(*bbolt.Bucket) error { return nil }},
		"a flipped bit in an image": {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error {
			image := r.Bucket([]byte("image/SELFIE"))
			v := bytes.Clone(image.Get([]byte("sealed")))
			v[len(v)/2] ^= 4
			return image.Put([]byte("sealed"), v)
		}},
		"an image that is missing": {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error {
			if err := r.DeleteBucket([]byte("image/ADDITIONAL_SELFIE")); err != nil {
				return err
			}
			return r.DeleteBucket([]byte("image/SELFIE"))
		}},
		"one of two images that is missing": {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error {
			return r.DeleteBucket([]byte("image/SELFIE"))
		}},
		"metadata that is missing":  {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error { return r.Delete([]byte("meta")) }},
		"marks of nobody":           {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error { return r.Put([]byte("marks"), []byte("none")) }},
		"a head that does not read": {want: []kiosk.RecordID{"session-2-1"}, change: func(r *bbolt.Bucket) error { return r.Put([]byte("head"), []byte("none")) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			for n := range 4 {
				put(t, q, n, 500)
			}
			if err := q.Dead(t.Context(), "session-2-1", "x"); err != nil {
				t.Fatal(err)
			}
			shut(t, q)
			tamper(t, o.Path, func(pending *bbolt.Bucket) error {
				dead := pending.Tx().Bucket([]byte("dead"))
				k, _ := dead.Cursor().First()
				return tc.change(dead.Bucket(k))
			})
			q = queuetest.OpenWith(t, o)
			var told []int
			v, err := q.Verify(t.Context(), func(done, total int) { told = append(told, done, total) })
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(v.Broken, tc.want) || v.Records != 4 || v.Tampered || tc.want == nil && v.Parts != 12 {
				t.Errorf("found %+v, want broken %v", v, tc.want)
			}
			if !slices.Equal(told, []int{1, 4, 2, 4, 3, 4, 4, 4}) {
				t.Errorf("told %v", told)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := q.Verify(ctx, func(int, int) { cancel() }); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

func TestVerifyOfARelaysRecordsUnwrapsThem(t *testing.T) {
	t.Parallel()
	relay, err := seal.Generate(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Relay = relay.Public()
	q := queuetest.OpenWith(t, o)
	put(t, q, 1, 500)
	v, err := q.Verify(t.Context(), nil)
	if err != nil || len(v.Broken) != 0 || v.Parts != 3 {
		t.Errorf("found %+v, %v", v, err)
	}
	d, err := q.Show(t.Context(), "session-1-1")
	if err != nil || d.Relay != relay.Fingerprint() {
		t.Errorf("shown %+v, %v", d, err)
	}
}

func TestKeyUsesCountWhatDependsOnAKey(t *testing.T) {
	t.Parallel()
	first, second, third := queuetest.Key(t), queuetest.Key(t), queuetest.Key(t)
	o := options(t)
	o.Keys = seal.NewRing(first)
	q := open(t, o)
	put(t, q, 1, 100)
	put(t, q, 2, 100)
	put(t, q, 3, 100)
	book(t, q, 9, kiosk.UserToken{})
	if err := q.Recapture(t.Context(), "session-3-1", kiosk.Receipt{}); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	o.Keys = seal.NewRing(second, first)
	q = open(t, o)
	put(t, q, 4, 100)
	use := func(k *seal.Key, kem string, current bool, records, bookings int) kiosk.KeyUse {
		return kiosk.KeyUse{Fingerprint: k.Fingerprint(), KEM: kem, Current: current, Records: records, Bookings: bookings}
	}
	want := []kiosk.KeyUse{use(second, "x25519", true, 1, 0), use(first, "x25519", false, 2, 1)}
	if got, err := q.KeyUses(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("uses %+v, %v; want %+v", got, err, want)
	}
	shut(t, q)
	o.Keys = seal.NewRing(third, second)
	q = queuetest.OpenWith(t, o)
	want = []kiosk.KeyUse{use(third, "x25519", true, 0, 0), use(second, "x25519", false, 1, 0), use(first, "", false, 2, 1)}
	if got, err := q.KeyUses(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("uses %+v, %v; want %+v", got, err, want)
	}
	v, err := q.Verify(t.Context(), nil)
	if err != nil || !slices.Equal(v.Broken, []kiosk.RecordID{"session-1-1", "session-2-1"}) {
		t.Errorf("found %+v, %v", v, err)
	}
}

func TestCompactingKeepsEverythingButTheRoom(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := furnished(t, o)
	for n := 30; n < 60; n++ {
		put(t, q, n, 50_000)
	}
	for n := 30; n < 60; n++ {
		if err := q.Settle(t.Context(), queuetest.Submission(n, 1).Record, kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.Compact(t.Context(), o); !errors.Is(err, kiosk.ErrQueueBusy) {
		t.Errorf("compacted while it is open: %v", err)
	}
	before := exportedEntries(t, q)
	if err := q.Probe(t.Context()); err != nil { // ends the last lines
		t.Fatal(err)
	}
	shut(t, q)
	making := filepath.Join(filepath.Dir(o.Path), ".queue.db.new")
	if err := os.WriteFile(making, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	size := len(read(t, o.Path))
	epochs := read(t, epochFiles(t, o.Path)[0])
	c, err := queue.Compact(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Before != int64(size) || c.After != int64(len(read(t, o.Path))) || c.After*5 > c.Before {
		t.Errorf("compacted %d bytes to %d, it says %+v", size, len(read(t, o.Path)), c)
	}
	if !bytes.Equal(epochs, read(t, epochFiles(t, o.Path)[0])) {
		t.Error("the epoch file changed")
	}
	if _, err := os.Lstat(making); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was made is left: %v", err)
	}
	info, err := os.Stat(o.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	q = queuetest.OpenWith(t, o)
	if after := exportedEntries(t, q); !reflect.DeepEqual(after, before) {
		t.Errorf("there were %+v, and are %+v", before, after)
	}
	v, err := q.Verify(t.Context(), nil)
	if err != nil || len(v.Broken) != 0 || v.Tampered {
		t.Errorf("found %+v, %v", v, err)
	}
	// Its sequence numbers went along: what comes now comes last.
	put(t, q, 70, 100)
	pending, err := q.Pending(t.Context())
	if err != nil || pending[len(pending)-1] != "session-70-1" {
		t.Errorf("pending %v, %v", pending, err)
	}
}

// exportedEntries returns what staff see of each record, but for its age.
func exportedEntries(t *testing.T, q *queue.Queue) []kiosk.Detail {
	t.Helper()
	var got struct{ Entries []kiosk.Detail }
	if err := json.Unmarshal(exported(t, q), &got); err != nil {
		t.Fatal(err)
	}
	for i := range got.Entries {
		got.Entries[i].Age, got.Entries[i].Expires = 0, 0
	}
	return got.Entries
}

func TestCompactingLeavesAnOutboxThatItCannotReadAlone(t *testing.T) {
	t.Parallel()
	o := options(t)
	if _, err := queue.Compact(t.Context(), o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := queue.Compact(t.Context(), queue.Options{}); err == nil {
		t.Error("options of nothing are fine")
	}
	shut(t, furnishedShut(t, o))
	sound := read(t, o.Path)
	broken := bytes.Clone(sound)
	copy(broken[8192:], bytes.Repeat([]byte{0xff}, 64))
	copy(broken[4096:], bytes.Repeat([]byte{0xff}, 4096))
	copy(broken, bytes.Repeat([]byte{0xff}, 4096))
	for name, tc := range map[string]struct {
		file []byte
		o    func(o *queue.Options)
		want error
	}{
		"a damaged file":        {file: broken, want: kiosk.ErrQueueBad},
		"one cut short":         {file: sound[:len(sound)/2], want: kiosk.ErrQueueBad},
		"one of another format": {file: bytes.ReplaceAll(sound, []byte("livekiosk outbox"), []byte("livekiosk inbox!")), want: kiosk.ErrQueueNewer},
		"one that a child died of": {file: sound, want: kiosk.ErrQueueBad, o: func(o *queue.Options) {
			o.Preflight = func(context.Context, *os.File) error { return kiosk.ErrQueueBad }
		}},
	} {
		if err := os.WriteFile(o.Path, tc.file, 0o600); err != nil {
			t.Fatal(err)
		}
		with := o
		if tc.o != nil {
			tc.o(&with)
		}
		if _, err := queue.Compact(t.Context(), with); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if !bytes.Equal(read(t, o.Path), tc.file) {
			t.Errorf("%s changed", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := os.WriteFile(o.Path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Compact(ctx, o); !errors.Is(err, context.Canceled) || !bytes.Equal(read(t, o.Path), sound) {
		t.Errorf("cancelled: %v", err)
	}
}

func furnishedShut(t *testing.T, o queue.Options) *queue.Queue {
	t.Helper()
	q := open(t, o)
	put(t, q, 1, 1000)
	put(t, q, 2, 1000)
	return q
}

// TestACompactionThatDiedIsRemoved opens the outbox beside what a power cut
// left of a compaction.
func TestACompactionThatDiedIsRemoved(t *testing.T) {
	t.Parallel()
	o := options(t)
	shut(t, furnishedShut(t, o))
	making := filepath.Join(filepath.Dir(o.Path), ".queue.db.new")
	if err := os.WriteFile(making, read(t, o.Path)[:9000], 0o600); err != nil {
		t.Fatal(err)
	}
	q := queuetest.OpenWith(t, o)
	if _, err := os.Lstat(making); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if v, err := q.Verify(t.Context(), nil); err != nil || v.Records != 2 || len(v.Broken) != 0 {
		t.Errorf("found %+v, %v", v, err)
	}
}
