package crashtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"livekiosk/kiosk"
)

// A place is where a record can be; places are a set of them.
type places uint8

const (
	nowhere places = 1 << iota
	pending
	dead   // set aside, with its parts
	letter // set aside, needs a new capture
	over   // in history
)

// after returns where a record can be after an operation, if it was in one of
// these places before.
func after(op Op, before places) places {
	move := map[Op]struct{ from, to places }{
		OpPut:       {nowhere, pending},
		OpSettle:    {pending | dead | letter, over},
		OpDrop:      {pending | dead | letter, over},
		OpRecapture: {pending | dead, letter},
		OpDead:      {pending, dead},
		OpRevive:    {dead, pending},
		OpSucceed:   {letter, over},
	}[op]
	if before&move.from == 0 {
		return before
	}
	return before&^move.from | move.to
}

// closure returns where a record can be while operations on it are under way,
// of which each may have happened or not.
func closure(sure places, under map[int]Op) places {
	for all := sure; ; sure = all {
		for _, op := range under {
			all |= after(op, all)
		}
		if all == sure {
			return all
		}
	}
}

// A record is what the lines so far say of one.
type record struct {
	capture Capture
	begun   int // event at which its put began
	acked   int // and was acknowledged; -1: not yet
	sure    places
	under   map[int]Op
	marks   []Mark // that it may have: the last acknowledged and all begun since
	marking map[int]Mark
	revived bool // its pace may have been forgotten
	tokens  []string
	ends    map[kiosk.Action]bool // outcomes that may stand in its history
	dropped bool                  // staff may have given it up
	erased  bool                  // acknowledged that its parts are gone
}

func (r *record) places() places { return closure(r.sure, r.under) }

// A booking is what the lines so far say of one.
type booking struct {
	sure   bool // whether it is there, as far as is acknowledged
	token  bool
	ended  bool // it was there and ended
	under  map[int]Op
	tokens []string // digests of those it may have
}

// A Ledger is what is promised at one point of a run: what must be found in an
// image of that point, what may, and what must not. It is built from the
// workload's lines, in their order.
type Ledger struct {
	records  map[kiosk.RecordID]*record
	bookings map[string]*booking
	steps    map[int]Line
}

// NewLedger returns that of a run that has not begun.
func NewLedger() *Ledger {
	return &Ledger{records: map[kiosk.RecordID]*record{}, bookings: map[string]*booking{}, steps: map[int]Line{}}
}

// Clone returns a copy that does not change with l.
func (l *Ledger) Clone() *Ledger {
	c := &Ledger{records: map[kiosk.RecordID]*record{}, bookings: map[string]*booking{}, steps: maps.Clone(l.steps)}
	for id, r := range l.records {
		n := *r
		n.under, n.marking, n.ends = maps.Clone(r.under), maps.Clone(r.marking), maps.Clone(r.ends)
		n.marks, n.tokens = slices.Clone(r.marks), slices.Clone(r.tokens)
		c.records[id] = &n
	}
	for id, b := range l.bookings {
		n := *b
		n.under, n.tokens = maps.Clone(b.under), slices.Clone(b.tokens)
		c.bookings[id] = &n
	}
	return c
}

// Hear takes the line that stands at event at.
func (l *Ledger) Hear(text []byte, at int) error {
	var line Line
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("line at event %d: %w", at, err)
	}
	if line.Op == OpSecret {
		return nil
	}
	if !line.Done {
		l.steps[line.N] = line
		return l.begin(line, at)
	}
	begun, known := l.steps[line.N]
	if !known {
		return fmt.Errorf("line at event %d: step %d ends and never began", at, line.N)
	}
	delete(l.steps, line.N)
	l.end(begun, at)
	return nil
}

func (l *Ledger) booking(id string) *booking {
	if l.bookings[id] == nil {
		l.bookings[id] = &booking{under: map[int]Op{}}
	}
	return l.bookings[id]
}

