package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
)

// down makes a world whose calls of some names fail until a time.
func down(w *memWorld, until time.Duration, trouble kiosk.Trouble, names ...string) {
	w.before = func(_ context.Context, c call) error {
		if c.at >= until || len(names) > 0 && !strings.Contains(strings.Join(names, " "), c.name) {
			return nil
		}
		return &kiosk.GatewayError{Call: c.name, Trouble: trouble, Disposition: kiosk.RetryLater, Err: errors.New("does not work")}
	}
}

func TestAPartnerOutageStopsNobodyWhoHasAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 40 {
			id := fmt.Sprint("r", i)
			j := job(id, id)
			if i%2 == 1 {
				j.Token = "of the launch"
			}
			o.put(j, faces(id))
		}
		down(w, time.Hour, kiosk.TroubleTimeout, "token")
		b := start(t, w, o, nil)
		pass(10 * time.Minute)
		if o.ends() != 20 {
			t.Errorf("%d settled while the partner backend is out of reach, want the 20 that have a token", o.ends())
		}
		if n := w.count("token"); n > 60 {
			t.Errorf("%d tokens asked for in ten minutes of an outage", n)
		}
		s := b.Stats()
		if p := s.Services[kiosk.PartnerService]; !p.Out || p.Trouble != kiosk.TroubleTimeout || p.Failures < 2 || p.Openings != 1 {
			t.Errorf("partner: %+v", p)
		}
		if s.Services[kiosk.GatewayService].Out || s.Services[kiosk.StoreService].Out || !s.Offline {
			t.Errorf("%+v", s)
		}
		pass(2 * time.Hour)
		if o.ends() != 40 {
			t.Errorf("%d settled after the outage, want all", o.ends())
		}
	})
}

func TestAStoreOutageStopsNoPollsAndCostsNoURLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 20 {
			id := fmt.Sprint("old", i)
			j := job(id, id)
			j.Token = "t"
			j.Marks = kiosk.Marks{SubmissionID: "s" + id, Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}, Confirmed: true}
			w.subs["c-"+id] = &memSubmission{id: "s" + id, confirmed: 1}
			o.put(j, faces(id))
			o.put(job("new"+id, "new"+id), faces(id))
		}
		down(w, time.Hour, kiosk.TroubleConnect, "upload")
		b := start(t, w, o, nil)
		pass(5 * time.Minute)
		if o.ends() != 20 {
			t.Errorf("%d verdicts while the store is out of reach, want 20", o.ends())
		}
		if urls, uploads := w.count("urls"), w.count("upload"); urls > uploads+1 || uploads > 60 {
			t.Errorf("asked for URLs %d times and uploaded %d times in five minutes of an outage", urls, uploads)
		}
		if s := b.Stats().Services; !s[kiosk.StoreService].Out || s[kiosk.GatewayService].Out {
			t.Errorf("%+v", s)
		}
		pass(2 * time.Hour)
		if o.ends() != 40 {
			t.Errorf("%d settled after the outage, want all", o.ends())
		}
	})
}

// TestEveryTroubleHasItsWord goes through what can keep a kiosk from a service.
func TestEveryTroubleHasItsWord(t *testing.T) {
	for _, trouble := range []kiosk.Trouble{
		kiosk.TroubleDNS, kiosk.TroubleConnect, kiosk.TroubleTimeout, kiosk.TroubleBroken, kiosk.TroubleClock,
		kiosk.TroubleCertificate, kiosk.TroubleProxy, kiosk.TroublePortal, kiosk.TroubleGarbled, kiosk.TroubleBusy,
	} {
		t.Run(string(trouble), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				o.put(job("r", "r"), faces("r"))
				w.before = func(_ context.Context, c call) error {
					if c.name != "urls" || c.at > time.Hour {
						return nil
					}
					g := &kiosk.GatewayError{Call: c.name, Service: kiosk.GatewayService, Trouble: trouble, Disposition: kiosk.RetryLater}
					if trouble == kiosk.TroublePortal {
						g.Status = 404 // in the middle's own voice
					}
					return g
				}
				b := start(t, w, o, nil)
				pass(30 * time.Minute)
				if s := b.Stats().Services[kiosk.GatewayService]; !s.Out || s.Trouble != trouble {
					t.Errorf("%+v", s)
				}
				if want := "deferred:" + string(trouble); strings.Count(b.story.String(), want) != 1 {
					t.Errorf("story: %s; want %s once", b.story, want)
				}
				pass(time.Hour)
				if s := b.Stats(); o.end("r").Action != kiosk.ExitSuccess || s.Offline {
					t.Errorf("afterwards: %+v, %+v", o.end("r"), s)
				}
			})
		})
	}
}

func TestServerErrorsForEverybodyAreAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 100 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		w.before = func(_ context.Context, c call) error {
			if c.name == "urls" && c.at < time.Hour {
				return &kiosk.GatewayError{Call: c.name, Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		b := start(t, w, o, nil)
		pass(time.Hour - time.Second)
		if n := w.count("urls"); n > 80 {
			t.Errorf("%d calls in an hour in which everything is answered 500", n)
		}
		if s := b.Stats().Services[kiosk.GatewayService]; !s.Out || s.Trouble != kiosk.TroubleUnavailable {
			t.Errorf("%+v", s)
		}
		pass(time.Hour)
		if o.ends() != 100 {
			t.Errorf("%d settled afterwards", o.ends())
		}
	})
}

// TestWhatIsSaidOfTheKioskIsAnOutage is about refusals that every record gets.
func TestWhatIsSaidOfTheKioskIsAnOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		g       kiosk.GatewayError
		service kiosk.Service
	}{
		"the partner does not know this kiosk":   {kiosk.GatewayError{Call: "token", Status: 403, Cause: "KIOSK_CERTIFICATE_REQUIRED"}, kiosk.PartnerService},
		"the partner turns its certificate down": {kiosk.GatewayError{Call: "token", Status: 401, Cause: "UNAUTHORIZED"}, kiosk.PartnerService},
		"the gateway refuses every new token":    {kiosk.GatewayError{Call: "urls", Status: 401, Cause: "UNAUTHORIZED", Disposition: kiosk.NewToken}, kiosk.GatewayService},
		"the gateway forbids everything":         {kiosk.GatewayError{Call: "urls", Status: 403, Cause: "FORBIDDEN"}, kiosk.GatewayService},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				for i := range 200 {
					id := fmt.Sprint("r", i)
					j := job(id, id)
					if tt.service == kiosk.GatewayService && i%2 == 0 {
						j.Token = "of the launch"
					}
					o.put(j, faces(id))
				}
				w.before = func(_ context.Context, c call) error {
					if c.name != tt.g.Call || c.at > 2*time.Hour {
						return nil
					}
					said := tt.g
					if said.Service = tt.service; said.Disposition == "" {
						said.Disposition = kiosk.RetryLater
					}
					return &said
				}
				b := start(t, w, o, nil)
				pass(time.Hour)
				before := w.count("")
				if s := b.Stats().Services[tt.service]; !s.Out {
					t.Errorf("after an hour: %+v", s)
				}
				pass(time.Hour)
				if n := w.count("") - before; n > 120 {
					t.Errorf("%d calls in the second hour", n)
				}
				pass(3 * time.Hour)
				if s := b.Stats(); o.ends() != 200 || s.Dead != 0 {
					t.Errorf("afterwards %d settled, %+v", o.ends(), s)
				}
			})
		})
	}
}

func TestAMinuteOf403CostsNobodyTheirRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.before = func(_ context.Context, c call) error {
			if c.name == "confirm" && c.at < time.Minute {
				return &kiosk.GatewayError{Call: c.name, Status: 403, Cause: "FORBIDDEN", Disposition: kiosk.RetryLater}
			}
			return nil
		}
		for i := range 200 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		b := start(t, w, o, nil)
		pass(time.Minute)
		if n := w.count("confirm"); n > 30 {
			t.Errorf("%d confirmations in a minute in which all are refused", n)
		}
		pass(3 * time.Hour)
		if s := b.Stats(); o.ends() != 200 || s.Dead != 0 {
			t.Errorf("%d settled, %+v", o.ends(), s)
		}
	})
}

func TestAPoisonRecordStopsOpeningTheBreaker(t *testing.T) {
	for _, name := range []string{"upload", "confirm"} {
		synctest.Test(t, func(t *testing.T) {
			w, o := newMemWorld(), newOutbox()
			o.put(job("poison", "poison"), faces("poison"))
			w.before = func(_ context.Context, c call) error {
				if c.name == name && c.correlation == "c-poison" {
					return offline(c.name)
				}
				return nil
			}
			b := start(t, w, o, nil)
			for i := range 24 {
				id := fmt.Sprint("r", i)
				o.put(job(id, id), faces(id))
				pass(time.Hour)
			}
			if o.ends() != 24 {
				t.Errorf("%d settled, want 24", o.ends())
			}
			for service, s := range b.Stats().Services {
				if s.Openings > 4 || s.Out {
					t.Errorf("%s, poison by %s: %+v", service, name, s)
				}
			}
		})
	}
}

