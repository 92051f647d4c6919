package gateway_test

import (
	"strconv"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// TestNext covers the whole status space: each status, each approval, each
// pair of document states, with attempts left and without.
func TestNext(t *testing.T) {
	yes, no := true, false
	states := []string{"", "PENDING", "UPLOADED", "VERIFIED", "INVALID", "REJECTED", "A_NEW_ONE"}
	ends := map[kiosk.GatewayStatus]bool{kiosk.StatusError: true, kiosk.StatusRejected: true, "CANCELLED": true, "CANCELED": true}
	cases := 0
	for _, status := range []kiosk.GatewayStatus{
		kiosk.Initiated, kiosk.InProgress, kiosk.PartiallyCompleted, kiosk.StatusCompleted, kiosk.StatusError,
		kiosk.StatusRejected, "CANCELLED", "CANCELED", "", "A_NEW_ONE",
	} {
		for _, approved := range []*bool{nil, &yes, &no} {
			for _, far := range states {
				for _, near := range states {
					for _, left := range []int{-1, 0, 1, 2} {
						s := kiosk.SubmissionStatus{Status: status, Approved: approved, Documents: map[kiosk.Document]string{}}
						if far != "" {
							s.Documents[kiosk.Selfie] = far
						}
						if near != "" {
							s.Documents[kiosk.AdditionalSelfie] = near
						}
						again := kiosk.ExitFailure
						if left > 0 {
							again = kiosk.Retry
						}
						var want kiosk.Action
						switch completed := status == kiosk.StatusCompleted; {
						case ends[status]:
							want = kiosk.ExitFailure
						case completed && approved == &yes:
							want = kiosk.ExitSuccess
						case completed && approved == &no:
							want = again
						case far == "REJECTED" || near == "REJECTED":
							want = kiosk.ExitFailure
						case far == "INVALID" || near == "INVALID":
							want = again
						default:
							want = kiosk.PollAgain
						}
						cases++
						if got := gateway.Next(s, left); got != want {
							said := "nothing"
							if approved != nil {
								said = strconv.FormatBool(*approved)
							}
							t.Errorf("%q, approved: %s, documents %v, %d left: %s, want %s", status, said, s.Documents, left, got, want)
						}
					}
				}
			}
		}
	}
	if cases != 10*3*7*7*4 {
		t.Errorf("%d cases", cases)
	}
}

func TestNothingButAnApprovedCompletionIsASuccess(t *testing.T) {
	yes := true
	for _, status := range []kiosk.GatewayStatus{
		kiosk.Initiated, kiosk.InProgress, kiosk.PartiallyCompleted, kiosk.StatusError, kiosk.StatusRejected, "completed", "COMPLETED ", "",
	} {
		if gateway.Next(kiosk.SubmissionStatus{Status: status, Approved: &yes}, 1) == kiosk.ExitSuccess {
			t.Errorf("%q is a success", status)
		}
	}
	if gateway.Next(kiosk.SubmissionStatus{Status: kiosk.StatusCompleted}, 1) == kiosk.ExitSuccess {
		t.Error("a completion without a word on approval is a success")
	}
}
