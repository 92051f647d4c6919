package main

import (
	"fmt"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// troubleWords says what a trouble is, and what whoever stands before the kiosk
// can do about it.
func troubleWords(t kiosk.Trouble) (what, do string) {
	switch t {
	case kiosk.TroubleDNS:
		return "host name does not resolve", "check the network link and the name server"
	case kiosk.TroubleConnect:
		return "nobody answers at its address", "check the network link, the route and the firewall"
	case kiosk.TroubleTimeout:
		return "no answer in time", "check how slow the network is; if other services answer, ask this one's operator"
	case kiosk.TroubleBroken:
		return "connections break off", "check the network link, and what inspects its traffic"
	case kiosk.TroubleClock:
		return "no certificate can be valid by this kiosk's clock", "set the clock, and check the time service: timedatectl"
	case kiosk.TroubleCertificate:
		return "a certificate is not accepted", "the kiosk's log says which: its own trust store, pins or certificate are wrong, or somebody is in between: tell the fleet's administrators"
	case kiosk.TroubleProxy:
		return "the proxy refuses or cannot be reached", "check the proxy and the kiosk's proxy settings"
	case kiosk.TroublePortal:
		return "something in between answers in its place", "a captive portal or proxy: sign in to the network, or use another one"
	case kiosk.TroubleGarbled:
		return "its answer cannot be read", "ask the service's operator, with the kiosk's log"
	case kiosk.TroubleBusy:
		return "it asks for fewer calls", "nothing: the kiosk waits as it was asked to"
	case kiosk.TroubleUnavailable:
		return "it is unavailable, or does not serve this kiosk", "its operator's to mend; if the kiosk's log says HTTP 401 or 403, check this kiosk's certificate"
	case kiosk.NoTrouble:
		return noWords, "see the kiosk's log"
	}
	return noWords, "see the kiosk's log"
}

// reasonWords says what the reason of a dead letter means and what staff do
// about it. The deliverer's own reasons are words in small letters; others are
// the gateway's, or a call and its HTTP status.
func reasonWords(reason string) string {
	const call = ": tell the partner, who knows the person by the session"
	switch reason {
	case kiosk.NeedsRecapture:
		return "the gateway turned the pictures down when the person had left: ask them to come again, and launch a new session"
	case "token_expired":
		return "the user token expired and the partner backend renews it not: launch a new session, with a user id or a new token"
	case "unreadable", "its head does not read":
		return "the record does not open with this device's key: keep the outbox and the key store, and tell the fleet's administrators"
	case "wrong_mode":
		return "captured when this kiosk sealed its pictures otherwise (see the mode in kioskctl status): set the mode back, and try it again"
	case "submission_lost":
		return "the gateway denies a submission that may have been confirmed: ask its operator for the verdict before anything is sent again" + call
	case "session_closed":
		return "an earlier submission of the session has ended it, so that the gateway takes no other one: launch a new session"
	case "stays_initiated":
		return "the gateway took the confirmation and did not begin for a week: ask its operator" + call
	}
	if status, ok := strings.CutPrefix(reason, "refused_http_"); ok {
		return fmt.Sprintf("refused with HTTP %s time and again while others were served: ask the service's operator, with the kiosk's log, and try it again", status)
	}
	if name, status, ok := strings.Cut(reason, "_http_"); ok {
		return fmt.Sprintf("the gateway refused the call %q with HTTP %s for good", name, status) + call
	}
	return "the gateway refused it for good" + call
}

// deferralWords explains why a delivery waits: a trouble of the gateway, or of
// the service that is named before it, or a word of the deliverer's own.
func deferralWords(why string) string {
	word, service := why, kiosk.GatewayService
	for _, s := range []kiosk.Service{kiosk.StoreService, kiosk.PartnerService} {
		if rest, ok := strings.CutPrefix(why, string(s)+"_"); ok {
			word, service = rest, s
		}
	}
	switch word {
	case "token":
		return "the gateway refused a new token too"
	case "urls":
		return "the store refused new upload URLs too"
	case "submission_lost":
		return "the gateway denies a submission that may have been confirmed"
	case "inconsistent":
		return "answers contradict each other"
	case "storage":
		return "the outbox failed: see the kiosk's log"
	}
	if what, _ := troubleWords(kiosk.Trouble(word)); what != noWords {
		return string(service) + ": " + what
	}
	return spaced(why)
}

// noWords is said of a trouble that is not told.
const noWords = "no answer"

// span is a length of time for people, in its largest unit that is not 1.
func span(d time.Duration) string {
	d = d.Abs()
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= 2*u.size {
			return fmt.Sprintf("%d %s", (d+u.size/2)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d s", (d+time.Second/2)/time.Second)
}

// clock is a time for people who read it at now: with its date unless that is
// today's.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
