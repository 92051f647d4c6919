package deliver

import (
	"fmt"
	"net/http"

	"livekiosk/kiosk"
)

// Words of a record's own waits and ends. The package's page explains them.
const (
	reasonToken        = "token"
	reasonURLs         = "urls"
	reasonInconsistent = "inconsistent"
	reasonStorage      = "storage"
	reasonUnreadable   = "unreadable"
	reasonLost         = "submission_lost"
	reasonClosed       = "session_closed"
	reasonIdle         = "stays_initiated"
	reasonExpired      = "token_expired"
)

// shared reports whether a failure is no single record's: there is an outage,
// or a service has too much to do.
func shared(g *kiosk.GatewayError) bool {
	if g.Disposition != kiosk.RetryLater {
		return false
	}
	switch g.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		// The partner backend says it of the kiosk, not of a person.
		if serviceOf(g) == kiosk.PartnerService {
			return true
		}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	switch g.Trouble {
	case kiosk.NoTrouble, kiosk.TroubleUnavailable:
		return g.Status < 400
	case kiosk.TroubleDNS, kiosk.TroubleConnect, kiosk.TroubleTimeout, kiosk.TroubleBroken, kiosk.TroubleClock,
		kiosk.TroubleCertificate, kiosk.TroubleProxy, kiosk.TroublePortal, kiosk.TroubleGarbled, kiosk.TroubleBusy:
	}
	return true
}

// doubtful reports whether a failure may be one record's as well as an outage:
// a 5xx, or a refusal such as 403 that all records may get.
func doubtful(g *kiosk.GatewayError) bool {
	return g.Disposition == kiosk.RetryLater && !shared(g) && g.Status >= 400
}

// refused is the reason to set a record aside that was answered so for long.
func refused(g *kiosk.GatewayError) string { return fmt.Sprintf("refused_http_%d", g.Status) }

// trouble is why a service gave no answer that counts.
func trouble(g *kiosk.GatewayError) kiosk.Trouble {
	switch {
	case g.Trouble != kiosk.NoTrouble:
		return g.Trouble
	case g.Status == 0:
		return kiosk.TroubleConnect
	case g.Status < 400:
		return kiosk.TroublePortal
	case g.Status == http.StatusTooManyRequests:
		return kiosk.TroubleBusy
	}
	return kiosk.TroubleUnavailable
}

// serviceOf is the service that a failure came from.
func serviceOf(g *kiosk.GatewayError) kiosk.Service {
	switch {
	case g.Service != "":
		return g.Service
	case g.Call == "upload":
		return kiosk.StoreService
	case g.Call == "token":
		return kiosk.PartnerService
	}
	return kiosk.GatewayService
}

// why is a deferral in a word.
func why(g *kiosk.GatewayError) string {
	word := string(trouble(g))
	if s := serviceOf(g); s != kiosk.GatewayService {
		return string(s) + "_" + word
	}
	return word
}

// cause is a refusal in a word for staff: the gateway's own where it gave one.
func cause(g *kiosk.GatewayError) string {
	if g.Cause != "" {
		return g.Cause
	}
	return fmt.Sprintf("%s_http_%d", g.Call, g.Status)
}
