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
