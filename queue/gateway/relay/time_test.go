package relay_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// selfie is an envelope for the far image of session "c".
func selfie(tb testing.TB, pub *seal.Public, size int) []byte {
	tb.Helper()
	return envelope(tb, pub, seal.Binding{Format: 1, Attempt: 1, Record: "r", Correlation: "c", Device: "d", Part: "image/SELFIE"}, bytes.Repeat([]byte{0xff}, size))
}

func TestAnUploadURLEndsWhenTheGatewaysDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, seal.X25519)
		r := newRelay(t, relay.Options{Keys: seal.NewRing(key), Client: targets(http.StatusOK)})
		where := ticket(t, r, "c")
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{10*time.Minute - time.Second, http.StatusOK}, {time.Second, http.StatusForbidden}} {
			<-time.After(step.after)
			if a := ask(t, r, http.MethodPut, where, selfie(t, key.Public(), 1000)); a.Code != step.want {
				t.Errorf("%v later: %d %s, want %d", step.after, a.Code, a.Body, step.want)
			}
		}
	})
}

// hanging is a gateway that takes everything and says nothing, but for call 3.
func hanging() *http.Client {
	urls := targets(http.StatusOK)
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/urls") && r.Method == http.MethodGet {
			return urls.Transport.RoundTrip(r)
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
}

func TestASilentGatewayIsGivenUpBeforeTheKioskGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, seal.X25519)
		r := newRelay(t, relay.Options{Keys: seal.NewRing(key), Client: hanging()})
		where := ticket(t, r, "c")
		for name, call := range map[string]func() *httptest.ResponseRecorder{
			"status": func() *httptest.ResponseRecorder {
				return ask(t, r, http.MethodGet, "/coe/v1/submissions/s/status", nil)
			},
			"confirm": func() *httptest.ResponseRecorder {
				return ask(t, r, http.MethodPut, "/coe/v1/submissions/urls", []byte(`{"submissionId":"s"}`))
			},
			"upload": func() *httptest.ResponseRecorder {
				return ask(t, r, http.MethodPut, where, selfie(t, key.Public(), 1000))
			},
		} {
			began := time.Now()
			a := call()
			if took := time.Since(began); a.Code != http.StatusGatewayTimeout || took >= 30*time.Second {
				t.Errorf("%s = %d after %v, want 504 in less than 30s", name, a.Code, took)
			}
		}
	})
}

func TestUploadsThatFindNoRoomComeBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, seal.X25519)
		r := newRelay(t, relay.Options{Keys: seal.NewRing(key), Client: hanging(), Memory: 16 << 20})
		where := ticket(t, r, "c")
		body := selfie(t, key.Public(), 3<<20)
		var group sync.WaitGroup
		var mu sync.Mutex
		seen := map[int]int{}
		for range 4 { // 6 MiB each, sealed and open
			group.Go(func() {
				a := ask(t, r, http.MethodPut, where, bytes.Clone(body))
				mu.Lock()
				defer mu.Unlock()
				if seen[a.Code]++; a.Code == http.StatusServiceUnavailable && a.Header().Get("Retry-After") == "" {
					t.Error("a relay without room does not say when to come back")
				}
			})
		}
		group.Wait()
		if seen[http.StatusServiceUnavailable] != 2 || seen[http.StatusGatewayTimeout] != 2 {
			t.Errorf("answers %v, want two of 503 and two that got to the store", seen)
		}
		// Room is given back.
		if a := ask(t, r, http.MethodPut, where, bytes.Clone(body)); a.Code != http.StatusGatewayTimeout {
			t.Errorf("afterwards %d, want to get to the store", a.Code)
		}
	})
}

// TestAStoreThatAnswersEarlyReadsNothingAfterwards answers before the
// body was read, as a store that refuses does.
func TestAStoreThatAnswersEarlyReadsNothingAfterwards(t *testing.T) {
	key := newKey(t, seal.X25519)
	bodies := make(chan io.Reader, 1)
	urls := targets(http.StatusOK)
	r := newRelay(t, relay.Options{Keys: seal.NewRing(key), Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "store.example" {
			return urls.Transport.RoundTrip(r)
		}
		bodies <- r.Body
		return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(strings.NewReader("<Error><Code>AccessDenied</Code></Error>")), Request: r}, nil
	})}})
	if a := ask(t, r, http.MethodPut, ticket(t, r, "c"), selfie(t, key.Public(), 1000)); a.Code != http.StatusForbidden {
		t.Fatalf("upload = %d, want 403", a.Code)
	}
	if b, err := io.ReadAll(<-bodies); err == nil || len(b) > 0 {
		t.Errorf("%d bytes could be read of an image that is erased (%v)", len(b), err)
	}
}

func TestAnUploadThatIsNotWholeReachesNoStore(t *testing.T) {
	key := newKey(t, seal.X25519)
	reached := false
	urls := targets(http.StatusOK)
	r := newRelay(t, relay.Options{Keys: seal.NewRing(key), Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		reached = reached || r.URL.Host == "store.example"
		return urls.Transport.RoundTrip(r)
	})}})
	body := selfie(t, key.Public(), 1000)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, ticket(t, r, "c"), bytes.NewReader(body[:500]))
	for name, test := range map[string]struct {
		length int64
		want   int
	}{
		"shorter than it says": {int64(len(body)), http.StatusBadRequest},
		"of no length":         {-1, http.StatusLengthRequired},
	} {
		req.ContentLength = test.length
		a := httptest.NewRecorder()
		r.ServeHTTP(a, req)
		if a.Code != test.want || reached {
			t.Errorf("%s: %d %s, reached the store: %v; want %d and no store", name, a.Code, a.Body, reached, test.want)
		}
	}
}

// BenchmarkUpload opens an image of the usual size and hands it on, without a
// network.
func BenchmarkUpload(b *testing.B) {
	for _, kem := range []seal.KEM{seal.X25519, seal.Hybrid} {
		b.Run("kem="+string(kem), func(b *testing.B) {
			key := newKey(b, kem)
			r := newRelay(b, relay.Options{Keys: seal.NewRing(key), Client: targets(http.StatusOK)})
			where, body := ticket(b, r, "c"), selfie(b, key.Public(), 150_000)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if a := ask(b, r, http.MethodPut, where, body); a.Code != http.StatusOK {
					b.Fatalf("upload = %d", a.Code)
				}
			}
		})
	}
}
