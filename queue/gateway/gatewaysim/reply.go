package gatewaysim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A reply is what a call answers.
type reply struct {
	status int
	cause  string // of a failure, for the event
	kind   string // content type; "" means JSON
	header http.Header
	body   []byte
	drop   bool  // no answer: the connection is reset
	half   bool  // it is reset when half of the body is written
	rate   int64 // the body is written at so many bytes a second; 0 means at once
}

// set adds a header to a reply.
func (a *reply) set(name, value string) {
	a.header = maps.Clone(a.header)
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
}

// ok is a success in the gateway's envelope.
func ok(data any) reply { return plain(http.StatusOK, map[string]any{"success": true, "data": data}) }

// plain is a JSON answer without the envelope.
func plain(status int, v any) reply {
	b, err := json.Marshal(v)
	if err != nil { // only for values that this package did not build
		return refuse(http.StatusInternalServerError, "900", "GENERIC_SERVICE_ERROR")
	}
	return reply{status: status, body: b}
}

// refuse is a failure in the gateway's envelope. The gateway writes the same
// code now as a number and now as a string; so does this.
func refuse(status int, code, cause string) reply {
	var c any = code
	if n, err := strconv.Atoi(code); err == nil && status%2 == 0 {
		c = n
	}
	out := plain(status, map[string]any{
		"success": false,
		"data":    nil,
		"errors":  []map[string]any{{"code": c, "entity": "COE", "cause": cause}},
	})
	out.cause = cause
	return out
}

// missing is the failure for a required header or field that is empty.
func missing(name string) reply {
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return refuse(http.StatusBadRequest, "1539", name+"_CAN_NOT_BE_EMPTY")
}

// denied is a failure of the object store.
func denied(status int, code string) reply {
	return reply{
		status: status, cause: code, kind: "application/xml",
		body: []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + code + "</Code></Error>"),
	}
}

func (a reply) write(w http.ResponseWriter) {
	if a.drop {
		reset(w)
		return
	}
	maps.Copy(w.Header(), a.header)
	if a.kind == "" && a.body != nil {
		a.kind = "application/json"
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	if a.half || a.rate > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	body := a.body
	if a.half {
		body = body[:len(body)/2]
	}
	// The client may have gone.
	if a.rate > 0 {
		_, _ = io.Copy(flusher{w}, &pacer{r: bytes.NewReader(body), ctx: context.Background(), rate: a.rate})
	} else {
		_, _ = w.Write(body)
	}
	if a.half {
		_ = http.NewResponseController(w).Flush()
		reset(w)
	}
}

// reset ends the connection without an answer; with a TCP reset where it can.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	if t, isTCP := c.(*net.TCPConn); isTCP {
		_ = t.SetLinger(0) // without it the end is merely early
	}
	_ = c.Close()
}
