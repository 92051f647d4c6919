package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// A crossing is a whole kiosk in relay mode before a relay and the simulator:
// no part of it is a fake.
type crossing struct {
	*world

	front  *front
	device *seal.Key
	opts   queue.Options
	queue  *queue.Queue

	mu     sync.Mutex
	events []kiosk.Event
	told   chan struct{} // closed and replaced at each event
}

// A front is the address of a relay, which can be replaced as in a restart.
type front struct {
	mu    sync.Mutex
	relay http.Handler // nil: nobody listens
	after func(r *http.Request)
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	h, after := f.relay, f.after
	f.mu.Unlock()
	if h == nil {
		panic(http.ErrAbortHandler)
	}
	h.ServeHTTP(w, r)
	if after != nil {
		after(r)
	}
}

func (f *front) set(h http.Handler) {
	f.mu.Lock()
	f.relay = h
	f.mu.Unlock()
}

func newCrossing(t *testing.T, opts gatewaysim.Options) *crossing {
	t.Helper()
	c := &crossing{world: newWorld(t, opts), front: &front{}, device: newKey(t, seal.X25519), told: make(chan struct{})}
	server := httptest.NewServer(c.front)
	t.Cleanup(server.Close)
	c.front.set(c.start(t, seal.NewRing(c.key)))
	c.Client = c.client(t, server.URL)
	c.opts = queue.Options{Path: filepath.Join(t.TempDir(), "outbox.db"), Keys: seal.NewRing(c.device), Relay: c.key.Public()}
	c.queue = queuetest.OpenWith(t, c.opts)
	return c
}

// start is another process of the relay.
func (c *crossing) start(t *testing.T, keys *seal.Ring) *relay.Relay {
	t.Helper()
	return newRelay(t, relay.Options{GatewayURL: c.URL, Keys: keys, Client: &http.Client{Transport: c.tap}})
}

// put captures for a session, and returns a copy of the images.
func (c *crossing) put(t *testing.T, s *kiosk.Submission) map[kiosk.Document][]byte {
	t.Helper()
	images := map[kiosk.Document][]byte{}
	for d, b := range s.Images {
		images[d] = bytes.Clone(b)
	}
	if err := c.queue.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Erase()
	return images
}

// capture is the n-th attempt of session 1, without a token.
func (c *crossing) capture(n int) *kiosk.Submission {
	s := queuetest.Submission(1, 1)
	s.Record, s.Attempt, s.AttemptsLeft = kiosk.RecordID("session-1-"+string(rune('0'+n))), n, 3-n
	s.Token, s.Images = "", maps.Clone(c.images)
	for d, b := range s.Images {
		s.Images[d] = bytes.Clone(b)
	}
	return s
}

// deliver runs the real deliverer until the test ends.
func (c *crossing) deliver(t *testing.T) {
	t.Helper()
	p := deliver.StandardPolicy()
	p.Base, p.Most, p.Least, p.Person = time.Millisecond, 5*time.Millisecond, time.Microsecond, time.Millisecond
	d, err := deliver.New(deliver.Options{
		Outbox: c.queue, Gateway: c.Client, Partner: c.Client, Next: gateway.Next,
		Policy: p, Backoff: func(int) time.Duration { return time.Millisecond },
		Emit: func(e kiosk.Event) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e)
			close(c.told)
			c.told = make(chan struct{})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("deliver: %v", err)
		}
	})
}

// until waits for an event.
func (c *crossing) until(t *testing.T, kind kiosk.EventKind, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		for _, e := range c.events {
			if e.Kind == kind && (text == "" || e.Text == text) {
				c.mu.Unlock()
				return
			}
		}
		told, story := c.told, c.events
		c.mu.Unlock()
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatalf("no event %s %s among %v", kind, text, story)
		}
	}
}

// arrived holds what the gateway has against what was captured.
func (c *crossing) arrived(t *testing.T, images map[kiosk.Document][]byte, metadata string) {
	t.Helper()
	confirmed := c.Sim.Confirmed()
	if len(confirmed) == 0 {
		t.Fatal("nothing was confirmed")
	}
	last := confirmed[len(confirmed)-1]
	if last.Times != 1 {
		t.Errorf("the confirmation took effect %d times, want once", last.Times)
	}
	for d, img := range images {
		sum := sha256.Sum256(img)
		if got := last.Documents[string(d)]; got.SHA256 != hex.EncodeToString(sum[:]) || got.Size != int64(len(img)) {
			t.Errorf("%s at the gateway is not bit for bit what was captured", d)
		}
	}
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	var body struct{ Metadata json.RawMessage }
	if err := json.Unmarshal(c.tap.confirm[len(c.tap.confirm)-1], &body); err != nil || string(body.Metadata) != metadata {
		t.Errorf("metadata at the gateway are %s (%v), want %s", body.Metadata, err, metadata)
	}
}

func TestACaptureCrossesTheRelayOnce(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	s := c.capture(1)
	images := c.put(t, s)
	c.deliver(t)
	c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
	c.arrived(t, images, string(s.Metadata))
	if n := len(c.Sim.Confirmed()); n != 1 {
		t.Errorf("%d submissions were confirmed, want 1", n)
	}
}