func (l *Ledger) begin(line Line, at int) error {
	switch {
	case line.Op == OpPut:
		l.beginPut(line, at)
		return nil
	case line.Op == OpBook, line.Op == OpFetched, line.Op == OpUnbook:
		b := l.booking(line.Person)
		b.under[line.N] = line.Op
		if line.Token != "" {
			b.tokens = append(b.tokens, line.Token)
		}
		return nil
	case line.Record == "": // says nothing about any
		return nil
	}
	r := l.records[line.Record]
	switch {
	case r == nil:
		return fmt.Errorf("line at event %d: %s of %s, which was never put", at, line.Op, line.Record)
	case line.Op == OpMark:
		r.marking[line.N] = *line.Mark
		return nil
	case line.Op == OpSettle:
		r.ends[line.With] = true
	case line.Op == OpDrop:
		r.ends[kiosk.ExitError], r.dropped = true, true
	case line.Op == OpRevive:
		r.revived = true
	}
	r.under[line.N] = line.Op
	return nil
}

func (l *Ledger) beginPut(line Line, at int) {
	c := *line.Put
	r := &record{
		capture: c, begun: at, acked: -1, sure: nowhere, under: map[int]Op{line.N: OpPut},
		marking: map[int]Mark{}, ends: map[kiosk.Action]bool{}, tokens: []string{c.Token}, marks: []Mark{markOf(kiosk.Marks{})},
	}
	l.records[c.Record] = r
	if earlier := l.records[c.Follows]; earlier != nil {
		earlier.under[line.N] = OpSucceed
		earlier.ends[kiosk.Retry] = true
	}
	if b := l.bookings[c.CorrelationID]; b != nil {
		if c.Token == "" {
			if b.sure && b.token && len(b.under) == 0 {
				r.tokens = nil // the booking's, surely
			}
			r.tokens = append(r.tokens, b.tokens...)
		}
		b.under[line.N] = OpUnbook
	}
}

func (l *Ledger) end(line Line, at int) {
	if line.Person != "" {
		l.bookings[line.Person].end(line)
	}
	r := l.records[line.Record]
	if r == nil {
		return
	}
	switch line.Op {
	case OpPut:
		r.acked = at
		if earlier := l.records[r.capture.Follows]; earlier != nil {
			earlier.finish(line.N)
		}
		if b := l.bookings[r.capture.CorrelationID]; b != nil {
			b.end(line)
		}
	case OpMark:
		r.marks = []Mark{r.marking[line.N]}
		// Marks of a record are written one after the other: those that were never
		// acknowledged are older.
		maps.DeleteFunc(r.marking, func(n int, _ Mark) bool { return n <= line.N })
		return
	case OpSettle, OpRecapture, OpDrop:
		r.erased = true
	case OpDead, OpRevive, OpSucceed, OpBook, OpFetched, OpUnbook, OpOpen, OpProbe, OpPrune, OpClose, OpCompact, OpSecret:
	}
	r.finish(line.N)
}

// finish takes an acknowledged operation into what is sure. Others that are
// under way may have come before it.
func (r *record) finish(n int) {
	op := r.under[n]
	delete(r.under, n)
	r.sure = after(op, closure(r.sure, r.under))
}

// end takes an acknowledged operation into what is sure of a booking.
func (b *booking) end(line Line) {
	op := b.under[line.N]
	delete(b.under, line.N)
	if op == OpUnbook {
		b.ended = true
		b.sure, b.token, b.tokens = false, false, nil
		return
	}
	b.sure = b.sure || op == OpBook
	if line.Token != "" {
		b.token, b.tokens = true, []string{line.Token}
	}
}

// may reports whether the booking can be there, and must whether it has to be.
func (b *booking) may() bool {
	for _, op := range b.under {
		if op == OpBook {
			return true
		}
	}
	return b.sure
}

func (b *booking) must() bool {
	for _, op := range b.under {
		if op == OpUnbook {
			return false
		}
	}
	return b.sure
}

