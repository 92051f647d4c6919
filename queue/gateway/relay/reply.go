package relay

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"time"
)

// A reply is what a call is answered.
type reply struct {
	status     int
	kind       string // content type
	retryAfter string
	date       string // the gateway's time; "": none is told
	body       []byte
	cause      string // of a failure of the relay's own, or of the store
	own        bool   // the relay's own, and not what the gateway said
	err        error  // for the log; holds no secret
}

func (a *reply) write(w http.ResponseWriter) {
	h := w.Header()
	// Kiosks take the Date of an answer for the gateway's time. The relay's own
	// clock has no say in that.
	h["Date"] = nil
	for name, value := range map[string]string{"Content-Type": a.kind, "Retry-After": a.retryAfter, "Date": a.date} {
		if value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeStall)) // where there is no connection, as in a test, it does not apply
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the kiosk may have gone
}

// refuse is a failure of the relay's own, in the gateway's envelope.
func refuse(status int, cause string) *reply {
	type failure struct {
		Code   string `json:"code"`
		Entity string `json:"entity"`
		Cause  string `json:"cause"`
	}
	b, err := json.Marshal(struct {
		Success bool      `json:"success"`
		Data    any       `json:"data"`
		Errors  []failure `json:"errors"`
	}{Errors: []failure{{Code: strconv.Itoa(status), Entity: "RELAY", Cause: cause}}})
	if err != nil {
		b = nil // strings always marshal
	}
	return &reply{status: status, kind: "application/json", body: b, cause: cause, own: true}
}

// deny is a failure of an upload, as an object store writes it.
func deny(status int, code string) *reply {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error><Code>")
	_ = xml.EscapeText(&b, []byte(code)) // a buffer takes everything
	b.WriteString("</Code></Error>")
	return &reply{status: status, kind: "application/xml", body: b.Bytes(), cause: code, own: true}
}

// because notes why, for the log. err must hold no secret.
func (a *reply) because(err error) *reply {
	a.err = err
	return a
}

// later asks the kiosk to wait so many seconds.
func (a *reply) later(seconds int) *reply {
	a.retryAfter = strconv.Itoa(seconds)
	return a
}
