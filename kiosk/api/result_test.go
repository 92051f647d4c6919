package api_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// TestEveryDetailedCodeHasTheContractsFlag holds the contract's table, and the
// kiosk's own code, against what the partner's front end is sent.
func TestEveryDetailedCodeHasTheContractsFlag(t *testing.T) {
	contract := map[kiosk.DetailedCode]struct {
		class     kiosk.ErrorCode
		retriable bool
	}{
		2201: {"API", false},
		2202: {"API", true},
		2203: {"NETWORK", true},
		2204: {"SECURITY", false},
		2205: {"API", false},
		2206: {"API", false},
		2207: {"USER_CANCELLED", true},
		2208: {"API", false},
		2209: {"API", true},
		2210: {"CAMERA", true},
		2211: {"PERMISSION", true},
		2212: {"VERIFICATION", true},
		2213: {"HELP_CLICKED", true},
		2214: {"SECURITY", false},
		2215: {"API", true},
		2299: {"NETWORK", false},
	}
	for code := kiosk.DetailedCode(2200); code < 2300; code++ {
		want, is := contract[code]
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			if !is {
				if code.Class() != kiosk.NoErrorCode || code.Message() != "" || code.Retriable() {
					t.Errorf("%d means something, and is not of the contract", code)
				}
				return
			}
			b, err := json.Marshal(kiosk.Result{Session: "s", CorrelationID: "c", Status: kiosk.Errored, SubmissionID: "sub", Detail: code})
			if err != nil {
				t.Fatal(err)
			}
			if code.Message() == "" {
				t.Error("there are no words for it")
			}
			wire := fmt.Sprintf(`{"sessionId":"s","correlationId":"c","status":"ERROR","submissionId":"sub","extra":{"errorCode":%q,"detailedErrorCode":%d,"errorMessage":%q},"retriable":%t}`,
				want.class, code, code.Message(), want.retriable)
			if string(b) != wire {
				t.Errorf("sent %s\nwant %s", b, wire)
			}
			var back kiosk.Result
			if err := json.Unmarshal(b, &back); err != nil || back != (kiosk.Result{Session: "s", CorrelationID: "c", Status: kiosk.Errored, SubmissionID: "sub", Error: want.class, Detail: code}) {
				t.Errorf("read back %+v, %v", back, err)
			}
		})
	}
}

func TestWhatTheOutboxTellsOfASession(t *testing.T) {
	saved := kiosk.Result{Session: "s", Status: kiosk.NotCompleted, Detail: kiosk.Saved}
	end := func(s kiosk.ResultStatus, e kiosk.ErrorCode, d kiosk.DetailedCode) kiosk.Result {
		return kiosk.Result{Session: "s", Status: s, Error: e, Detail: d}
	}
	for _, tt := range []struct {
		name    string
		entries []kiosk.Entry // of session s
		want    kiosk.Result  // zero: nothing
	}{
		{"nothing", nil, kiosk.Result{}},
		{"a capture that waits", []kiosk.Entry{{State: "queued"}}, saved},
		{"a capture on its way", []kiosk.Entry{{State: "submitted", SubmissionID: "sub"}}, kiosk.Result{Session: "s", Status: kiosk.NotCompleted, Detail: kiosk.Saved, SubmissionID: "sub"}},
		{"a capture that was uploaded", []kiosk.Entry{{State: "uploaded"}}, saved},
		{"a capture that the gateway judges", []kiosk.Entry{{State: "confirmed"}}, saved},
		{"approved", []kiosk.Entry{{State: "done", Outcome: kiosk.ExitSuccess, SubmissionID: "sub"}}, kiosk.Result{Session: "s", Status: kiosk.Completed, SubmissionID: "sub"}},
		{"not approved", []kiosk.Entry{{State: "done", Outcome: kiosk.ExitFailure}}, end(kiosk.Errored, kiosk.VerificationError, kiosk.VerificationFailed)},
		{"turned down, and nobody took new pictures", []kiosk.Entry{{State: "done", Outcome: kiosk.Retry}}, end(kiosk.NotCompleted, kiosk.VerificationError, kiosk.VerificationFailed)},
		{"given up", []kiosk.Entry{{State: "done", Outcome: kiosk.ExitError}}, end(kiosk.Errored, kiosk.GatewayAPIError, kiosk.APIError)},
		{"a dead letter", []kiosk.Entry{{State: "dead", Reason: "FORBIDDEN"}}, end(kiosk.Errored, kiosk.GatewayAPIError, kiosk.APIError)},
		{"a dead letter that was approved by nobody", []kiosk.Entry{{State: "dead", Outcome: kiosk.ExitSuccess}}, end(kiosk.Errored, kiosk.GatewayAPIError, kiosk.APIError)},
		{"a dead letter that needs new pictures", []kiosk.Entry{{State: "dead", Reason: kiosk.NeedsRecapture}}, end(kiosk.NotCompleted, kiosk.VerificationError, kiosk.VerificationFailed)},
		{"the last attempt counts", []kiosk.Entry{{Attempt: 3, State: "queued"}, {Attempt: 2, State: "done", Outcome: kiosk.Retry}}, saved},
		{"the last attempt counts, in any order", []kiosk.Entry{{Attempt: 2, State: "done", Outcome: kiosk.Retry}, {Attempt: 3, State: "queued"}}, saved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries := []kiosk.Entry{{Session: "other", Attempt: 9, State: "done", Outcome: kiosk.ExitSuccess}, {State: "dead"}}
			for _, e := range tt.entries {
				e.Session = "s"
				entries = append(entries, e)
			}
			got, known := api.FromQueue(entries, "s")
			if got != tt.want || known != (tt.entries != nil) {
				t.Errorf("got %+v, %v; want %+v", got, known, tt.want)
			}
		})
	}
	if _, known := api.FromQueue([]kiosk.Entry{{State: "dead", Reason: "its head does not read"}}, ""); known {
		t.Error("a record without a session is somebody's")
	}
}

func TestNetworkNamesEveryService(t *testing.T) {
	outage := kiosk.Outage{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 14}
	ended := kiosk.Outage{Service: kiosk.PartnerService}
	got := api.Network([]kiosk.Outage{outage, ended}, func(s kiosk.Service) bool { return s != kiosk.StoreService })
	want := []api.ServiceStatus{
		{Service: kiosk.GatewayService, State: api.ReachOut, Trouble: kiosk.TroubleDNS, Failures: 14},
		{Service: kiosk.StoreService, State: api.ReachUnknown},
		{Service: kiosk.PartnerService, State: api.ReachOK},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
