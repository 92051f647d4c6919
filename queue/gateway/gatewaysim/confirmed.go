package gatewaysim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
)

// A Confirmed is a submission that was confirmed, as a test of "exactly once"
// wants to see it.
type Confirmed struct {
	Submission string              `json:"submissionId"`
	Session    string              `json:"partnerSessionId"`
	Times      int                 `json:"times"` // how often a confirmation took effect: 1
	Status     string              `json:"status"`
	Result     string              `json:"result,omitempty"` // once the verdict is told
	Documents  map[string]Document `json:"documents"`        // by name: SELFIE, ADDITIONAL_SELFIE
}

// A Document is an uploaded image as it was when its submission was confirmed.
type Document struct {
	SHA256 string `json:"sha256"` // hexadecimal
	Size   int64  `json:"size"`   // bytes
}

// Confirmed returns the submissions that were confirmed, in the order in which
// they were made.
func (s *Sim) Confirmed() []Confirmed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var subs []*submission
	for _, sub := range s.submissions {
		if !sub.open() {
			subs = append(subs, sub)
		}
	}
	slices.SortFunc(subs, func(a, b *submission) int { return cmp.Compare(a.Number, b.Number) })
	all := make([]Confirmed, len(subs))
	for i, sub := range subs {
		all[i] = Confirmed{sub.ID, sub.Session, sub.Times, sub.Status, "", map[string]Document{}}
		if sub.Told {
			all[i].Result = sub.Verdict.result()
		}
		for name, doc := range sub.Documents {
			all[i].Documents[name] = Document{doc.SHA256, doc.Size}
		}
	}
	return all
}

// serveConfirmed writes what was confirmed as NDJSON.
func (s *Sim) serveConfirmed(w http.ResponseWriter, _ *http.Request) {
	all := s.Confirmed()
	if err := s.settle(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for _, c := range all {
		if enc.Encode(c) != nil {
			return // the client has gone
		}
	}
}
