package gatewaysim_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

// A head is an answer without its body.
type head struct {
	StatusCode int
	Header     http.Header
}

// raw makes one request and returns the answer as it is, and how far it came.
func (w *world) raw(t *testing.T, method, url string, body io.Reader, headers ...string) (*head, []byte, error) {
	t.Helper()
	if !strings.HasPrefix(url, "http") {
		url = w.url + url
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return &head{resp.StatusCode, resp.Header}, answer, err
}

func TestEachFaultIsWhatItSays(t *testing.T) {
	const auth = "/v1/coe/partner/authentication"
	who := []string{"client-id: sample-client", "pass-key: sample-pass-key"}
	good := func(t *testing.T, resp *head, body []byte, err error) {
		t.Helper()
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"token"`)) {
			t.Errorf("%v %q %v, want a token", resp, body, err)
		}
	}
	for _, tt := range []struct {
		fault string
		check func(*testing.T, *head, []byte, error)
	}{
		{"503/30s", func(t *testing.T, resp *head, body []byte, _ error) {
			t.Helper()
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "30" || !bytes.Contains(body, []byte("SERVICE_UNAVAILABLE")) {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
			}
		}},
		{"429 /2s", func(t *testing.T, resp *head, body []byte, _ error) {
			t.Helper()
			if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "2" || !bytes.Contains(body, []byte("TOO_MANY_REQUESTS")) {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
			}
		}},
		{"reset", func(t *testing.T, _ *head, _ []byte, err error) {
			t.Helper()
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
				t.Errorf("%v, want a reset", err)
			}
		}},
		{"reset mid-body", func(t *testing.T, resp *head, body []byte, err error) {
			t.Helper()
			if err == nil || resp == nil || len(body) == 0 || bytes.HasSuffix(body, []byte("}")) {
				t.Errorf("%v %q %v, want half of an answer", resp, body, err)
			}
		}},
		{"lost", func(t *testing.T, _ *head, _ []byte, err error) {
			t.Helper()
			if err == nil {
				t.Error("the answer came")
			}
		}},
		{"hang 30ms", func(t *testing.T, resp *head, _ []byte, _ error) {
			t.Helper()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%d after it hung, want 503", resp.StatusCode)
			}
		}},
		{"html", func(t *testing.T, resp *head, _ []byte, _ error) {
			t.Helper()
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html" {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
		}},
		{"garbage body", func(t *testing.T, resp *head, body []byte, _ error) {
			t.Helper()
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || !bytes.Contains(body, []byte{0xff}) {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}},
		{"huge", func(t *testing.T, _ *head, body []byte, _ error) {
			t.Helper()
			if len(body) != 8<<20 {
				t.Errorf("%d bytes", len(body))
			}
		}},
		{"clock skew -56y", func(t *testing.T, resp *head, body []byte, err error) {
			t.Helper()
			good(t, resp, body, err)
			date, bad := http.ParseTime(resp.Header.Get("Date"))
			if back := time.Since(date); bad != nil || back < 55*365*24*time.Hour || back > 57*365*24*time.Hour {
				t.Errorf("Date: %s, want one of 56 years ago", resp.Header.Get("Date"))
			}
		}},
		{"slow 1kB/s", good},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			w := newWorld(t, gatewaysim.Options{Faults: "partner_token=" + tt.fault})
			resp, body, err := w.raw(t, "GET", auth, nil, who...)
			tt.check(t, resp, body, err)
			if events := w.Events(); len(events) != 1 || events[0].Fault == "" {
				t.Errorf("events %+v, want one with its fault", events)
			}
			resp, body, err = w.raw(t, "GET", auth, nil, who...) // it is over
			good(t, resp, body, err)
		})
	}
}

func TestASlowGatewayReadsAndWritesSlowly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{Faults: "upload=slow:200kB/s partner_token=slow:500B/s"})
	began := time.Now()
	w.partnerToken(t) // 150 bytes or so
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("an answer at 500 bytes a second took %v", took)
	}
	_, selfie, _ := w.targets(t, w.user(t, "s"))
	body := selfieJPEG(t)
	began = time.Now()
	if a := w.call(t, "PUT", selfie, body); a.status != http.StatusOK {
		t.Fatalf("upload = %d %s", a.status, a.body)
	}
	want := time.Duration(len(body)) * time.Second / 200_000
	if took := time.Since(began); took < want*3/4 {
		t.Errorf("%d bytes at 200 kB/s took %v, want %v or longer", len(body), took, want)
	}
}

func TestAResetInTheMiddleOfAnUploadStoresNothing(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{Faults: "upload=reset-mid-body"})
	user := w.user(t, "s")
	id, selfie, _ := w.targets(t, user)
	sent := &counter{r: strings.NewReader(strings.Repeat("x", 3<<20))}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, selfie, sent)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 3 << 20
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("it was answered: %d", resp.StatusCode)
	}
	if sent.n < 3<<19 {
		t.Errorf("reset after %d bytes, want half of %d", sent.n, 3<<20)
	}
	a := w.call(t, "GET", "/coe/v1/submissions/"+id+"/status", "", user...)
	if !bytes.Contains(a.body, []byte(`"SELFIE":{"status":"PENDING"}`)) {
		t.Errorf("after half an upload: %s", a.body)
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// TestAnAnswerThatIsLostWasMeant: the work of a lost answer is done.
func TestAnAnswerThatIsLostWasMeant(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{Faults: "confirm=lost"})
	user := w.user(t, "s")
	id, selfie, additional := w.targets(t, user)
	for _, u := range []string{selfie, additional} {
		w.call(t, "PUT", u, selfieJPEG(t))
	}
	confirm := `{"submissionId":"` + id + `"}`
	if _, _, err := w.raw(t, "PUT", urlsPath, strings.NewReader(confirm), user...); err == nil {
		t.Error("the answer came")
	}
	if a := w.call(t, "PUT", urlsPath, confirm, user...); a.status != http.StatusConflict || a.cause != "SUBMISSION_STATE_CONFLICT" {
		t.Errorf("the confirmation again: %d %s, want 409", a.status, a.body)
	}
	if c := w.Confirmed(); len(c) != 1 || c[0].Times != 1 || c[0].Documents["SELFIE"].SHA256 != hash([]byte(selfieJPEG(t))) {
		t.Errorf("confirmed %+v, want once", c)
	}
}

func TestAClockThatIsWrongCounts(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "s")
	_, selfie, _ := w.targets(t, user)
	for _, tt := range []struct {
		name, fault string
		do          func() int
		want        int
	}{
		{"an upload two days ahead", "upload=skew:+48h", func() int { return w.call(t, "PUT", selfie, selfieJPEG(t)).status }, 403},
		{"an upload a minute ahead", "upload=skew:1m", func() int { return w.call(t, "PUT", selfie, selfieJPEG(t)).status }, 200},
		{"a token after 61 days", "urls=skew:61d", func() int { return w.call(t, "GET", urlsPath, "", user...).status }, 401},
		{"a token in 1970", "urls=skew:-56y", func() int { return w.call(t, "GET", urlsPath, "", user...).status }, 200},
	} {
		w.call(t, "POST", "/sim/faults", tt.fault)
		if got := tt.do(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestRandomFaultsFollowTheirSeed draws the same faults twice, and others with
// another seed.
func TestRandomFaultsFollowTheirSeed(t *testing.T) {
	draw := func(seed uint64) (story string, n int) {
		w := newWorld(t, gatewaysim.Options{Seed: seed, Faults: "all=500%20"})
		if w.Seed() != seed {
			t.Errorf("the seed is %d, want %d", w.Seed(), seed)
		}
		for range 200 {
			if w.call(t, "GET", "/v1/coe/partner/authentication", "").status == http.StatusInternalServerError {
				story, n = story+"x", n+1
			} else {
				story += "."
			}
		}
		return story, n
	}
	first, n := draw(1)
	if n < 15 || n > 70 {
		t.Errorf("%d of 200 calls, want 20 %%", n)
	}
	if again, _ := draw(1); again != first {
		t.Errorf("seed 1 gave\n%s and then\n%s", first, again)
	}
	if other, _ := draw(2); other == first {
		t.Error("seed 2 gives what seed 1 gave")
	}
	w := newWorld(t, gatewaysim.Options{})
	if w.Seed() == 0 {
		t.Error("a seed that is drawn is not told")
	}
}

// TestAHangEndsWithItsClient: a hang holds nothing when nobody waits any more.
func TestAHangEndsWithItsClient(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{Faults: "partner_token=hang"})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /v1/coe/partner/authentication HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.Close()
	if _, err := w.Await(soon(t), func(ev gatewaysim.Event) bool { return ev.Fault == "partner_token=hang" }); err != nil {
		t.Error(err)
	}
}
