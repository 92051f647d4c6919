package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"livekiosk/queue/seal"
)

// upload is call 4: an envelope from the kiosk, an image to the store.
func (r *Relay) upload(x *exchange) *reply {
	k, err := r.tickets.open(x.PathValue("ticket"), time.Now())
	if err != nil {
		return deny(http.StatusForbidden, "AccessDenied").because(err)
	}
	switch {
	case x.ContentLength < 0:
		return deny(http.StatusLengthRequired, "MissingContentLength")
	case x.ContentLength > mostImage+mostFrame:
		return deny(http.StatusBadRequest, "EntityTooLarge") // S3's own status for it
	}
	// Room first: what comes is held as a whole, sealed and open.
	room := min(2*x.ContentLength, r.most)
	short, cancel := context.WithTimeout(x.Context(), roomTime)
	err = r.memory.Acquire(short, room)
	cancel()
	if err != nil {
		return deny(http.StatusServiceUnavailable, "SlowDown").later(5)
	}
	defer r.memory.Release(room)

	envelope, err := receive(x, x.ContentLength, time.UnixMilli(k.End))
	defer clear(envelope)
	if err != nil || int64(len(envelope)) != x.ContentLength {
		return deny(http.StatusBadRequest, "IncompleteBody")
	}
	if !seal.IsEnvelope(envelope) {
		return deny(http.StatusInternalServerError, "RelayWantsSealed")
	}
	b, image, err := r.open(k.Correlation, envelope)
	if err != nil {
		return deny(http.StatusInternalServerError, "RelayCannotOpen").because(err)
	}
	defer clear(image)
	x.device = b.Device
	switch {
	case b.Part != "image/"+k.Document:
		return deny(http.StatusInternalServerError, "RelayWrongPart")
	case len(image) > mostImage:
		return deny(http.StatusBadRequest, "EntityTooLarge")
	}
	return r.store(x, k, b, image)
}

// open opens an envelope with the key that it was sealed for. The bytes of the
// envelope are lost.
func (r *Relay) open(correlation string, envelope []byte) (seal.Binding, []byte, error) {
	var failed error
	for _, k := range r.keys {
		b, plaintext, err := seal.OpenEnvelope(k, correlation, envelope)
		if err == nil {
			return b, plaintext, nil
		}
		failed = errors.Join(failed, err)
	}
	return seal.Binding{}, nil, failed
}

// store puts an image where the gateway wants it.
func (r *Relay) store(x *exchange, k ticket, b seal.Binding, image []byte) *reply {
	u, err := r.storable(k.URL)
	if err != nil {
		return deny(http.StatusBadGateway, "RelayStoreURL").because(err)
	}
	a, err := r.ask(x.Context(), http.MethodPut, u, http.Header{"Content-Type": {"image/jpeg"}}, image)
	if err != nil {
		status, timeout := unreachable(err)
		if timeout {
			return deny(status, "RelayStoreTimeout").because(err)
		}
		return deny(status, "RelayStoreUnreachable").because(err)
	}
	// A store answers a PUT with an empty body. A page is a portal's, before
	// this relay.
	switch {
	case html(a) || a.status/100 == 2 && len(bytes.TrimSpace(a.body)) > 0:
		return deny(http.StatusBadGateway, "RelayStoreAnswer").because(fmt.Errorf("HTTP %d: %w", a.status, errGarbled))
	case a.status/100 == 2:
		r.parts.note(k.Submission, k.Document, captureOf(b))
		return &reply{status: a.status}
	}
	// Only the code: a store's error may repeat the URL it was about.
	out := deny(a.status, code(a.body))
	out.own, out.retryAfter = false, a.header.Get("Retry-After")
	return out
}

func captureOf(b seal.Binding) capture {
	return capture{device: b.Device, record: b.Record, attempt: b.Attempt}
}

// code returns the Code of a store's XML error, if it is an identifier.
func code(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte("<Code>"))
	c, _, found := bytes.Cut(rest, []byte("</Code>"))
	if !found || len(c) > 64 {
		return ""
	}
	s := strings.TrimSpace(string(c))
	for _, l := range s {
		if (l < '0' || l > '9') && (l < 'A' || l > 'Z') && (l < 'a' || l > 'z') && l != '_' {
			return ""
		}
	}
	return s
}
