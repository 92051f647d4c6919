package gateway

import "livekiosk/kiosk"

// Next returns what the kiosk does after a status. attemptsLeft counts the
// captures that the person may still make after this one.
//
// Only the gateway approves, in so many words: a completed submission that
// does not say whether it was approved is polled on. A status this version
// does not know is polled on too.
func Next(s kiosk.SubmissionStatus, attemptsLeft int) kiosk.Action {
	again := kiosk.ExitFailure
	if attemptsLeft > 0 {
		again = kiosk.Retry
	}
	switch s.Status {
	case kiosk.StatusError, kiosk.StatusRejected, "CANCELLED", "CANCELED":
		return kiosk.ExitFailure
	case kiosk.StatusCompleted:
		if s.Approved != nil && *s.Approved {
			return kiosk.ExitSuccess
		}
		if s.Approved != nil {
			return again
		}
	case kiosk.Initiated, kiosk.InProgress, kiosk.PartiallyCompleted:
	}
	for _, state := range s.Documents {
		if state == "REJECTED" {
			return kiosk.ExitFailure
		}
	}
	for _, state := range s.Documents {
		if state == "INVALID" {
			return again
		}
	}
	return kiosk.PollAgain
}
