package main

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// A tub is what can be drained of a fakeKiosk: it is empty after some looks.
type tub struct {
	mu sync.Mutex

	water
}

type water struct {
	looks  int // until it is empty; -1: never
	left   api.Left
	unsent int
	lost   bool // the drain, as by a restart
	on     bool
}

func (d *tub) Drain(_ context.Context, on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = on
	return nil
}

// Tap has a tub drain, which is what it has of a screen.
func (d *tub) Tap(_ context.Context, t kiosk.Tap) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = t.Control == kiosk.Large
	return nil
}

// Unlock ends a drain, which is what a tub has of a lock.
func (d *tub) Unlock(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.on {
		return kiosk.ErrNotLocked
	}
	d.on = false
	return nil
}

func (d *tub) Drained(context.Context) api.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := api.Drain{Draining: d.on, Left: d.left, Unsent: d.unsent}
	if d.looks == 0 {
		out.Left = api.LeftNothing
	} else {
		d.looks--
	}
	if d.lost {
		d.on = false
	}
	out.Drained = d.on && out.Left == api.LeftNothing
	return out
}

func TestDrain(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct {
		name string
		tub  water
		args string
		code int
		out  string
		err  string
		on   bool // afterwards
	}{
		{name: "an idle kiosk", args: "drain", out: "drained: nothing waits to be sent\n", on: true},
		{name: "a kiosk with a visitor, offline", tub: water{looks: 2, left: api.LeftSession, unsent: 3}, args: "drain", out: "drained: 3 captures wait in the outbox for their next try\n", on: true},
		{name: "for machines", tub: water{unsent: 2}, args: "drain --json", out: `{"draining":true,"drained":true,"left":"nothing","unsent":2}` + "\n", on: true},
		{
			name: "a visitor who stays", tub: water{looks: -1, left: api.LeftSession}, args: "drain --timeout 300ms", code: 75,
			err: "kioskctl: drain: not drained in time, and back in service: a visitor is there\n",
		},
		{
			name: "a backlog that is being sent", tub: water{looks: -1, left: api.LeftDelivery}, args: "drain --timeout 1ms", code: 75,
			err: "kioskctl: drain: not drained in time, and back in service: captures are being delivered\n",
		},
		{
			name: "a daemon that is restarted meanwhile", tub: water{looks: -1, left: api.LeftSession, lost: true}, args: "drain", code: 75,
			err: "kioskctl: drain: the drain was ended: the daemon was restarted, or somebody called kioskctl drain --off\n",
		},
		{name: "the end of a drain", tub: water{on: true}, args: "drain --off", out: "the kiosk takes sessions again\n"},
		{name: "a control for a visitor who cannot", args: "tap session-1 large", on: true},
		{name: "a control for a visitor who is not there", args: "tap nobody large", code: 65, err: "kioskctl: tap: no such session\n"},
		{name: "a control that is the visitor's own", args: "tap s1 agree", code: 64, err: "kioskctl: tap: …\n"},
		{name: "the end of a lock", tub: water{on: true}, args: "unlock"},
		{name: "a kiosk that is not locked", args: "unlock", code: 65, err: "kioskctl: unlock: the kiosk is not locked\n"},
		{name: "no time", args: "drain --timeout 0s", code: 64, err: "kioskctl: drain: --timeout must be more than zero\n"},
		{name: "a word too many", args: "drain now", code: 64, err: "kioskctl: drain: …\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, path := &fakeKiosk{tub: tub{water: tt.tub}}, filepath.Join(dir, strconv.Itoa(i))
			stop := serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", path}, strings.Fields(tt.args)...)...)
			stop()
			if begin, _, cut := strings.Cut(tt.err, "…"); code != tt.code || out != tt.out || errs != tt.err && (!cut || !strings.HasPrefix(errs, begin)) {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if k.tub.on != tt.on {
				t.Errorf("draining is %v afterwards, want %v", k.tub.on, tt.on)
			}
		})
	}
}

// TestADrainThatIsInterruptedIsTakenBack also holds what nobody answers.
func TestADrainThatIsInterruptedIsTakenBack(t *testing.T) {
	k, path := &fakeKiosk{tub: tub{water: water{looks: -1, left: api.LeftStoring}}}, filepath.Join(t.TempDir(), "s")
	stop := serve(t, k, path)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	code, _, errs := kioskctl(ctx, nil, "", "--socket", path, "drain")
	stop()
	if code != 75 || !strings.Contains(errs, "back in service: a capture is being stored or sent") || k.tub.on {
		t.Errorf("exit %d, %s; draining is %v", code, errs, k.tub.on)
	}
	if code, _, errs := kioskctl(t.Context(), nil, "", "--socket", path, "drain"); code != 69 {
		t.Errorf("exit %d, %s; want 69 where no daemon answers", code, errs)
	}
}
