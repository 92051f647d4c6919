package deliver_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
)

// standing is a deliverer's random source that always draws the same.
func standing(r float64) func(*deliver.Options) {
	return func(o *deliver.Options) {
		o.Backoff = nil
		o.Random = func() float64 { return r }
	}
}

// firstCall is when the first call of a world is made after a start.
func firstCall(t *testing.T, w *memWorld, o *memOutbox, r float64) time.Duration {
	t.Helper()
	begun := time.Since(w.begun)
	before := w.count("")
	start(t, w, o, standing(r))
	pass(24 * time.Hour)
	made := w.made("", "")
	if len(made) == before {
		t.Fatal("no call within a day")
	}
	return made[before].at - begun
}

func TestWaitsOfARecordSurviveARestart(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		pace func(now time.Time) kiosk.Pace
		done bool // confirmed: it is polled for
		want time.Duration
	}{
		"no failures": {
			pace: func(time.Time) kiosk.Pace { return kiosk.Pace{} },
		},
		"five failures": {
			pace: func(time.Time) kiosk.Pace { return kiosk.Pace{Failures: 5} },
			want: 8 * time.Second, // half of 16
		},
		"many failures": {
			pace: func(time.Time) kiosk.Pace { return kiosk.Pace{Failures: 1 << 40} },
			want: 150 * time.Second,
		},
		"impossible numbers": {
			pace: func(time.Time) kiosk.Pace { return kiosk.Pace{Failures: -3, Polls: -7} },
		},
		"the server's wish": {
			pace: func(now time.Time) kiosk.Pace {
				return kiosk.Pace{Failures: 1, NotBefore: now.Add(10 * time.Minute)}
			},
			want: 10 * time.Minute,
		},
		"a wish by a clock two days ahead": {
			pace: func(now time.Time) kiosk.Pace { return kiosk.Pace{Failures: 1, NotBefore: now.Add(2 * day)} },
			want: 15 * time.Minute,
		},
		"a wish by a clock in 1970": {
			pace: func(time.Time) kiosk.Pace {
				return kiosk.Pace{Failures: 5, NotBefore: time.Unix(600, 0)}
			},
			want: 8 * time.Second,
		},
		"a poll": {
			pace: func(now time.Time) kiosk.Pace { return kiosk.Pace{Polls: 60, Polling: now.Add(-80 * time.Minute)} },
			done: true,
			want: 5 * time.Minute, // half of an eighth
		},
		"a poll by a clock that was two days ahead": {
			pace: func(now time.Time) kiosk.Pace { return kiosk.Pace{Polls: 6, Polling: now.Add(2 * day)} },
			done: true,
			want: time.Second, // half of what the count says
		},
		"a poll by a clock that was in 1970": {
			pace: func(time.Time) kiosk.Pace { return kiosk.Pace{Polls: 60, Polling: time.Unix(60, 0)} },
			done: true,
			want: 2 * time.Hour, // half of the longest
		},
		"a poll that the clock denies": {
			pace: func(now time.Time) kiosk.Pace { return kiosk.Pace{Polls: 1 << 50, Polling: now.Add(day)} },
			done: true,
			want: 2 * time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				j := job("r", "r")
				j.Marks.Pace = tt.pace(time.Now())
				if tt.done {
					j.Marks.Token, j.Marks.SubmissionID, j.Marks.Confirmed = "t", "sub", true
					w.subs["c-r"] = &memSubmission{id: "sub", confirmed: 1}
				}
				o.put(j, faces("r"))
				if got := firstCall(t, w, o, 0.5); got < tt.want-time.Second || got > tt.want+time.Second {
					t.Errorf("the first call came after %v, want %v", got, tt.want)
				}
				if o.end("r").Action != kiosk.ExitSuccess {
					t.Errorf("settled %+v", o.end("r"))
				}
			})
		})
	}
}

