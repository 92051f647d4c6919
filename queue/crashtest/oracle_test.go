package crashtest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue/crashtest"
)

// A story is a workload's lines, as they are heard.
type story struct {
	tb     testing.TB
	ledger *crashtest.Ledger
	n, at  int
}

func tellStory(tb testing.TB) *story {
	tb.Helper()
	return &story{tb: tb, ledger: crashtest.NewLedger()}
}

func (s *story) hear(l crashtest.Line) {
	s.tb.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := s.ledger.Hear(b, s.at); err != nil {
		s.tb.Fatal(err)
	}
	s.at++
}

// begin tells that a step begins. The returned function tells that it was
// acknowledged.
func (s *story) begin(l crashtest.Line) (done func()) {
	s.tb.Helper()
	s.n++
	l.N = s.n
	s.hear(l)
	return func() { s.hear(crashtest.Line{N: l.N, Done: true}) }
}

func (s *story) did(lines ...crashtest.Line) {
	s.tb.Helper()
	for _, l := range lines {
		s.begin(l)()
	}
}

func capture(id string) crashtest.Capture {
	return crashtest.Capture{
		Record: kiosk.RecordID(id), Session: "s-" + kiosk.SessionID(id), Attempt: 1, CorrelationID: "c-" + id,
		Content: "content of " + id, Selfie: "selfie of " + id,
	}
}

// next is the second attempt of the session of a.
func next(a string) crashtest.Capture {
	c := capture(a + "2")
	c.Session, c.CorrelationID, c.Attempt, c.Follows = "s-"+kiosk.SessionID(a), "c-"+a, 2, kiosk.RecordID(a)
	return c
}

func putting(c crashtest.Capture) crashtest.Line {
	return crashtest.Line{Op: crashtest.OpPut, Record: c.Record, Put: &c}
}

func put(id string) crashtest.Line { return putting(capture(id)) }

func to(op crashtest.Op, id string) crashtest.Line {
	return crashtest.Line{Op: op, Record: kiosk.RecordID(id)}
}

func settle(id string, with kiosk.Action) crashtest.Line {
	return crashtest.Line{Op: crashtest.OpSettle, Record: kiosk.RecordID(id), With: with}
}

func marking(id, core string) crashtest.Line {
	return crashtest.Line{Op: crashtest.OpMark, Record: kiosk.RecordID(id), Mark: &crashtest.Mark{Core: core}}
}

func about(op crashtest.Op, person, token string) crashtest.Line {
	return crashtest.Line{Op: op, Person: person, Token: token}
}

// held is a record as it was put, with no marks but those given.
func held(c crashtest.Capture, marks ...string) crashtest.Held {
	c.Follows, c.Rejects = "", false
	h := crashtest.Held{Capture: c, Mark: crashtest.NoMark()}
	if len(marks) > 0 {
		h.Mark = crashtest.Mark{Core: marks[0]}
	}
	return h
}

func holds(ids ...string) crashtest.Found {
	var f crashtest.Found
	for _, id := range ids {
		f.Pending = append(f.Pending, held(capture(id)))
	}
	return f
}

func ended(id string, with kiosk.Action) crashtest.Ended {
	return crashtest.Ended{Record: kiosk.RecordID(id), Outcome: with}
}

