package gatewaysim

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
// that was.
func (s *Sim) Confirmed() []Confirmed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Confirmed
	for _, sub := range s.submissions {
		if sub.status != "INITIATED" && sub.status != "PARTIALLY_COMPLETED" {
			all = append(all, Confirmed{Submission: sub.id, Session: sub.session.id, Times: 1, Status: sub.status})
		}
	}
	return all
}
