package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"livekiosk/kiosk"
)

// A plainGateway is the cheapest gateway that can be told from none: it answers
// at once, throws images away, and approves what has both of them. It speaks
// just enough of the contract for a benchmark, in which whatever the gateway
// costs would hide what the client costs.
type plainGateway struct {
	base string // its URL

	mu    sync.Mutex
	bytes map[string]int64 // uploaded, by submission
}

func (p *plainGateway) handler() http.Handler {
	if p.bytes == nil {
		p.bytes = map[string]int64{}
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text) // whoever asked has gone
	}
	mux.HandleFunc("POST /partner/v1/kiosk/initiate", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, `{"token":"plain","expiresAt":"4102444800"}`)
	})
	mux.HandleFunc("GET /coe/v1/submissions/urls", func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Partner-Session-Id")
		var docs []string
		for _, doc := range kiosk.Documents() {
			docs = append(docs, fmt.Sprintf(`%q:{"documentUrl":"%s/objects/%s/%s","expiryInSeconds":"600"}`, doc, p.base, id, doc))
		}
		answer(w, `{"success":true,"data":{"submissionId":"`+id+`","status":"INITIATED","documents":{`+strings.Join(docs, ",")+`}}}`)
	})
	mux.HandleFunc("PUT /objects/{id}/{doc}", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // what is missing is missed at the confirmation
		p.mu.Lock()
		p.bytes[r.PathValue("id")] += n
		p.mu.Unlock()
	})
	mux.HandleFunc("PUT /coe/v1/submissions/urls", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		p.mu.Lock()
		n := p.bytes[r.Header.Get("X-Partner-Session-Id")]
		p.mu.Unlock()
		if n < 2*leastImage {
			w.WriteHeader(http.StatusUnprocessableEntity)
			answer(w, `{"success":false,"errors":[{"code":"1542","cause":"INVALID_UPLOAD_ARTIFACT"}]}`)
			return
		}
		answer(w, `{"success":true,"data":{}}`)
	})
	mux.HandleFunc("GET /coe/v1/submissions/{id}/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, `{"success":true,"data":{"submissionId":"`+r.PathValue("id")+`","status":"COMPLETED","submissionType":"STANDALONE_LIVENESS",`+
			`"verificationResult":{"isApproved":true,"riskLevel":"LOW","confidence":"99"}}}`)
	})
	return mux
}
