package relay_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// FuzzUpload puts any bytes to an upload URL. Whatever they are, a kiosk is
// told something, and only what was sealed for the relay and the session goes
// on to the store.
func FuzzUpload(f *testing.F) {
	key := newKey(f, seal.X25519)
	r := newRelay(f, relay.Options{Keys: seal.NewRing(key), Client: targets(http.StatusOK)})
	good := selfie(f, key.Public(), 100)
	where := ticket(f, r, "c")
	f.Add([]byte(nil))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("livekiosk relay\x00"))
	f.Add([]byte("\xff\xd8\xff\xe0 JFIF"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := ask(t, r, http.MethodPut, where, bytes.Clone(body))
		switch a.Code {
		case http.StatusOK:
			if _, _, err := seal.OpenEnvelope(key, "c", bytes.Clone(body)); err != nil {
				t.Errorf("%d bytes that do not open went to the store", len(body))
			}
		case http.StatusInternalServerError, http.StatusBadRequest:
			if !strings.Contains(a.Body.String(), "<Code>") {
				t.Errorf("answer %d %s names no code", a.Code, a.Body)
			}
		default:
			t.Errorf("answer %d %s", a.Code, a.Body)
		}
	})
}

// FuzzTicket uses any text as an upload URL.
func FuzzTicket(f *testing.F) {
	r := newRelay(f, relay.Options{Client: targets(http.StatusOK)})
	good := ticket(f, r, "c")
	path, text := good[:strings.LastIndexByte(good, '/')+1], good[strings.LastIndexByte(good, '/')+1:]
	f.Add("")
	f.Add(text[1:])
	f.Add(strings.Repeat("A", 100))
	f.Fuzz(func(t *testing.T, s string) {
		if s == text {
			return
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, path+"x", strings.NewReader("livekiosk relay\x00"))
		req.URL.Path, req.URL.RawPath = path+s, ""
		a := httptest.NewRecorder()
		r.ServeHTTP(a, req)
		if a.Code == http.StatusOK || a.Code >= http.StatusInternalServerError {
			t.Errorf("%q was taken for an upload URL: %d %s", s, a.Code, a.Body)
		}
	})
}

// FuzzConfirm confirms with any body. Only metadata that were sealed for the
// relay and the session go to the gateway.
func FuzzConfirm(f *testing.F) {
	key := newKey(f, seal.X25519)
	client := answering(http.StatusOK, `{"success":true,"data":{}}`)
	confirmed := 0
	r := newRelay(f, relay.Options{Keys: seal.NewRing(key), Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		confirmed++
		return client.Transport.RoundTrip(r)
	})}})
	m := metadata(envelope(f, key.Public(), seal.Binding{Format: 1, Attempt: 1, Record: "r", Correlation: "c", Device: "d", Part: "metadata"}, []byte(`{}`)))
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"submissionId":"s"}`, `{"submissionId":"s","metadata":{}}`, `{"submissionId":"s","metadata":null}`,
		`{"submissionId":"s","metadata":{"review":true}}`, `{"submissionId":"s","metadata":{"livekiosk_sealed":"bGl2"}}`,
		`{"submissionId":1,"metadata":` + string(m) + `}`, `{"submissionId":"s","metadata":` + string(m) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		confirmed = 0
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/coe/v1/submissions/urls", bytes.NewReader(body))
		req.Header.Set("X-Partner-Session-Id", "c")
		a := httptest.NewRecorder()
		r.ServeHTTP(a, req)
		if !json.Valid(a.Body.Bytes()) {
			t.Errorf("answer %d %s is no JSON", a.Code, a.Body)
		}
		if confirmed == 0 {
			return
		}
		var in struct {
			Metadata map[string]string `json:"metadata"`
		}
		if json.Unmarshal(body, &in) != nil || len(in.Metadata) > 0 && in.Metadata["livekiosk_sealed"] == "" {
			t.Errorf("%s went to the gateway", body)
		}
	})
}
