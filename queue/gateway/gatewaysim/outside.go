package gatewaysim

import (
	"bytes"
	"net/http"
	"strings"
)

// Partner returns a partner backend's handler with the scripted faults and the
// events of initiate, the call by which a kiosk asks it for a user token: any
// path that ends in /kiosk/initiate. Everything else passes as it is; what the
// gateway sends to the partner has its faults where it is sent.
func (s *Sim) Partner(h http.Handler) http.Handler {
	faulty := s.serve(callInitiate, func(x *exchange) reply {
		w := &recorder{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, x.Request)
		return reply{status: w.status, header: w.header, kind: w.header.Get("Content-Type"), body: w.body.Bytes()}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/kiosk/initiate") {
			faulty.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// A recorder keeps a small answer until it is known what becomes of it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is http.ResponseWriter's.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write is http.ResponseWriter's.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
