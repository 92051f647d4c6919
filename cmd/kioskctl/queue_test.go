package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// Show, Revive and Drop decide about the entries as the outbox does.
func (k *fakeKiosk) Show(_ context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	var d kiosk.Detail
	return d, k.decide(id, func(e *kiosk.Entry) error {
		at := now.Add(-time.Hour)
		d = kiosk.Detail{Entry: *e, Key: "0123abcd", Changed: at.Add(time.Minute), Age: 3600, Confirmed: e.State == "confirmed"}
		d.Queued = at
		if e.State == "queued" {
			return nil
		}
		d.Expires, d.Failures, d.NotBefore, d.Relay = 59*24*3600, 3, now.Add(time.Minute), "ffee"
		d.Parts = []kiosk.Part{{Name: "meta", Bytes: 900, Opens: true}, {Name: "image/SELFIE", Bytes: 150_000, Opens: e.Reason != "unreadable"}}
		if e.SubmissionID != "" {
			d.Uploaded = kiosk.Documents()[:1]
		}
		return nil
	})
}

func (k *fakeKiosk) Revive(_ context.Context, id kiosk.RecordID) error {
	return k.decide(id, func(e *kiosk.Entry) error {
		switch {
		case e.State == "dead" && e.Reason == kiosk.NeedsRecapture:
			return kiosk.ErrNoImages
		case e.State == "dead" && e.Reason == "unreadable":
			return kiosk.ErrSealBroken
		}
		e.State, e.Reason = "queued", ""
		return nil
	})
}

func (k *fakeKiosk) Drop(_ context.Context, id kiosk.RecordID, by, reason string) error {
	return k.decide(id, func(e *kiosk.Entry) error {
		e.State, e.Outcome, e.Reason, k.by = "done", kiosk.ExitError, reason, by
		return nil
	})
}

func (k *fakeKiosk) Erasures(context.Context) ([]kiosk.Erasure, error) { return k.erased, k.unread }

func (k *fakeKiosk) KeyUses(context.Context) ([]kiosk.KeyUse, error) { return k.uses, k.unread }

func (k *fakeKiosk) Verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error) {
	if k.unread != nil {
		return kiosk.Verification{}, k.unread
	}
	for i := range 2 {
		each(i+1, 2)
		if k.paused != nil {
			k.paused()
			<-ctx.Done()
			return kiosk.Verification{}, ctx.Err()
		}
	}
	return k.found, nil
}

func (k *fakeKiosk) Export(_ context.Context, w io.Writer, recipient []byte) (string, error) {
	if string(recipient) != "public" {
		return "", api.ErrRecipient
	}
	if _, err := io.WriteString(w, "sealed "); err != nil {
		return "k9", err
	}
	if k.paused != nil {
		k.paused()
		return "k9", errors.New("the disk failed")
	}
	_, err := io.WriteString(w, "outbox")
	return "k9", err
}

func (k *fakeKiosk) Compact(context.Context) (kiosk.Compaction, error) {
	if k.holding {
		return kiosk.Compaction{}, kiosk.ErrOccupied
	}
	return kiosk.Compaction{Before: 412_345_678, After: 20_345_678}, k.unread
}

func (k *fakeKiosk) decide(id kiosk.RecordID, fn func(*kiosk.Entry) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.entries, func(e kiosk.Entry) bool { return e.Record == id && e.State != "done" })
	switch {
	case k.unread != nil:
		return k.unread
	case i < 0:
		return kiosk.ErrNoRecord
	}
	return fn(&k.entries[i])
}

func TestDecisionsAboutDeadRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		unread error
		code   int
		out    string
		err    string
		left   string // records and their states
	}{
		"one is tried again": {args: []string{"retry", "a"}, out: "a: waits for delivery\n", left: "a queued, b dead, c dead, d dead, e queued"},
		"several":            {args: []string{"retry", "a", "e", "b"}, out: "a: waits for delivery\ne: waits for delivery\nb: waits for delivery\n", left: "a queued, b queued, c dead, d dead, e queued"},
		"one, for machines":  {args: []string{"retry", "a", "--json"}, out: `{"became":"waits for delivery","record":"a"}` + "\n", left: "a queued, b dead, c dead, d dead, e queued"},
		"all of a reason":    {args: []string{"retry", "--reason", "FORBIDDEN"}, out: "a: waits for delivery\nb: waits for delivery\n", left: "a queued, b queued, c dead, d dead, e queued"},
		"none of a reason":   {args: []string{"retry", "--reason", "forbidden"}, code: 65, err: "kioskctl: queue: no dead record has the reason \"forbidden\": see kioskctl queue\n"},
		"one that never was": {args: []string{"retry", "z"}, code: 65, err: "kioskctl: queue: z: no such record, or it is settled\n"},
		"one without images": {args: []string{"retry", "c"}, code: 65, err: "kioskctl: queue: c: the record has no images any more: the person has to come again\n"},
		"one of another key": {args: []string{"retry", "d"}, code: 75, err: "kioskctl: queue: d: the record does not open with this device's key: put its own key back first\n"},
		"an outbox that is down": {
			args: []string{"retry", "a"}, unread: kiosk.ErrQueueBad, code: 75, err: "kioskctl: queue: a: the outbox cannot be reached now: see the kiosk's log\n",
		},
		"those that can be, of several": {
			args: []string{"retry", "z", "a", "d", "b"}, code: 75, out: "a: waits for delivery\nb: waits for delivery\n",
			err:  "kioskctl: z: no such record, or it is settled\nkioskctl: queue: d: the record does not open with this device's key: put its own key back first\n",
			left: "a queued, b queued, c dead, d dead, e queued",
		},
		"one is dropped": {
			args: []string{"drop", "c", "--reason", "came again"}, out: "c: erased on this kiosk, for good\n", left: "a dead, b dead, c done, d dead, e queued",
		},
		"one that waits is dropped, too": {
			args: []string{"drop", "e", "--reason", "consent withdrawn", "--json"}, out: `{"record":"e","confirmed":false}` + "\n", left: "a dead, b dead, c dead, d dead, e done",
		},
		"one that never was is not": {args: []string{"drop", "z", "--reason", "came again"}, code: 65, err: "kioskctl: queue: z: no such record, or it is settled\n"},
		"none is dropped while the outbox is down": {
			args: []string{"drop", "a", "--reason", "came again"}, unread: kiosk.ErrQueueBad, code: 75, err: "kioskctl: queue: a: the outbox cannot be reached now: see the kiosk's log\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, path := &fakeKiosk{unread: tt.unread}, filepath.Join(t.TempDir(), "s")
			for id, reason := range map[kiosk.RecordID]string{"a": "FORBIDDEN", "b": "FORBIDDEN", "c": kiosk.NeedsRecapture, "d": "unreadable", "e": ""} {
				e := kiosk.Entry{Record: id, State: "dead", Reason: reason}
				if reason == "" {
					e.State = "queued"
				}
				k.entries = append(k.entries, e)
			}
			slices.SortFunc(k.entries, func(a, b kiosk.Entry) int { return strings.Compare(string(a.Record), string(b.Record)) })
			serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", path, "queue"}, tt.args...)...)
			if code != tt.code || out != tt.out || errs != tt.err {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if tt.left == "" {
				tt.left = "a dead, b dead, c dead, d dead, e queued"
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			var left []string
			for _, e := range k.entries {
				left = append(left, fmt.Sprint(e.Record, " ", e.State))
			}
			if got := strings.Join(left, ", "); got != tt.left {
				t.Errorf("left: %s, want %s", got, tt.left)
			}
		})
	}
}

// TestWhatADropLeavesElsewhere is for whoever withdraws their consent.
func TestWhatADropLeavesElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		state, submission string
		want              string
	}{
		"nothing":              {"queued", "", "r: erased on this kiosk, for good\n"},
		"a name":               {"queued", "sub-7", "knows of it as submission sub-7"},
		"a picture":            {"submitted", "sub-7", "has 1 of its pictures, not confirmed, as submission sub-7: if they have to be erased there"},
		"the whole submission": {"confirmed", "sub-7", "has it already, as submission sub-7: if it has to be erased there, too, tell the gateway's operator"},
	} {
		t.Run(name, func(t *testing.T) {
			k, path := &fakeKiosk{entries: []kiosk.Entry{{Record: "r", State: tt.state, SubmissionID: tt.submission}}}, filepath.Join(t.TempDir(), "s")
			serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, "", "--socket", path, "queue", "drop", "r", "--reason", "consent withdrawn")
			if code != 0 || errs != "" || !strings.HasPrefix(out, "r: erased on this kiosk, for good\n") || !strings.Contains(out, tt.want) {
				t.Errorf("exit %d\n%s%s\nwant %q", code, out, errs, tt.want)
			}
			if want := fmt.Sprintf("uid %d", os.Getuid()); k.by != want {
				t.Errorf("dropped by %q, want %q", k.by, want)
			}
		})
	}
}