// TestOfflineForDays is a kiosk without a network for days, switched off for
// most of the longer time, with a token that lives 60 days.
func TestOfflineForDays(t *testing.T) {
	for days, renewed := range map[int]int{3: 0, 70: 1} {
		t.Run(strconv.Itoa(days), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const day = 24 * time.Hour
				w, o := newMemWorld(), newOutbox()
				w.valid = "of the launch"
				j := job("r", "r")
				j.Token = "of the launch"
				o.put(j, faces("r"))
				back := time.Duration(days)*day + time.Hour
				down(w, back, kiosk.TroubleDNS)
				b := start(t, w, o, nil)
				pass(2 * day)
				b.stop()
				pass(time.Duration(days-2) * day)
				if days > 60 {
					w.mu.Lock()
					w.valid = "t-c-r"
					w.mu.Unlock()
				}
				b = start(t, w, o, nil)
				pass(time.Hour - time.Second)
				if n := w.count("urls"); n > 3*24*60 || n != w.count("") {
					t.Errorf("%d calls, %d of them for URLs; want few, and nothing else", w.count(""), n)
				}
				if s := b.Stats(); !s.Offline || s.Services[kiosk.GatewayService].Trouble != kiosk.TroubleDNS {
					t.Errorf("%+v", s)
				}
				pass(10 * time.Minute)
				if o.end("r").Action != kiosk.ExitSuccess || w.effects["c-r"] != 1 || w.count("token") != renewed {
					t.Errorf("settled %+v, %d effects, %d tokens; want %d", o.end("r"), w.effects["c-r"], w.count("token"), renewed)
				}
				if s := w.subs["c-r"]; s == nil || s.uploads[kiosk.Selfie] != "far r" || s.uploads[kiosk.AdditionalSelfie] != "near r" {
					t.Errorf("another capture: %+v", s)
				}
			})
		})
	}
}

func TestATokenWithoutAUserIsRenewedByItsCorrelationID(t *testing.T) {
	for name, tt := range map[string]struct {
		err  *kiosk.GatewayError
		dead string
	}{
		"the partner knows whom it initiated": {},
		"the partner does not":                {&kiosk.GatewayError{Call: "token", Status: 400, Cause: "USER_ID_CAN_NOT_BE_EMPTY", Disposition: kiosk.Final}, "token_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				w.valid = "t-c-r"
				j := job("r", "r")
				j.Token, j.UserID = "expired", ""
				o.put(j, faces("r"))
				partner := true // in trouble, which is no answer
				w.before = func(_ context.Context, c call) error {
					switch {
					case c.name != "token":
						return nil
					case partner:
						partner = false
						return offline("token")
					case tt.err != nil:
						return tt.err
					}
					return nil
				}
				b := start(t, w, o, nil)
				pass(10 * time.Minute)
				if tt.dead != o.aside("r") || (tt.dead == "") != (o.end("r").Action == kiosk.ExitSuccess) {
					t.Errorf("dead %q, settled %+v; story %s", o.aside("r"), o.end("r"), b.story)
				}
				if n := w.count("urls"); n > 2 {
					t.Errorf("the refused token was shown %d times", n)
				}
			})
		})
	}
}

func TestOneCommitBeforeTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.before = func(_ context.Context, c call) error {
			if m := o.marks("r"); c.name == "confirm" && (m.SubmissionID == "" || m.Token == "" || len(m.Uploaded) != 2) {
				t.Errorf("confirmed with the marks %+v", m)
			}
			return nil
		}
		o.put(job("r", "r"), faces("r"))
		start(t, w, o, nil)
		pass(time.Minute)
		if o.written() != 1 || o.ends() != 1 {
			t.Errorf("%d marks for %d deliveries, want 1", o.written(), o.ends())
		}
	})
}

func TestOnlyThePersonWaitingIsUploadedWithoutACap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("old", "old"), faces("old"))
		g := &uploads{memWorld: w, waiting: map[string]bool{}}
		start(t, w, o, func(opts *deliver.Options) { opts.Gateway = g })
		pass(time.Minute)
		o.put(job("new", "new"), faces("new"))
		pass(time.Minute)
		if g.waiting["c-old"] || !g.waiting["c-new"] || len(g.waiting) != 2 {
			t.Errorf("%v", g.waiting)
		}
	})
}

// uploads is a gateway that notes for whom somebody waits.
type uploads struct {
	*memWorld

	waiting map[string]bool
}

func (u *uploads) Upload(ctx context.Context, up kiosk.Upload) error {
	correlation, _, _ := strings.Cut(up.Target.URL, "/")
	u.mu.Lock()
	u.waiting[correlation] = up.Waiting
	u.mu.Unlock()
	return u.memWorld.Upload(ctx, up)
}

func TestARetryIsDurableBeforeItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.reject = true
		o.put(job("old", "old"), faces("old")) // whose person has left
		b := start(t, w, o, nil)
		pass(time.Second)
		if o.aside("old") != kiosk.NeedsRecapture {
			t.Errorf("dead %q, want it for staff to see", o.aside("old"))
		}

		o.failSettle(errors.New("input/output error"))
		o.put(job("s-1", "s"), faces("s-1"))
		pass(10 * time.Second)
		if r := b.story.word("s-1"); r.Action != "" {
			t.Errorf("told %+v before it is durable", r)
		}
		if !strings.Contains(b.story.String(), "deferred:storage") {
			t.Errorf("the person is not told that it takes longer: %s", b.story)
		}
		o.failSettle(nil)
		pass(5 * time.Minute)
		if r := b.story.word("s-1"); r.Action != kiosk.Retry || o.aside("s-1") != kiosk.NeedsRecapture {
			t.Errorf("told %+v, dead %q", r, o.aside("s-1"))
		}

		w.mu.Lock()
		w.reject = false
		w.mu.Unlock()
		o.put(job("s-2", "s"), faces("s-2"))
		pass(time.Minute)
		if o.aside("s-1") != "" || o.aside("old") != kiosk.NeedsRecapture || o.end("s-2").Action != kiosk.ExitSuccess {
			t.Errorf("after the new capture: %q, %q, %+v", o.aside("s-1"), o.aside("old"), o.end("s-2"))
		}
		if s := b.Stats(); s.NeedsRecapture != 2 || s.Settled != 3 || s.Dead != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAPersonWhoArrivesBesideAHangingProbeIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("old", "old"), faces("old"))
		w.before = func(ctx context.Context, c call) error {
			switch {
			case c.correlation != "c-old":
				return nil
			case c.at > time.Second:
				<-ctx.Done()
			}
			return offline(c.name)
		}
		start(t, w, o, nil)
		pass(time.Hour)
		o.put(job("new", "new"), faces("new"))
		pass(100 * time.Millisecond)
		if o.end("new").Action != kiosk.ExitSuccess {
			t.Errorf("the person who has just arrived: %+v after the calls %v", o.end("new"), w.made("", "c-new"))
		}
	})
}

func TestAfterAnOutageTheOldestGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		for i := range 9 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		down(w, 10*time.Minute, kiosk.TroubleConnect)
		start(t, w, o, func(o *deliver.Options) { o.Lanes = 1 })
		pass(3 * time.Hour)
		made := w.made("confirm", "")
		if len(made) != 9 {
			t.Fatalf("%d confirmed, want 9", len(made))
		}
		// The probe that found the way back may be anybody's.
		for i := 2; i < len(made); i++ {
			if made[i-1].correlation > made[i].correlation {
				t.Errorf("confirmed in the order %v", made)
			}
		}
	})
}

// TestTheDelivererTellsWhenItRests follows one record through an outage, and a
// backlog that comes after it with the distance that records then keep.
func TestTheDelivererTellsWhenItRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("first", "first"), faces("first"))
		w.before = func(ctx context.Context, _ call) error {
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			return nil
		}
		b := start(t, w, o, func(o *deliver.Options) { o.Lanes = 1 })
		rests := func(want bool, when string) {
			t.Helper()
			if s := b.Stats(); s.Resting != want || want && s.Pending != o.left() {
				t.Errorf("%s: resting is %v with %d pending, want %v with %d", when, s.Resting, s.Pending, want, o.left())
			}
		}
		pass(5 * time.Second)
		rests(false, "a record whose call takes long")
		pass(time.Hour)
		rests(true, "an empty outbox")
		hang := make(chan struct{})
		w.before = func(ctx context.Context, c call) error {
			select {
			case <-hang:
			case <-ctx.Done():
			}
			return &kiosk.GatewayError{Call: c.name, Trouble: kiosk.TroubleConnect, Disposition: kiosk.RetryLater, Err: errors.New("does not work")}
		}
		for i := range 9 {
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
		}
		pass(time.Second)
		rests(false, "a call on its way")
		close(hang)
		pass(time.Second)
		rests(true, "a gateway that is away")
		pass(time.Hour)
		down(w, 0, kiosk.TroubleConnect)
		before := o.left()
		for b.Stats().Offline {
			pass(time.Second)
		}
		for o.left() > 0 {
			rests(false, "the backlog after an outage")
			pass(time.Second)
		}
		rests(true, "all is delivered")
		if before != 9 {
			t.Errorf("%d records waited, want 9", before)
		}
	})
}
