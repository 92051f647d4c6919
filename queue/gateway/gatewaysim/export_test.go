package gatewaysim

// CheckRecord restores a state that has one record more, which is sealed with
// its right checksum or lies there as it is.
func CheckRecord(bucket, key string, record []byte, sealed bool) error {
	if sealed {
		record = seal(record)
	}
	s := &Sim{state: newState(), events: newJournal()}
	s.sessions["s"] = &session{ID: "s"}
	one := func(visit func(string, []byte) error) error { return visit(key, record) }
	switch bucket {
	case bucketSessions:
		return s.restoreSessions(one)
	case bucketSubmissions:
		return s.restoreSubmissions(one)
	case bucketTokens:
		return s.restoreTokens(one)
	case bucketCallbacks:
		return s.restoreCallbacks(one)
	case bucketEvents:
		return s.restoreEvents(one)
	}
	_, err := s.restoreMeta(one)
	return err
}

// Sweep drops the images that are old, as Run does now and then.
func (s *Sim) Sweep() { s.sweep() }

// What is kept at most.
const (
	KeptSessions    = keptSessions
	KeptTokens      = keptTokens
	KeptSubmissions = keptSubmissions
	KeptEvents      = journalSize
	ImageLimit      = memoryImages
)

// Fill adds as many sessions, each with a token, a submission and an event, as
// if they had been initiated, and finishes them. It returns how many of each
// are kept.
func (s *Sim) Fill(n int) (sessions, tokens, submissions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		sess := &session{ID: id()}
		s.addSession(sess)
		s.addToken(secret(), grant{Session: sess.ID})
		s.addSubmission(sess, &submission{ID: id(), Told: true, Status: "COMPLETED", Verdict: &verdict{}, Documents: map[string]*document{}})
		s.events.add(Event{Call: "flow"}, func(Event, bool) {})
	}
	return len(s.sessions), len(s.tokens), len(s.submissions)
}

// Images returns how many images are kept, and their bytes.
func (s *Sim) Images() (n int, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.imageOrder), s.imageBytes
}

// BreakDisk makes the next commit fail, as a full disk does.
func (s *Sim) BreakDisk() error { return s.disk.db.Close() }

// Halfway queues the first half of a change, has somebody else settle, and
// reports whether what is on disk waits for the second half.
func (s *Sim) Halfway(patience <-chan struct{}) (waited bool, err error) {
	settled := make(chan error, 1)
	s.mu.Lock()
	s.save(bucketTokens, "first half", grant{})
	go func() { settled <- s.settle() }()
	select {
	case err = <-settled:
	case <-patience:
		waited = true
	}
	s.save(bucketTokens, "second half", grant{})
	s.mu.Unlock()
	if waited {
		err = <-settled
	}
	return waited, err
}

// KeptCallbacks is how many callbacks that are to come are kept.
const KeptCallbacks = keptCallbacks

// CallBack puts so many callbacks on the agenda and returns how many are kept.
func (s *Sim) CallBack(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &submission{ID: id(), Verdict: &verdict{}, session: &session{ID: "s"}}
	for range n {
		s.callBack(sub)
	}
	return len(s.callbacks)
}

// FullOfWaiting makes room for nothing more, as images that wait for their
// verdict do, until it is undone.
func (s *Sim) FullOfWaiting() (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, limit := s.imageBytes, s.imageLimit
	s.imageBytes, s.imageLimit = waitingImages+bytes, 0
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.imageBytes, s.imageLimit = s.imageBytes-waitingImages, limit
	}
}