func TestAFailureIsWrittenDownWhenItsWaitIsWorthIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("r", "r"), faces("r"))
		bad := true
		w.before = func(_ context.Context, c call) error {
			if c.name == "confirm" && bad {
				return &kiosk.GatewayError{Call: c.name, Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		b := start(t, w, o, standing(0.5))
		pass(15 * time.Second)
		if p := o.marks("r").Pace; p.Failures != 0 {
			t.Errorf("after short waits %d failures are kept", p.Failures)
		}
		pass(24 * time.Hour)
		n := o.marks("r").Pace.Failures
		if n < 100 {
			t.Errorf("after a day %d failures are kept", n)
		}
		b.stop()
		bad = false
		if got := firstCall(t, w, o, 0.9); got != 270*time.Second {
			t.Errorf("after a restart it waits %v, want 0.9 of five minutes", got)
		}
		if p := o.marks("r").Pace; o.end("r").Action != kiosk.ExitSuccess || p.Failures != n {
			t.Errorf("settled %+v", o.end("r"))
		}
	})
}

func TestPollsAreWrittenDownSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		w.polls = 1 << 20
		o.put(job("r", "r"), faces("r"))
		b := start(t, w, o, standing(0.5))
		pass(100 * time.Second)
		if m := o.marks("r"); o.written() != 2 || !m.Confirmed || m.Pace.Polls != 1 || m.Pace.Polling.IsZero() {
			t.Errorf("while the person waits: %d writes, %+v", o.written(), m)
		}
		pass(24 * time.Hour)
		b.stop()
		polls := w.count("status")
		if m := o.marks("r"); m.Pace.Polls != polls || o.written() > 60 {
			t.Errorf("after a day: %d writes, %d polls kept of %d", o.written(), m.Pace.Polls, polls)
		}
		if got := firstCall(t, w, o, 0.999); got < 2*time.Hour || got > 4*time.Hour {
			t.Errorf("after a restart it polls after %v", got)
		}
	})
}

func TestAnOutageSurvivesARestart(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		outage func(now time.Time) kiosk.Outage
		want   time.Duration
	}{
		"its failure count": {
			func(now time.Time) kiosk.Outage { return kiosk.Outage{Failures: 5, Since: now.Add(-time.Hour)} },
			8 * time.Second,
		},
		"a wish by a clock two days ahead": {
			func(now time.Time) kiosk.Outage { return kiosk.Outage{Failures: 1, NotBefore: now.Add(2 * day)} },
			15 * time.Minute,
		},
		"a wish by a clock in 1970": {
			func(time.Time) kiosk.Outage {
				return kiosk.Outage{Failures: 5, Since: time.Unix(1, 0), NotBefore: time.Unix(900, 0)}
			},
			8 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newMemWorld(), newOutbox()
				o.put(job("r", "r"), faces("r"))
				x := tt.outage(time.Now())
				x.Service, x.Trouble = kiosk.PartnerService, kiosk.TroubleDNS
				o.outages = []kiosk.Outage{x, {Service: "another", Failures: 3}}
				if got := firstCall(t, w, o, 0.5); got < tt.want-time.Second || got > tt.want+time.Second {
					t.Errorf("the first probe came after %v, want %v", got, tt.want)
				}
				if kept := o.kept(); len(kept) != 0 {
					t.Errorf("a day later %+v is kept", kept)
				}
			})
		})
	}
}

func TestAnOutageIsWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newMemWorld(), newOutbox()
		o.put(job("r", "r"), faces("r"))
		down(w, time.Hour, kiosk.TroublePortal)
		b := start(t, w, o, standing(0.5))
		pass(30 * time.Minute)
		calls := w.count("")
		kept := o.kept()
		if len(kept) != 1 || kept[0].Service != kiosk.PartnerService || kept[0].Trouble != kiosk.TroublePortal ||
			kept[0].Failures != calls || kept[0].Since.Sub(w.begun) > time.Second {
			t.Errorf("after %d failures %+v is kept", calls, kept)
		}
		if o.written() > calls-3 { // some of the first came within 15 seconds
			t.Errorf("%d writes for %d failures", o.written(), calls)
		}
		b.stop()
		b = start(t, w, o, standing(0.5))
		pass(time.Second)
		if s := b.Stats(); !s.Offline || !s.Since.Equal(kept[0].Since) || w.count("") != calls {
			t.Errorf("after a restart: %+v, %d more calls", s, w.count("")-calls)
		}
	})
}
