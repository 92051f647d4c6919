package partner

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Limits of one flow, which has three attempts with a gateway that behaves.
const (
	mostSubmissions = 32
	mostHeard       = 256
)

// A Word is what the gateway said of one submission.
type Word struct {
	CorrelationID string    `json:"correlationId"`
	SubmissionID  string    `json:"submissionId,omitempty"`
	Status        string    `json:"status"` // COMPLETED, IN_PROGRESS, PARTIALLY_COMPLETED, ERROR or another
	Result        string    `json:"result,omitempty"`
	ReasonCode    string    `json:"reasonCode,omitempty"`
	ProcessedAt   time.Time `json:"processedAt,omitzero"` // zero: not said, and then the oldest of all
	Source        string    `json:"source"`               // callback or details
}

// Final reports whether the gateway has come to an end with the submission.
func (w Word) Final() bool {
	switch w.Status {
	case "COMPLETED", "ERROR", "REJECTED":
		return true
	}
	return false
}

// newer orders two words of one submission: an end beats what is not one, and
// then the time at the gateway decides. What is left is decided by the text, so
// that the same words lead to the same end in whatever order they come.
func (w Word) newer(than Word) int {
	return cmp.Or(
		order(w.Final(), than.Final()), w.ProcessedAt.Compare(than.ProcessedAt),
		strings.Compare(w.Status, than.Status), strings.Compare(w.Result, than.Result), strings.Compare(w.ReasonCode, than.ReasonCode),
	)
}

// later orders the last words of two submissions of one flow: the attempt that
// the gateway came to later.
func (w Word) later(than Word) int {
	return cmp.Or(
		w.ProcessedAt.Compare(than.ProcessedAt), order(w.Final(), than.Final()), strings.Compare(w.SubmissionID, than.SubmissionID),
	)
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// A Verdict is a kiosk's DocumentVerificationResult.
type Verdict struct {
	Status            string `json:"status"` // RUNNING, COMPLETED, NOT_COMPLETED or ERROR
	SubmissionID      string `json:"submissionId,omitempty"`
	ErrorCode         string `json:"errorCode,omitempty"`
	DetailedErrorCode int    `json:"detailedErrorCode,omitempty"`
	ErrorMessage      string `json:"errorMessage,omitempty"`
	Retriable         bool   `json:"retriable"` // may be launched again for the same person

	// Last: the kiosk will not say anything else of this session. A capture
	// that is saved for later is NOT_COMPLETED and not the last.
	Last bool `json:"last"`
}

// A flow is a customer's identity check as it is kept on disk.
type flow struct {
	Number        uint64    `json:"number"` // flows are numbered as they come
	CorrelationID string    `json:"correlationId"`
	UserID        string    `json:"userId,omitempty"` // personal data; "": initiated by another part of the partner
	UserIDType    string    `json:"userIdType,omitempty"`
	Token         string    `json:"token,omitempty"` // user token, secret; "" once it is not needed
	Expires       time.Time `json:"expires,omitzero"`
	Begun         time.Time `json:"begun"`

	// Kiosk is the name of the first kiosk that asked for the token; "": none
	// did that has a name. Initiated is how often the gateway was asked for it,
	// but for when it certainly did nothing.
	Kiosk     string `json:"kiosk,omitempty"`
	Initiated int    `json:"initiated,omitempty"`

	Words      []Word   `json:"words,omitempty"` // one for each submission
	Heard      []string `json:"heard,omitempty"` // keys of callbacks, oldest first
	Duplicates int      `json:"duplicates,omitempty"`

	// The fallback: when to ask the gateway next, and how often it was asked
	// in vain since anything was heard. A zero Due: not at all. Failed is how
	// often in a row the answer was none that counts.
	Due    time.Time `json:"due,omitzero"`
	Asked  int       `json:"asked,omitempty"`
	Failed int       `json:"failed,omitempty"`

	Session string   `json:"session,omitempty"` // the kiosk's, of a launch by this backend
	Verdict *Verdict `json:"verdict,omitempty"` // what the kiosk said last
}

// LogValue keeps token and user out of every log.
func (f *flow) LogValue() slog.Value {
	return slog.GroupValue(slog.String("correlation", f.CorrelationID), slog.Bool("token", f.Token != ""))
}

// latest returns the word on the newest attempt.
func (f *flow) latest() (Word, bool) {
	if len(f.Words) == 0 {
		return Word{}, false
	}
	return slices.MaxFunc(f.Words, Word.later), true
}

// settled reports whether nothing more is to be expected of the gateway.
func (f *flow) settled() bool {
	if w, heard := f.latest(); !heard || !w.Final() {
		return false
	}
	// The kiosk knows of an attempt that the gateway has not spoken of.
	return f.Verdict == nil || f.Verdict.SubmissionID == "" ||
		slices.ContainsFunc(f.Words, func(w Word) bool { return w.SubmissionID == f.Verdict.SubmissionID && w.Final() })
}

// learn takes a word in, whatever came before it.
func (f *flow) learn(w Word) {
	i := slices.IndexFunc(f.Words, func(old Word) bool { return old.SubmissionID == w.SubmissionID })
	switch {
	case i >= 0:
		if w.newer(f.Words[i]) > 0 {
			f.Words[i] = w
		}
		return
	case len(f.Words) < mostSubmissions:
		f.Words = append(f.Words, w)
		return
	}
	// The one that is the furthest back gives way.
	if oldest := slices.MinFunc(f.Words, Word.later); w.later(oldest) > 0 {
		f.Words[slices.Index(f.Words, oldest)] = w
	}
}

// hear notes a callback by its key and reports whether it came before.
func (f *flow) hear(key string) (duplicate bool) {
	if slices.Contains(f.Heard, key) {
		f.Duplicates++
		return true
	}
	if len(f.Heard) >= mostHeard {
		f.Heard = slices.Delete(f.Heard, 0, len(f.Heard)-mostHeard+1)
	}
	f.Heard = append(f.Heard, key)
	return false
}

// expect sets when the gateway is asked next if it says nothing itself.
// Without a token's end the flow is given up after 60 days, which is a user
// token's life.
func (f *flow) expect(now time.Time, after time.Duration) {
	f.Due, f.Failed = time.Time{}, 0
	if f.settled() {
		return
	}
	end := f.Expires
	if end.IsZero() {
		end = f.Begun.Add(60 * 24 * time.Hour)
	}
	// Each time in vain doubles the wait, up to a day.
	wait := min(after<<min(f.Asked, 20), max(after, 24*time.Hour))
	if due := now.Add(wait); due.Before(end) {
		f.Due = due
	}
}

// putOff moves a flow for which the gateway gave an answer that does not count:
// by a minute at first, and by twice as much each time, up to an hour.
func (f *flow) putOff(now time.Time) {
	if f.Due.IsZero() {
		return // settled meanwhile
	}
	f.Due = now.Add(min(time.Minute<<min(f.Failed, 6), time.Hour))
	f.Failed++
}