// TestFaultsOnBothSidesOfTheRelayAreOutlasted has the gateway fail behind the
// relay in every way that is no reason to give a record up.
func TestFaultsOnBothSidesOfTheRelayAreOutlasted(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		"all=503x5", "all=resetx7", "urls=html,urls=garbage,status=html,confirm=garbage", "upload=403x2,upload=resetx3,upload=lostx2",
		"confirm=lostx3,confirm=500", "upload=500x4,status=500x4", "urls=401,status=401", "confirm=429,urls=huge",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			c := newCrossing(t, gatewaysim.Options{Faults: strings.ReplaceAll(script, ",", " ")})
			s := c.capture(1)
			images := c.put(t, s)
			c.deliver(t)
			c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
			c.arrived(t, images, string(s.Metadata))
			if n := len(c.Sim.Confirmed()); n != 1 {
				t.Errorf("%d submissions were confirmed, want 1", n)
			}
		})
	}
}

func TestARetryCrossesTheRelay(t *testing.T) {
	t.Parallel()
	live := float32(0.1)
	var mu sync.Mutex
	c := newCrossing(t, gatewaysim.Options{FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
		mu.Lock()
		defer mu.Unlock()
		return gatewaysim.Face{Faces: 1, Live: live}, nil
	}})
	c.put(t, c.capture(1))
	c.deliver(t)
	c.until(t, kiosk.EventSettled, string(kiosk.Retry))
	mu.Lock()
	live = 0.9
	mu.Unlock()
	s := c.capture(2)
	s.Images[kiosk.Selfie] = picture(t, 9)
	s.Metadata = json.RawMessage(`{"attempt":2}`)
	images := c.put(t, s)
	c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
	c.arrived(t, images, `{"attempt":2}`)
	if n := len(c.Sim.Confirmed()); n != 2 {
		t.Errorf("%d submissions were confirmed, want one for each attempt", n)
	}
}

func TestAnExpiredTokenIsRenewedAndTheSameCaptureSent(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	s := c.capture(1)
	token, err := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: s.CorrelationID, UserID: s.UserID, Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	c.now.pass(61 * 24 * time.Hour)
	s.Token = token.Value
	images := c.put(t, s)
	c.deliver(t)
	c.until(t, kiosk.EventToken, "")
	c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
	c.arrived(t, images, string(s.Metadata))
}

// TestARelayMayRestartAtAnyCall stops the relay when it has answered a call,
// and another one takes its place a little later: with the same key, or with a
// new one that knows the old, which makes the upload URLs strange to it.
func TestARelayMayRestartAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, at := range []struct {
		name string
		call int // answered until then
	}{{"after the URLs", 1}, {"between the images", 2}, {"before the confirmation", 3}, {"after the confirmation", 4}} {
		for _, rotated := range []bool{false, true} {
			name, keys := at.name, func(c *crossing) *seal.Ring { return seal.NewRing(c.key) }
			if rotated {
				name, keys = name+" with a new key", func(c *crossing) *seal.Ring { return seal.NewRing(newKey(t, seal.X25519), c.key) }
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := newCrossing(t, gatewaysim.Options{})
				fresh := c.start(t, keys(c))
				calls := 0
				c.front.after = func(*http.Request) {
					c.front.mu.Lock()
					defer c.front.mu.Unlock()
					if calls++; calls == at.call {
						c.front.relay = nil
					}
				}
				s := c.capture(1)
				images := c.put(t, s)
				c.deliver(t)
				c.until(t, kiosk.EventDeferred, "")
				c.front.set(fresh)
				c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
				c.arrived(t, images, string(s.Metadata))
				if n := len(c.Sim.Confirmed()); n != 1 {
					t.Errorf("%d submissions were confirmed, want 1", n)
				}
			})
		}
	}
}

// TestARelayWithoutTheKeyCostsNoCapture is a relay whose operator lost or mixed
// up a key, and finds it again.
func TestARelayWithoutTheKeyCostsNoCapture(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	right := c.front.relay
	c.front.set(c.start(t, seal.NewRing(newKey(t, seal.X25519))))
	s := c.capture(1)
	images := c.put(t, s)
	c.deliver(t)
	c.until(t, kiosk.EventDeferred, "store_unavailable")
	c.front.set(right)
	c.until(t, kiosk.EventSettled, string(kiosk.ExitSuccess))
	c.arrived(t, images, string(s.Metadata))
}

// TestAKioskInDirectModeSendsNoFaceThroughARelay wants nothing of a plain
// capture to come to the gateway by a relay.
func TestAKioskInDirectModeSendsNoFaceThroughARelay(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	o := c.opts
	o.Path, o.Relay = filepath.Join(t.TempDir(), "outbox.db"), nil
	c.queue = queuetest.OpenWith(t, o)
	c.put(t, c.capture(1))
	c.deliver(t)
	c.until(t, kiosk.EventDeferred, "store_unavailable")
	for _, ev := range c.Sim.Events() {
		if ev.Call == "upload" || ev.Call == "confirm" {
			t.Errorf("the gateway heard %s", ev.Call)
		}
	}
	if pending, err := c.queue.Pending(t.Context()); err != nil || len(pending) != 1 {
		t.Errorf("pending = %v, %v; want the capture kept", pending, err)
	}
}

