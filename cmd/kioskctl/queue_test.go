package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
)

// Revive and Dismiss decide about the entries as the outbox does.
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

func (k *fakeKiosk) Dismiss(_ context.Context, id kiosk.RecordID, reason string) error {
	return k.decide(id, func(e *kiosk.Entry) error {
		if e.State != "dead" {
			return kiosk.ErrNotDead
		}
		e.State, e.Outcome, e.Reason = "done", kiosk.ExitError, reason
		return nil
	})
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
		"one is given up": {
			args: []string{"dismiss", "c", "--reason", "came again"}, out: "c: given up\n", left: "a dead, b dead, c done, d dead, e queued",
		},
		"one that waits is not": {
			args: []string{"dismiss", "e", "--reason", "came again"}, code: 75,
			err: "kioskctl: queue: e: the record is still being delivered: it can be dismissed once it is set aside\n",
		},
		"one that never was is not": {args: []string{"dismiss", "z", "--reason", "came again"}, code: 65, err: "kioskctl: queue: z: no such record, or it is settled\n"},
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