// Found is what an outbox holds, as its own methods tell.
type Found struct {
	Quarantined string   `json:"quarantined,omitempty"`
	Orphans     int      `json:"orphans,omitempty"`
	Pending     []Held   `json:"pending,omitempty"` // in the order of delivery; dead ones with parts too, which were revived to be read
	Letters     []string `json:"letters,omitempty"`
	Over        []Ended  `json:"over,omitempty"`

	Erased   []kiosk.RecordID `json:"erased,omitempty"`   // of which the outbox proves it
	Broken   []kiosk.RecordID `json:"broken,omitempty"`   // which the outbox says do not open
	Tampered bool             `json:"tampered,omitempty"` // the proof of erasure does not hold
	Bookings []Expected       `json:"bookings,omitempty"`
}

// Held is a record that was read.
type Held struct {
	Capture Capture `json:"capture"`
	Mark    Mark    `json:"mark"`
	Dead    bool    `json:"dead,omitempty"`
	Broken  string  `json:"broken,omitempty"` // why it did not open
}

// Ended is a line of history.
type Ended struct {
	Record  kiosk.RecordID `json:"record"`
	Outcome kiosk.Action   `json:"outcome"`
}

// Expected is a booking.
type Expected struct {
	Person string `json:"person"`
	Token  bool   `json:"token,omitempty"`
}

// where returns the place of each record that was found, and what is wrong with
// the finding itself.
func (f Found) where() (at map[kiosk.RecordID]places, problems []string) {
	at = map[kiosk.RecordID]places{}
	put := func(id kiosk.RecordID, p places) {
		if at[id] != 0 {
			problems = append(problems, fmt.Sprintf("%s is there twice", id))
		}
		at[id] = p
	}
	for _, h := range f.Pending {
		if h.Dead {
			put(h.Capture.Record, dead)
		} else {
			put(h.Capture.Record, pending)
		}
	}
	for _, id := range f.Letters {
		put(kiosk.RecordID(id), letter)
	}
	for _, e := range f.Over {
		put(e.Record, over)
	}
	return at, problems
}

// proofs holds what the outbox says of itself against what it has: which records
// are whole, and what it proves to be erased.
func (f Found) proofs() []string {
	var problems []string
	if f.Tampered {
		problems = append(problems, "unproven: the proof of erasure does not hold")
	}
	for _, id := range f.Broken {
		problems = append(problems, fmt.Sprintf("changed: %s does not verify", id))
	}
	for _, h := range f.Pending {
		if slices.Contains(f.Erased, h.Capture.Record) {
			problems = append(problems, fmt.Sprintf("unproven: %s is there and its erasure is told", h.Capture.Record))
		}
	}
	gone := slices.Clone(f.Letters)
	for _, e := range f.Over {
		gone = append(gone, string(e.Record))
	}
	for _, id := range gone {
		if !slices.Contains(f.Erased, kiosk.RecordID(id)) {
			problems = append(problems, fmt.Sprintf("unproven: %s is gone and its erasure is not told", id))
		}
	}
	return problems
}