func TestLookingAfterTheOutbox(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "to.pem")
	wrong := filepath.Join(dir, "wrong.pem")
	for file, text := range map[string]string{key: "public", wrong: "hello"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("x", 257)
	dead := kiosk.Entry{Record: "d", Session: "S", Attempt: 2, Review: true, State: "dead", Reason: "unreadable", SubmissionID: "sub-7"}
	for i, tt := range []struct {
		name  string
		kiosk *fakeKiosk // nil: one that is well
		args  []string
		code  int
		out   string
		err   string
	}{
		{
			name: "a record that waits", kiosk: &fakeKiosk{entries: []kiosk.Entry{{Record: "q", Session: "S", Attempt: 1, State: "queued"}}}, args: []string{"show", "q"},
			out: "record     q\n" +
				"session    S\n" +
				"state      queued since 02:01\n" +
				"attempt    1\n" +
				"queued     02:00, 60 min old for certain\n" +
				"gateway    knows nothing of it\n" +
				"key        0123abcd\n" +
				"parts      none: nothing of the person is left\n",
		},
		{
			name: "a record that is dead and does not open", kiosk: &fakeKiosk{entries: []kiosk.Entry{dead}}, args: []string{"show", "d"},
			out: "record     d\n" +
				"session    S\n" +
				"state      dead since 02:01\n" +
				"outcome    unreadable\n" +
				"           do: the record does not open with this device's key: keep the outbox and the key store, and tell the fleet's administrators\n" +
				"attempt    2, flagged for review\n" +
				"queued     02:00, 60 min old for certain, erased in 59 days at the earliest\n" +
				"gateway    has 1 of its pictures, not confirmed, as submission sub-7\n" +
				"tries      3 in a row came to nothing, the next not before 03:01\n" +
				"key        0123abcd\n" +
				"relay      ffee, which alone opens the pictures\n" +
				"parts      meta, 900 bytes, opens\n" +
				"           image/SELFIE, 150 kB, DOES NOT OPEN with this device's keys\n",
		},
		{name: "a record that never was", args: []string{"show", "z"}, code: 65, err: "kioskctl: queue: z: no such record, or it is settled\n"},
		{name: "a record that cannot be", args: []string{"show", long}, code: 64, err: "kioskctl: queue: " + long + ": a record's id has 1 to 256 bytes that can be printed\n"},
		{name: "nothing was erased", args: []string{"erasures"}, out: "nothing was erased that is still known of\n"},
		{
			name: "erasures", args: []string{"erasures"},
			kiosk: &fakeKiosk{erased: []kiosk.Erasure{
				{Record: "S-1", Why: "dropped", Epoch: "e1:7", Removed: now, Erased: now.Add(time.Second)},
				{Booking: "7f7f", Why: "unbooked", Epoch: "e1:8", Erased: now},
			}},
			out: "RECORD        WHY       REMOVED              ERASED               KEY\n" +
				"S-1           dropped   2026-05-04 03:00:00  2026-05-04 03:00:01  e1:7\n" +
				"booking 7f7f  unbooked  -                    2026-05-04 03:00:00  e1:8\n",
		},
		{
			name: "an outbox that opens", kiosk: &fakeKiosk{found: kiosk.Verification{Records: 2, Parts: 6, Bytes: 600_000, Erasures: 7}}, args: []string{"verify"},
			out: "1 of 2 records read\n2 records of 6 parts, 600 kB: every part opens\n7 erasures: their proof is as it was written\n",
		},
		{
			name: "an outbox that does not", kiosk: &fakeKiosk{found: kiosk.Verification{Records: 2, Parts: 6, Bytes: 600, Broken: []kiosk.RecordID{"d"}}}, args: []string{"verify"}, code: 65,
			out: "1 of 2 records read\n2 records of 6 parts, 600 bytes: 1 do not open with this device's keys, see kioskctl queue show:\n  d\n0 erasures: their proof is as it was written\n",
		},
		{
			name:  "an outbox whose proof of erasure was changed",
			kiosk: &fakeKiosk{found: kiosk.Verification{Records: 2, Parts: 6, Bytes: 60, Erasures: 7, Unproven: 1, Tampered: true}}, args: []string{"verify"}, code: 65,
			out: "1 of 2 records read\n2 records of 6 parts, 60 bytes: every part opens\n" +
				"7 erasures: THEIR PROOF WAS CHANGED from outside: tell the fleet's administrators, but for 1 that need a device key which is not here to be checked\n",
		},
		{
			name: "an outbox that opens, for machines", kiosk: &fakeKiosk{found: kiosk.Verification{Records: 2, Parts: 6, Bytes: 60}}, args: []string{"verify", "--json"},
			out: `{"done":1,"total":2}` + "\n" + `{"records":2,"parts":6,"bytes":60,"erasures":0,"tampered":false}` + "\n",
		},
		{name: "an outbox that cannot be read", kiosk: &fakeKiosk{unread: kiosk.ErrQueueBad}, args: []string{"verify"}, code: 75, err: "kioskctl: queue: the outbox cannot be reached now: see the kiosk's log\n"},
		{name: "a compaction", args: []string{"compact"}, out: "the outbox file had 412 MB and has 20 MB\n"},
		{
			name: "a compaction while somebody is there", kiosk: &fakeKiosk{holding: true}, args: []string{"compact"}, code: 75,
			err: "kioskctl: queue: a session is in progress: compact the outbox once the visitor has left\n",
		},
		{name: "a compaction that fails", kiosk: &fakeKiosk{unread: kiosk.ErrQueueBad}, args: []string{"compact"}, code: 75, err: "kioskctl: queue: the outbox cannot be reached now: see the kiosk's log\n"},
		{
			name: "an export", args: []string{"export", "--to", key, "--out", filepath.Join(dir, "export")},
			out: filepath.Join(dir, "export") + ": 13 bytes, which only the holder of the private key of " + key + " can open\n",
		},
		{
			name: "an export in place of another one", args: []string{"export", "--to", key, "--out", filepath.Join(dir, "export")}, code: 73,
			err: "kioskctl: queue: --out: nothing was kept: " + filepath.Join(dir, "export") + ": file already exists\n",
		},
		{
			name: "an export to where there is no folder", args: []string{"export", "--to", key, "--out", "/nonexistent/export"}, code: 73,
			err: "kioskctl: queue: --out: nothing was kept: open /nonexistent: no such file or directory\n",
		},
		{
			name: "an export for what is no key", args: []string{"export", "--to", wrong, "--out", filepath.Join(dir, "wrong")}, code: 64,
			err: "kioskctl: queue: the body is not a public key in PEM, as kioskctl keys public prints it\n",
		},
		{
			name: "an export that breaks off", kiosk: &fakeKiosk{paused: func() {}}, args: []string{"export", "--to", key, "--out", filepath.Join(dir, "torn")}, code: 69,
			err: "kioskctl: queue: the connection to the daemon broke off: unexpected EOF\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, strconv.Itoa(i))
			if tt.kiosk == nil {
				tt.kiosk = &fakeKiosk{}
			}
			stop := serve(t, tt.kiosk, path)
			code, out, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", path, "queue"}, tt.args...)...)
			if code != tt.code || out != tt.out || errs != tt.err {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			stop()
		})
	}
	b, err := os.ReadFile(filepath.Join(dir, "export"))
	if err != nil || string(b) != "sealed outbox" {
		t.Errorf("exported %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "export")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the export has mode %v, %v; want 0600", info.Mode(), err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if want := []string{filepath.Join(dir, "export"), key, wrong}; err != nil || !slices.Equal(files, want) || len(hidden) > 0 {
		t.Errorf("left behind: %v and %v, want %v", files, hidden, want)
	}
}

// TestInterruptedUpkeep stops the daemon's work with the command.
func TestInterruptedUpkeep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k, path := &fakeKiosk{paused: cancel}, filepath.Join(t.TempDir(), "s")
	serve(t, k, path) // whose end waits for the verification
	code, _, errs := kioskctl(ctx, nil, "", "--socket", path, "queue", "verify")
	if code != 75 || errs != "kioskctl: queue: interrupted, and nothing was changed\n" {
		t.Errorf("exit %d %q", code, errs)
	}
}