func TestLedgerKnowsWhatAnImageMustHold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		tell  func(s *story)
		found crashtest.Found
		want  string // kind of the problem; "" for none
	}{
		{"nothing was put and nothing is there", func(*story) {}, crashtest.Found{}, ""},
		{"what nobody put is there", func(*story) {}, holds("a"), "phantom"},
		{"what was acknowledged is there", func(s *story) { s.did(put("a")) }, holds("a"), ""},
		{"what was acknowledged is missing", func(s *story) { s.did(put("a")) }, crashtest.Found{}, "lost"},
		{"what was not acknowledged is missing", func(s *story) { s.begin(put("a")) }, crashtest.Found{}, ""},
		{"what was not acknowledged is there", func(s *story) { s.begin(put("a")) }, holds("a"), ""},
		{"what was settled is pending", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, holds("a"), "resurrected"},
		{"what was settled is in history", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.ExitSuccess)}}, ""},
		{"what was settled is nowhere", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, crashtest.Found{}, "lost"},
		{"history has another outcome", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.ExitFailure)}}, "changed"},
		{"what is about to be settled is pending", func(s *story) { s.did(put("a")); s.begin(settle("a", kiosk.ExitSuccess)) }, holds("a"), ""},
		{"what is about to be settled is in history", func(s *story) { s.did(put("a")); s.begin(settle("a", kiosk.ExitSuccess)) }, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.ExitSuccess)}}, ""},
		{"what is about to be settled is nowhere", func(s *story) { s.did(put("a")); s.begin(settle("a", kiosk.ExitSuccess)) }, crashtest.Found{}, "lost"},
		{"what was never settled is in history", func(s *story) { s.did(put("a")) }, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.ExitSuccess)}}, "changed"},
		{"what was dropped is a dead letter", func(s *story) { s.did(put("a"), to(crashtest.OpDead, "a"), to(crashtest.OpDrop, "a")) }, dead(holds("a")), "resurrected"},
		{"what was set aside is dead", func(s *story) { s.did(put("a"), to(crashtest.OpDead, "a")) }, dead(holds("a")), ""},
		{"what was set aside is pending", func(s *story) { s.did(put("a"), to(crashtest.OpDead, "a")) }, holds("a"), "changed"},
		{"what was set aside and revived is pending", func(s *story) { s.did(put("a"), to(crashtest.OpDead, "a"), to(crashtest.OpRevive, "a")) }, holds("a"), ""},
		{"a record is there twice", func(s *story) { s.did(put("a")) }, holds("a", "a"), "phantom"},
		{"a record with other bytes", func(s *story) { s.did(put("a")) }, other(holds("a"), func(h *crashtest.Held) { h.Capture.Content = "other" }), "changed"},
		{"a record with another token", func(s *story) { s.did(put("a")) }, other(holds("a"), func(h *crashtest.Held) { h.Capture.Token = "other" }), "changed"},
		{"a record that does not open", func(s *story) { s.did(put("a")) }, other(holds("a"), func(h *crashtest.Held) { h.Broken = "does not open" }), "changed"},
		{"a damaged file", func(s *story) { s.did(put("a")) }, quarantined(holds("a")), "unopenable"},
		{"records in the order of their puts", func(s *story) { s.did(put("a"), put("b")) }, holds("a", "b"), ""},
		{"records in another order", func(s *story) { s.did(put("a"), put("b")) }, holds("b", "a"), "reordered"},
		{"records put at the same time in any order", func(s *story) {
			a, b := s.begin(put("a")), s.begin(put("b"))
			a()
			b()
		}, holds("b", "a"), ""},
		{"marks that were acknowledged", func(s *story) { s.did(put("a"), marking("a", "1")) }, crashtest.Found{Pending: []crashtest.Held{held(capture("a"), "1")}}, ""},
		{"marks are missing", func(s *story) { s.did(put("a"), marking("a", "1")) }, holds("a"), "lost"},
		{"marks that are older", func(s *story) { s.did(put("a"), marking("a", "1"), marking("a", "2")) }, crashtest.Found{Pending: []crashtest.Held{held(capture("a"), "1")}}, "lost"},
		{"marks that were about to be written", func(s *story) { s.did(put("a"), marking("a", "1")); s.begin(marking("a", "2")) }, crashtest.Found{Pending: []crashtest.Held{held(capture("a"), "2")}}, ""},
		{"marks of nobody", func(s *story) { s.did(put("a")) }, crashtest.Found{Pending: []crashtest.Held{held(capture("a"), "1")}}, "lost"},
		{"a letter", func(s *story) { s.did(put("a"), to(crashtest.OpRecapture, "a")) }, crashtest.Found{Letters: []string{"a"}}, ""},
		{"a letter that has its images again", func(s *story) { s.did(put("a"), to(crashtest.OpRecapture, "a")) }, holds("a"), "resurrected"},
		{"a next attempt ends the letter", func(s *story) { s.did(put("a"), to(crashtest.OpRecapture, "a"), putting(next("a"))) }, crashtest.Found{
			Pending: []crashtest.Held{held(next("a"))}, Over: []crashtest.Ended{ended("a", kiosk.Retry)},
		}, ""},
		{"a next attempt that was not acknowledged is not there, and nor is its end of the letter", func(s *story) {
			s.did(put("a"), to(crashtest.OpRecapture, "a"))
			s.begin(putting(next("a")))
		}, crashtest.Found{Letters: []string{"a"}}, ""},
		{"a next attempt is there and left the letter", func(s *story) {
			s.did(put("a"), to(crashtest.OpRecapture, "a"))
			s.begin(putting(next("a")))
		}, crashtest.Found{Pending: []crashtest.Held{held(next("a"))}, Letters: []string{"a"}}, "half"},
		{"a next attempt is not there and ended the letter", func(s *story) {
			s.did(put("a"), to(crashtest.OpRecapture, "a"))
			s.begin(putting(next("a")))
		}, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.Retry)}}, "half"},
		{"what was settled has no proof of its erasure", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, crashtest.Found{
			Over: []crashtest.Ended{ended("a", kiosk.ExitSuccess)}, Erased: []kiosk.RecordID{},
		}, "unproven"},
		{"what is there is proved to be erased", func(s *story) { s.did(put("a")) }, crashtest.Found{Pending: holds("a").Pending, Erased: []kiosk.RecordID{"a"}}, "unproven"},
		{"a proof that does not hold", func(s *story) { s.did(put("a")) }, crashtest.Found{Pending: holds("a").Pending, Tampered: true}, "unproven"},
		{"a record that does not verify", func(s *story) { s.did(put("a")) }, crashtest.Found{Pending: holds("a").Pending, Broken: []kiosk.RecordID{"a"}}, "changed"},
		{"a booking", func(s *story) { s.did(about(crashtest.OpBook, "c-a", "")) }, booked("c-a", false), ""},
		{"a booking is missing", func(s *story) { s.did(about(crashtest.OpBook, "c-a", "")) }, crashtest.Found{}, "lost"},
		{"a booking whose token is missing", func(s *story) { s.did(about(crashtest.OpBook, "c-a", ""), about(crashtest.OpFetched, "c-a", "t")) }, booked("c-a", false), "lost"},
		{"a booking with a token that nobody fetched", func(s *story) { s.did(about(crashtest.OpBook, "c-a", "")) }, booked("c-a", true), "phantom"},
		{"a booking that ended", func(s *story) { s.did(about(crashtest.OpBook, "c-a", ""), about(crashtest.OpUnbook, "c-a", "")) }, booked("c-a", false), "resurrected"},
		{"a booking that nobody made", func(*story) {}, booked("c-a", false), "resurrected"},
		{"a put ends the booking", func(s *story) { s.did(about(crashtest.OpBook, "c-a", ""), put("a")) }, holds("a"), ""},
		{"a put is there and left the booking", func(s *story) { s.did(about(crashtest.OpBook, "c-a", "")); s.begin(put("a")) }, with(holds("a"), booked("c-a", false)), "half"},
		{"a put is not there and ended the booking", func(s *story) { s.did(about(crashtest.OpBook, "c-a", "")); s.begin(put("a")) }, crashtest.Found{}, "half"},
		{"a put has the booking's token", func(s *story) {
			s.did(about(crashtest.OpBook, "c-a", ""), about(crashtest.OpFetched, "c-a", "t"), put("a"))
		}, other(holds("a"), func(h *crashtest.Held) { h.Capture.Token = "t" }), ""},
		{"a put lost the booking's token", func(s *story) {
			s.did(about(crashtest.OpBook, "c-a", ""), about(crashtest.OpFetched, "c-a", "t"), put("a"))
		}, holds("a"), "changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tellStory(t)
			tt.tell(s)
			tt.found = proved(tt.found)
			wantProblem(t, s.ledger.Check(tt.found), tt.want)
			if tt.want == "" {
				wantProblem(t, s.ledger.Clone().Check(tt.found), "")
			}
		})
	}
}