// TestWhoStealsTheKioskReadsNoEvidence opens all that lies on a kiosk with all
// keys that lie there.
func TestWhoStealsTheKioskReadsNoEvidence(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	s := c.capture(1)
	images := c.put(t, s)
	canary := "metadata-canary-1"

	if err := c.queue.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(c.opts.Path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(c.opts.Path), f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, images[kiosk.Selfie][100:132]) || bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s holds evidence in the clear", f.Name())
		}
	}

	// With device key and epoch keys the outbox opens; what comes out is sealed.
	c.opts.Relay = nil // the thief's own configuration
	thief := queuetest.OpenWith(t, c.opts)
	job, err := thief.Job(t.Context(), s.Record)
	if err != nil {
		t.Fatal(err)
	}
	if job.CorrelationID != s.CorrelationID { // which is why this is no empty test
		t.Errorf("the thief does not even read the correlation id")
	}
	var sealed struct {
		Metadata []byte `json:"livekiosk_sealed"`
	}
	if err := json.Unmarshal(job.Metadata, &sealed); err != nil || strings.Contains(string(job.Metadata), canary) {
		t.Fatalf("the thief's metadata are %s (%v), want an envelope", job.Metadata, err)
	}
	parts := map[string][]byte{"metadata": sealed.Metadata}
	for _, d := range kiosk.Documents() {
		if parts["image/"+string(d)], err = thief.Image(t.Context(), s.Record, d, new([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	for name, envelope := range parts {
		plain := []byte(s.Metadata)
		if d, is := strings.CutPrefix(name, "image/"); is {
			plain = images[kiosk.Document(d)]
		}
		if bytes.Contains(envelope, plain[:min(len(plain), 16)]) {
			t.Errorf("%s lies there in the clear", name)
		}
		if _, _, err := seal.OpenEnvelope(c.device, s.CorrelationID, bytes.Clone(envelope)); err == nil {
			t.Errorf("%s opens with the device's key", name)
		}
		// Nor if it is made out to be for the device.
		forged := bytes.Replace(envelope, []byte(c.key.Fingerprint()), []byte(c.device.Fingerprint()), 1)
		if _, _, err := seal.OpenEnvelope(c.device, s.CorrelationID, forged); err == nil {
			t.Errorf("%s opens with the device's key under another name", name)
		}
		b, opened, err := seal.OpenEnvelope(c.key, s.CorrelationID, bytes.Clone(envelope))
		if err != nil || !bytes.Equal(opened, plain) || b.Part != name {
			t.Errorf("%s with the relay's key: %s, %v; want what was captured", name, b.Part, err)
		}
	}
}

// TestWhoStealsTheKioskGetsNoEvidenceFromTheRelay has a thief with tokens and
// envelopes speak to the relay: the images go to the gateway, and none back.
func TestWhoStealsTheKioskGetsNoEvidenceFromTheRelay(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, gatewaysim.Options{})
	s := c.capture(1)
	c.put(t, s)
	token, err := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: s.CorrelationID, UserID: s.UserID, Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	own, err := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "thief", UserID: "thief", Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := c.queue.Image(t.Context(), s.Record, kiosk.Selfie, new([]byte))
	if err != nil {
		t.Fatal(err)
	}
	// A session of the thief's own: it is another person's envelope.
	targets, err := c.Targets(t.Context(), kiosk.Credentials{Token: own.Value, CorrelationID: "thief", Session: "s"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: bytes.Clone(envelope)})
	if g := failure(t, err); g.Cause != "RelayCannotOpen" {
		t.Errorf("in a session of the thief's own: %v, want RelayCannotOpen", err)
	}
	// The name of the right session, with a token that is not for it.
	_, err = c.Targets(t.Context(), kiosk.Credentials{Token: own.Value, CorrelationID: s.CorrelationID, Session: "s"})
	if g := failure(t, err); g.Status/100 != 4 {
		t.Errorf("with a token for another session: %v, want the gateway's refusal", err)
	}
	// Any answer of the relay's to the right session.
	targets, err = c.Targets(t.Context(), kiosk.Credentials{Token: token.Value, CorrelationID: s.CorrelationID, Session: "s"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, targets.Documents[kiosk.Selfie].URL, bytes.NewReader(envelope))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if resp.StatusCode != http.StatusOK || resp.ContentLength > 0 {
		t.Errorf("upload = %d with %d bytes, want 200 and nothing", resp.StatusCode, resp.ContentLength)
	}
	raw, err := base64.RawURLEncoding.DecodeString(filepath.Base(targets.Documents[kiosk.Selfie].URL))
	if err != nil || bytes.Contains(raw, []byte("http")) || bytes.Contains(raw, []byte(s.CorrelationID)) {
		t.Errorf("the upload URL tells what it stands for (%v)", err)
	}
}