func (p places) String() string {
	names := []string{"nowhere", "pending", "dead", "a letter", "over"}
	var all []string
	for i, name := range names {
		if p&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return fmt.Sprint(all)
}

// Check holds what was found in an image against what was promised. It returns
// what is wrong, each with its kind first: "lost", "phantom", "resurrected",
// "reordered", "changed", "half", "unproven", "unopenable".
func (l *Ledger) Check(f Found) []string {
	at, problems := f.where()
	for i := range problems {
		problems[i] = "phantom: " + problems[i]
	}
	if f.Quarantined != "" {
		problems = append(problems, "unopenable: the outbox was moved aside")
	}
	if f.Orphans > 0 {
		problems = append(problems, fmt.Sprintf("changed: %d records are sealed for another key", f.Orphans))
	}
	for id, is := range at {
		if l.records[id] == nil {
			problems = append(problems, fmt.Sprintf("phantom: %s is %v and was never put", id, is))
		}
	}
	for id, r := range l.records {
		is := at[id]
		if is == 0 {
			is = nowhere
		}
		if may := r.places(); is&may == 0 {
			problems = append(problems, fmt.Sprintf("%s: %s is %v, may be %v", wrongPlace(is, may), id, is, may))
		}
		problems = append(problems, l.whole(r, is, at)...)
	}
	for _, h := range f.Pending {
		if r := l.records[h.Capture.Record]; r != nil {
			problems = append(problems, r.compare(h)...)
		}
	}
	for _, e := range f.Over {
		if r := l.records[e.Record]; r != nil && !r.ends[e.Outcome] {
			problems = append(problems, fmt.Sprintf("changed: %s ended with %s", e.Record, e.Outcome))
		}
	}
	problems = append(problems, f.proofs()...)
	problems = append(problems, l.order(f)...)
	problems = append(problems, l.expected(f, at)...)
	slices.Sort(problems)
	return problems
}

// wrongPlace names the kind of a record that is where it may not be.
func wrongPlace(is, may places) string {
	switch {
	case is == nowhere:
		return "lost"
	case may == nowhere:
		return "phantom"
	case may&(pending|dead) == 0:
		return "resurrected"
	}
	return "changed"
}

// whole checks that a put happened all or not at all: with the letter that it
// ends.
func (l *Ledger) whole(r *record, is places, at map[kiosk.RecordID]places) []string {
	earlier := at[r.capture.Follows]
	switch {
	case r.capture.Follows == "":
	case is != nowhere && earlier == letter:
		return []string{fmt.Sprintf("half: %s is there and did not end the letter of %s", r.capture.Record, r.capture.Follows)}
	case is == nowhere && earlier == over:
		return []string{fmt.Sprintf("half: %s is not there and ended the letter of %s", r.capture.Record, r.capture.Follows)}
	}
	return nil
}

func (r *record) compare(h Held) []string {
	if h.Broken != "" {
		return []string{fmt.Sprintf("changed: %s does not open: %s", h.Capture.Record, h.Broken)}
	}
	var problems []string
	want := r.capture
	want.Follows, want.Rejects, want.Token = "", false, h.Capture.Token
	if h.Capture != want {
		problems = append(problems, fmt.Sprintf("changed: %s is not what was put", h.Capture.Record))
	}
	if !slices.Contains(r.tokens, h.Capture.Token) {
		problems = append(problems, fmt.Sprintf("changed: %s has another token", h.Capture.Record))
	}
	marks := slices.Concat(r.marks, slices.Collect(maps.Values(r.marking)))
	same := func(m Mark) bool {
		return m == h.Mark || (r.revived || h.Dead) && m.Core == h.Mark.Core && h.Mark.Failures == 0 && h.Mark.Polls == 0
	}
	if !slices.ContainsFunc(marks, same) {
		problems = append(problems, fmt.Sprintf("lost: marks of %s are older than what was acknowledged, or none of its own", h.Capture.Record))
	}
	return problems
}

// order checks that what was acknowledged first is delivered first.
func (l *Ledger) order(f Found) []string {
	var problems []string
	var before []*record
	for _, h := range f.Pending {
		r := l.records[h.Capture.Record]
		if r == nil || h.Dead {
			continue
		}
		for _, b := range before {
			if r.acked >= 0 && r.acked < b.begun {
				problems = append(problems, fmt.Sprintf("reordered: %s comes after %s", h.Capture.Record, b.capture.Record))
			}
		}
		before = append(before, r)
	}
	return problems
}

func (l *Ledger) expected(f Found, at map[kiosk.RecordID]places) []string {
	var problems []string
	there := map[string]Expected{}
	for _, e := range f.Bookings {
		there[e.Person] = e
		b := l.bookings[e.Person]
		switch {
		case b == nil || !b.may():
			problems = append(problems, "resurrected: booking "+e.Person)
		case e.Token && len(b.tokens) == 0:
			problems = append(problems, "phantom: booking with a token: "+e.Person)
		case !e.Token && b.token && b.must():
			problems = append(problems, "lost: token of booking "+e.Person)
		}
	}
	for person, b := range l.bookings {
		if _, is := there[person]; !is && b.must() {
			problems = append(problems, "lost: booking "+person)
		}
	}
	for id, r := range l.records {
		b := l.bookings[r.capture.CorrelationID]
		if b == nil || r.capture.Attempt > 1 {
			continue
		}
		_, is := there[r.capture.CorrelationID]
		switch record := at[id]; {
		case record != 0 && is:
			problems = append(problems, fmt.Sprintf("half: %s is there and did not end its booking", id))
		case record == 0 && !is && b.sure && len(b.under) == 1 && len(r.under) == 1:
			problems = append(problems, fmt.Sprintf("half: %s is not there and ended its booking", id))
		}
	}
	return problems
}

// Finish holds the end against the promise: everything that was found before
// was delivered, and whatever the gateway confirmed, it confirmed once.
// confirmed counts by the SHA-256 of the selfie. extra was put after the crash.
func (l *Ledger) Finish(before, end Found, confirmed map[string]int, extra Capture) []string {
	known := map[kiosk.RecordID]Capture{extra.Record: extra}
	by := map[string]kiosk.RecordID{extra.Selfie: extra.Record}
	for id, r := range l.records {
		known[id] = r.capture
		by[r.capture.Selfie] = id
	}
	at, problems := end.where()
	problems = append(problems, end.proofs()...)
	was, _ := before.where()
	for _, h := range end.Pending {
		problems = append(problems, fmt.Sprintf("resurrected: %s waits after all was delivered: %s", h.Capture.Record, h.Broken))
	}
	for id, c := range known {
		is, n := at[id], confirmed[c.Selfie]
		now := was[id]
		if id == extra.Record {
			now = pending
		}
		switch {
		case now == 0 && is != 0:
			problems = append(problems, fmt.Sprintf("resurrected: %s came back from nowhere", id))
		case now == 0 && n != 0:
			problems = append(problems, fmt.Sprintf("lost: %s took effect at the gateway and is not in the outbox", id))
		case (now == letter || now == over) && is != now:
			problems = append(problems, fmt.Sprintf("resurrected: %s was %v and is %v", id, now, is))
		case now&(pending|dead) != 0 && is != over && (is != letter || !c.Rejects):
			problems = append(problems, fmt.Sprintf("lost: %s was delivered and is %v", id, is))
		case now&(pending|dead) != 0 && n != 1, n > 1:
			problems = append(problems, fmt.Sprintf("lost: %s was to be delivered and took effect %d times", id, n))
		case now == over && n != 1 && !l.records[id].dropped:
			problems = append(problems, fmt.Sprintf("lost: %s is settled and took effect %d times", id, n))
		}
	}
	for selfie := range confirmed {
		if _, is := by[selfie]; !is {
			problems = append(problems, "phantom: the gateway confirmed what nobody put")
		}
	}
	for _, e := range end.Over {
		if was[e.Record]&(pending|dead) != 0 && e.Outcome != kiosk.ExitSuccess && (e.Outcome != kiosk.ExitFailure || !known[e.Record].Rejects) {
			problems = append(problems, fmt.Sprintf("changed: %s was delivered and ended with %s", e.Record, e.Outcome))
		}
	}
	if !slices.Equal(before.Bookings, end.Bookings) {
		problems = append(problems, "changed: bookings are others after the delivery")
	}
	slices.Sort(problems)
	return problems
}

// Erased returns whose parts were acknowledged to be gone: ids of records, and
// what booking returns of people whose booking ended.
func (l *Ledger) Erased(booking func(person string) []string) map[string]bool {
	gone := map[string]bool{}
	for id, r := range l.records {
		if r.erased {
			gone[string(id)] = true
		}
	}
	for person, b := range l.bookings {
		if b.ended && !b.may() {
			for _, owner := range booking(person) {
				gone[owner] = true
			}
		}
	}
	return gone
}