func wantProblem(t *testing.T, got []string, want string) {
	t.Helper()
	is := func(p string) bool { return strings.HasPrefix(p, want+": ") }
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("problems: %q, want none", got)
	case want != "" && !slices.ContainsFunc(got, is):
		t.Errorf("problems: %q, want one of the kind %q", got, want)
	}
}

// proved adds the proof that what is gone was erased, unless there is one.
func proved(f crashtest.Found) crashtest.Found {
	if f.Erased != nil {
		return f
	}
	for _, e := range f.Over {
		f.Erased = append(f.Erased, e.Record)
	}
	for _, id := range f.Letters {
		f.Erased = append(f.Erased, kiosk.RecordID(id))
	}
	return f
}

func dead(f crashtest.Found) crashtest.Found {
	return other(f, func(h *crashtest.Held) { h.Dead = true })
}

func quarantined(f crashtest.Found) crashtest.Found {
	f.Quarantined = "queue.db.bad"
	return f
}

func other(f crashtest.Found, change func(*crashtest.Held)) crashtest.Found {
	for i := range f.Pending {
		change(&f.Pending[i])
	}
	return f
}

func booked(person string, token bool) crashtest.Found {
	return crashtest.Found{Bookings: []crashtest.Expected{{Person: person, Token: token}}}
}

func with(a, b crashtest.Found) crashtest.Found {
	a.Bookings = b.Bookings
	return a
}

