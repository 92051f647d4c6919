package relay

import "sync"

// mostSubmissions is of how many submissions a ledger knows the parts: more
// than a fleet has between its first upload and its confirmation.
const mostSubmissions = 20_000

// A capture is which of a kiosk's captures a part is of.
type capture struct {
	device  string
	record  string
	attempt uint32
}

// A ledger knows which captures the images of the newest submissions are of,
// so that those of one are not confirmed with the metadata of another. What it
// does not know, or not any more, it lets pass: a restart must hold nobody up.
// It is safe for concurrent use.
type ledger struct {
	mu          sync.Mutex
	submissions map[string]map[string]capture // by submission and document
	order       []string                      // of submissions, oldest first; some may be gone
}

func newLedger() *ledger { return &ledger{submissions: map[string]map[string]capture{}} }

// note takes down that the gateway has an image. A later image of the same
// document takes its place there as it does here.
func (l *ledger) note(submission, document string, c capture) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := l.submissions[submission]
	if parts == nil {
		if len(l.order) == mostSubmissions {
			delete(l.submissions, l.order[0])
			l.order = l.order[1:]
		}
		parts = map[string]capture{}
		l.submissions[submission], l.order = parts, append(l.order, submission)
	}
	parts[document] = c
}

// agrees reports whether every image that is known of the submission is of
// capture c; of one and the same if c is zero, which is not known.
func (l *ledger) agrees(submission string, c capture) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, part := range l.submissions[submission] {
		if c == (capture{}) {
			c = part
		}
		if part != c {
			return false
		}
	}
	return true
}

// forget drops what is known of a submission, which takes no images any more.
func (l *ledger) forget(submission string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.submissions, submission)
}