func TestLedgerKnowsHowItMustEnd(t *testing.T) {
	t.Parallel()
	extra := capture("extra")
	done := func(ids ...string) (f crashtest.Found) {
		for _, id := range append(ids, "extra") {
			f.Over = append(f.Over, ended(id, kiosk.ExitSuccess))
		}
		return f
	}
	once := func(ids ...string) map[string]int {
		n := map[string]int{extra.Selfie: 1}
		for _, id := range ids {
			n["selfie of "+id]++
		}
		return n
	}
	for _, tt := range []struct {
		name      string
		tell      func(s *story)
		before    crashtest.Found
		end       crashtest.Found
		confirmed map[string]int
		want      string
	}{
		{"a record is delivered once", func(s *story) { s.did(put("a")) }, holds("a"), done("a"), once("a"), ""},
		{"a record is delivered twice", func(s *story) { s.did(put("a")) }, holds("a"), done("a"), once("a", "a"), "lost"},
		{"a record is not delivered and gone", func(s *story) { s.did(put("a")) }, holds("a"), done(), once(), "lost"},
		{"a record is settled without any effect", func(s *story) { s.did(put("a")) }, holds("a"), done("a"), once(), "lost"},
		{"a record is back after it was delivered", func(s *story) { s.did(put("a")) }, holds("a"), with(crashtest.Found{
			Pending: holds("a").Pending, Over: []crashtest.Ended{ended("extra", kiosk.ExitSuccess)},
		}, crashtest.Found{}), once("a"), "resurrected"},
		{"a record that had no effect before it was lost", func(s *story) { s.begin(put("a")) }, crashtest.Found{}, done(), once(), ""},
		{"a record comes from nowhere", func(s *story) { s.begin(put("a")) }, crashtest.Found{}, done("a"), once("a"), "resurrected"},
		{"a record took effect and is not in the outbox", func(s *story) { s.begin(put("a")) }, crashtest.Found{}, done(), once("a"), "lost"},
		{"the gateway has what nobody put", func(*story) {}, crashtest.Found{}, done(), map[string]int{extra.Selfie: 1, "selfie of nobody": 1}, "phantom"},
		{"the capture after the crash is not delivered", func(*story) {}, crashtest.Found{}, crashtest.Found{}, map[string]int{}, "lost"},
		{"a settled record stays settled", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, done("a"), done("a"), once("a"), ""},
		{"a settled record took effect twice", func(s *story) { s.did(put("a"), settle("a", kiosk.ExitSuccess)) }, done("a"), done("a"), once("a", "a"), "lost"},
		{"a record that needs a new capture took effect twice", func(s *story) { s.did(put("a"), to(crashtest.OpRecapture, "a")) }, crashtest.Found{Letters: []string{"a"}}, crashtest.Found{
			Letters: []string{"a"}, Over: []crashtest.Ended{ended("extra", kiosk.ExitSuccess)},
		}, once("a", "a"), "lost"},
		{"a dropped record has no effect", func(s *story) { s.did(put("a"), to(crashtest.OpDrop, "a")) }, crashtest.Found{Over: []crashtest.Ended{ended("a", kiosk.ExitError)}}, done("a"), once(), ""},
		{"a booking is gone after the delivery", func(s *story) { s.did(about(crashtest.OpBook, "c", "")) }, booked("c", false), done(), once(), "changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tellStory(t)
			tt.tell(s)
			wantProblem(t, s.ledger.Finish(tt.before, proved(tt.end), tt.confirmed, extra), tt.want)
		})
	}
}

func TestErasedIsWhatWasAcknowledgedToBeGone(t *testing.T) {
	t.Parallel()
	s := tellStory(t)
	for _, id := range []string{"kept", "settled", "dropped", "again", "settling"} {
		s.did(put(id))
	}
	s.did(settle("settled", kiosk.ExitSuccess), to(crashtest.OpDrop, "dropped"), to(crashtest.OpRecapture, "again"))
	s.begin(settle("settling", kiosk.ExitSuccess))
	for _, person := range []string{"expected", "ended", "ending", "c-came", "expected again"} {
		s.did(about(crashtest.OpBook, person, ""))
	}
	s.did(about(crashtest.OpUnbook, "ended", ""), put("came"))
	s.did(about(crashtest.OpUnbook, "expected again", ""), about(crashtest.OpBook, "expected again", ""))
	s.begin(about(crashtest.OpUnbook, "ending", ""))
	var got []string
	for owner := range s.ledger.Erased(func(person string) []string { return []string{"booking of " + person} }) {
		got = append(got, owner)
	}
	slices.Sort(got)
	want := []string{"again", "booking of c-came", "booking of ended", "dropped", "settled"}
	if !slices.Equal(got, want) {
		t.Errorf("erased: %q, want %q", got, want)
	}
}

func TestLinesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"no JSON":                       "put",
		"a step of an unknown record":   `{"n":1,"op":"settle","record":"a"}`,
		"the end of what never began":   `{"n":7,"done":true}`,
		"a mark of an unknown record":   `{"n":1,"op":"mark","record":"a","mark":{"core":"x"}}`,
		"a drop of what was never here": `{"n":1,"op":"drop","record":"a"}`,
	} {
		if err := crashtest.NewLedger().Hear([]byte(line), 0); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
