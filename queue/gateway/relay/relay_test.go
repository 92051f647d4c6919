package relay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// A tap is the way from a relay to the gateway, and remembers what went there.
type tap struct {
	mu      sync.Mutex
	headers []http.Header
	confirm [][]byte // bodies
}

// RoundTrip implements http.RoundTripper.
func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.headers = append(p.headers, r.Header.Clone())
	p.mu.Unlock()
	if r.Method == http.MethodPut && r.URL.Path == "/coe/v1/submissions/urls" {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.confirm = append(p.confirm, b)
		p.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// world is a kiosk's real client, the relay, and the strict simulator behind
// it, over loopback.
type world struct {
	*partnertest.World
	*gateway.Client // by the relay

	direct *gateway.Client
	relay  *httptest.Server
	key    *seal.Key
	device string                    // fingerprint of the kiosk's key
	images map[kiosk.Document][]byte // of every session
	tap    *tap
	log    *lines
	now    *clock
}

// lines is a log that several goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// clock is the simulator's.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newKey(tb testing.TB, kem seal.KEM) *seal.Key {
	tb.Helper()
	k, err := seal.Generate(kem)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	w := &world{key: newKey(t, seal.X25519), device: newKey(t, seal.X25519).Fingerprint(), tap: &tap{}, log: &lines{}, now: &clock{at: time.Now()}}
	w.images = map[kiosk.Document][]byte{kiosk.Selfie: picture(t, 1), kiosk.AdditionalSelfie: picture(t, 2)}
	opts.Now = w.now.read
	w.World = partnertest.New(t, opts)
	w.relay = w.serve(t, seal.NewRing(w.key))
	w.Client, w.direct = w.client(t, w.relay.URL), w.client(t, w.URL)
	return w
}

// serve starts a relay with keys.
func (w *world) serve(t *testing.T, keys *seal.Ring) *httptest.Server {
	t.Helper()
	r, err := relay.New(relay.Options{
		GatewayURL: w.URL, Keys: keys, Client: &http.Client{Transport: w.tap},
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return server
}

func (w *world) client(t *testing.T, root string) *gateway.Client {
	t.Helper()
	c, err := gateway.New(gateway.Options{GatewayURL: root, PartnerURL: w.PartnerURL, Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) initiate(t *testing.T, correlation string) kiosk.Credentials {
	t.Helper()
	token, err := w.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: correlation, UserID: "u-" + correlation, Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	return kiosk.Credentials{Token: token.Value, CorrelationID: correlation, Session: "s-1"}
}

// part is where a part of the session's first capture belongs.
func (w *world) part(correlation, name string) seal.Binding {
	return seal.Binding{Format: 1, Attempt: 1, Record: "r-1", Correlation: correlation, Device: w.device, Part: name}
}

func (w *world) envelope(t *testing.T, b seal.Binding, plaintext []byte) []byte {
	t.Helper()
	return envelope(t, w.key.Public(), b, plaintext)
}

func envelope(tb testing.TB, pub *seal.Public, b seal.Binding, plaintext []byte) []byte {
	tb.Helper()
	e, err := seal.SealEnvelope(pub, b, plaintext)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// upload brings a session to the point where it can be confirmed, and returns
// the submission.
func (w *world) upload(t *testing.T, who kiosk.Credentials) string {
	t.Helper()
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range kiosk.Documents() {
		up := kiosk.Upload{Target: targets.Documents[d], JPEG: w.envelope(t, w.part(who.CorrelationID, "image/"+string(d)), w.images[d])}
		if err := w.Upload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
	}
	return targets.SubmissionID
}

// metadata is what the queue sends of sealed metadata.
func metadata(envelope []byte) json.RawMessage {
	return json.RawMessage(`{"livekiosk_sealed":"` + base64.StdEncoding.EncodeToString(envelope) + `"}`)
}

// picture returns a JPEG that the simulator takes for a selfie.
func picture(tb testing.TB, seed byte) []byte {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(img.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func failure(t *testing.T, err error) *kiosk.GatewayError {
	t.Helper()
	var g *kiosk.GatewayError
	if !errors.As(err, &g) {
		t.Fatalf("err = %v (%T), want a *kiosk.GatewayError", err, err)
	}
	return g
}

func TestASealedSessionIsVerified(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c-1")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	for d, target := range targets.Documents {
		if !strings.HasPrefix(target.URL, w.relay.URL+"/") || strings.Contains(target.URL, "X-Amz") {
			t.Errorf("%s is put to %s, want a URL of the relay's that tells nothing", d, target.URL)
		}
		if !relay.Uploads(target.URL) {
			t.Errorf("%s is not taken for an upload URL of a relay's", target.URL)
		}
		if target.ExpiresIn != 10*time.Minute {
			t.Errorf("upload URL lives %v, want the gateway's 10m", target.ExpiresIn)
		}
	}
	straight, err := w.direct.Targets(t.Context(), who)
	if err != nil || relay.Uploads(straight.Documents[kiosk.Selfie].URL) {
		t.Errorf("%s (%v) is taken for an upload URL of a relay's", straight.Documents[kiosk.Selfie].URL, err)
	}
	id := w.upload(t, who)
	plain := []byte(`{"review":false,"secret":"m3ta"}`)
	if err := w.Confirm(t.Context(), who, id, metadata(w.envelope(t, w.part("c-1", "metadata"), plain))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sim.Await(t.Context(), func(ev gatewaysim.Event) bool { return ev.Call == "verdict" && ev.Submission == id }); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(t.Context(), who, id)
	if err != nil || s.Status != kiosk.StatusCompleted || s.Approved == nil || !*s.Approved {
		t.Fatalf("status = %+v, %v; want completed and approved", s, err)
	}

	confirmed := w.Sim.Confirmed()
	if len(confirmed) != 1 {
		t.Fatalf("%d submissions were confirmed, want 1", len(confirmed))
	}
	for d, img := range w.images {
		sum := sha256.Sum256(img)
		if got := confirmed[0].Documents[string(d)]; got.SHA256 != hex.EncodeToString(sum[:]) || got.Size != int64(len(img)) {
			t.Errorf("%s at the gateway is not the image that was captured", d)
		}
	}
	var body struct {
		SubmissionID string          `json:"submissionId"`
		Metadata     json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(w.tap.confirm[0], &body); err != nil || body.SubmissionID != id || !bytes.Equal(body.Metadata, plain) {
		t.Errorf("gateway was told %s (%v), want submission %s with the plain metadata", w.tap.confirm[0], err, id)
	}
	for _, h := range w.tap.headers {
		for name := range h {
			switch name {
			case "X-Onekyc-Token", "X-Partner-Session-Id", "X-Sdk-Session-Id", "Accept", "Content-Type":
			default:
				t.Errorf("gateway was told the header %s", name)
			}
		}
	}
	w.silent(t, who.Token, "c-1", "X-Amz", "m3ta", path.Base(targets.Documents[kiosk.Selfie].URL))
}

// fault scripts what goes wrong next, and nothing else.
func (w *world) fault(t *testing.T, script string) {
	t.Helper()
	for _, method := range []string{http.MethodDelete, http.MethodPost} {
		req, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/sim/faults", strings.NewReader(script))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode/100 != 2 {
			t.Fatalf("fault %s: HTTP %d", script, resp.StatusCode)
		}
	}
}

// silent fails if the log tells one of the secrets.
func (w *world) silent(t *testing.T, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(w.log.String(), s) {
			t.Errorf("the log tells %q", s)
		}
	}
}

func TestWhatCannotBeOpenedIsKeptByTheKiosk(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	whole := w.images[kiosk.Selfie]
	good := w.envelope(t, w.part("c", "image/SELFIE"), whole)
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	for name, test := range map[string]struct {
		body  []byte
		cause string
	}{
		"a plain image":                       {whole, "RelayWantsSealed"},
		"sealed for another relay":            {envelope(t, newKey(t, seal.X25519).Public(), w.part("c", "image/SELFIE"), whole), "RelayCannotOpen"},
		"sealed for another person's session": {w.envelope(t, w.part("other", "image/SELFIE"), whole), "RelayCannotOpen"},
		"another document":                    {w.envelope(t, w.part("c", "image/ADDITIONAL_SELFIE"), whole), "RelayWrongPart"},
		"metadata":                            {w.envelope(t, w.part("c", "metadata"), whole), "RelayWrongPart"},
		"a changed byte":                      {changed, "RelayCannotOpen"},
		"an envelope that was cut short":      {good[:len(good)/2], "RelayCannotOpen"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.Sim.Events())
			g := failure(t, w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: bytes.Clone(test.body)}))
			// Of this disposition the images are kept, and tried again.
			if g.Disposition != kiosk.RetryLater || g.Status != http.StatusInternalServerError || g.Cause != test.cause {
				t.Errorf("upload = %v (%s), want 500 %s, later", g, g.Disposition, test.cause)
			}
			if after := len(w.Sim.Events()); after != before {
				t.Errorf("the gateway heard of it")
			}
		})
	}
}

func TestAnImageThatNoGatewayTakesIsCapturedAnew(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{
		"a byte too many inside":        4<<20 + 1,
		"an envelope that is too large": 4<<20 + 64<<10,
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.Sim.Events())
			body := w.envelope(t, w.part("c", "image/SELFIE"), make([]byte, size))
			g := failure(t, w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: body}))
			if g.Disposition != kiosk.Recapture || g.Cause != "EntityTooLarge" {
				t.Errorf("upload = %v (%s), want 400 EntityTooLarge, recapture", g, g.Disposition)
			}
			if after := len(w.Sim.Events()); after != before {
				t.Error("the gateway heard of it")
			}
		})
	}
	largest := w.envelope(t, w.part("c", "image/SELFIE"), make([]byte, 4<<20))
	if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: largest}); err != nil {
		t.Errorf("an image of 4 MiB: %v", err)
	}
}

func TestAConfirmationThatDoesNotFitGoesNoFurther(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	id := w.upload(t, who)
	other := w.part("c", "metadata")
	other.Record, other.Attempt = "r-2", 2
	foreign := w.part("c", "metadata")
	foreign.Device = newKey(t, seal.X25519).Fingerprint()
	for name, test := range map[string]struct {
		metadata json.RawMessage
		status   int
		cause    string
		then     kiosk.Disposition
	}{
		"plain metadata":              {json.RawMessage(`{"review":false}`), 500, "RELAY_WANTS_SEALED", kiosk.RetryLater},
		"plain beside sealed ones":    {json.RawMessage(`{"livekiosk_sealed":"bGl2","review":false}`), 500, "RELAY_WANTS_SEALED", kiosk.RetryLater},
		"a list":                      {json.RawMessage(`[1]`), 500, "RELAY_WANTS_SEALED", kiosk.RetryLater},
		"no base64":                   {json.RawMessage(`{"livekiosk_sealed":"*"}`), 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
		"a number in place of text":   {json.RawMessage(`{"livekiosk_sealed":7}`), 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
		"no envelope":                 {metadata([]byte("metadata")), 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
		"another session's":           {metadata(w.envelope(t, w.part("d", "metadata"), []byte(`{}`))), 500, "RELAY_CANNOT_OPEN", kiosk.RetryLater},
		"an image in their place":     {metadata(w.envelope(t, w.part("c", "image/SELFIE"), []byte(`{}`))), 500, "RELAY_WRONG_PART", kiosk.RetryLater},
		"what is no JSON":             {metadata(w.envelope(t, w.part("c", "metadata"), []byte(`{`))), 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
		"those of another capture":    {metadata(w.envelope(t, other, []byte(`{}`))), 400, "RELAY_PARTS_DISAGREE", kiosk.Final},
		"those of another kiosk":      {metadata(w.envelope(t, foreign, []byte(`{}`))), 400, "RELAY_PARTS_DISAGREE", kiosk.Final},
		"more than a kiosk ever says": {metadata(w.envelope(t, w.part("c", "metadata"), bytes.Repeat([]byte("1"), 512<<10))), 400, "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
	} {
		t.Run(name, func(t *testing.T) {
			g := failure(t, w.Confirm(t.Context(), who, id, test.metadata))
			if g.Status != test.status || g.Cause != test.cause || g.Disposition != test.then {
				t.Errorf("confirm = %v (%s), want %d %s, %s", g, g.Disposition, test.status, test.cause, test.then)
			}
		})
	}
	if n := len(w.tap.confirm); n != 0 {
		t.Errorf("%d confirmations went to the gateway, want none", n)
	}
	if err := w.Confirm(t.Context(), who, id, metadata(w.envelope(t, w.part("c", "metadata"), []byte(`{}`)))); err != nil {
		t.Errorf("the right ones: %v", err)
	}
}

func TestImagesOfTwoCapturesAreNotConfirmedAsOne(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	id := w.upload(t, who)
	targets, err := w.Targets(t.Context(), who)
	if err != nil || targets.SubmissionID != id {
		t.Fatalf("targets = %s, %v; want the same submission again", targets.SubmissionID, err)
	}
	second := func(name string) seal.Binding {
		b := w.part("c", name)
		b.Record, b.Attempt = "r-2", 2
		return b
	}
	put := func(d kiosk.Document) {
		t.Helper()
		up := kiosk.Upload{Target: targets.Documents[d], JPEG: w.envelope(t, second("image/"+string(d)), picture(t, 7))}
		if err := w.Upload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
	}
	put(kiosk.Selfie)
	for name, m := range map[string]json.RawMessage{
		"the second's metadata": metadata(w.envelope(t, second("metadata"), []byte(`{}`))),
		"no metadata":           nil,
	} {
		if g := failure(t, w.Confirm(t.Context(), who, id, m)); g.Cause != "RELAY_PARTS_DISAGREE" {
			t.Errorf("%s, with one image of each: %v, want RELAY_PARTS_DISAGREE", name, g)
		}
	}
	put(kiosk.AdditionalSelfie)
	if err := w.Confirm(t.Context(), who, id, metadata(w.envelope(t, second("metadata"), []byte(`{}`)))); err != nil {
		t.Errorf("once both images are the second's: %v", err)
	}
}

func TestAnUploadURLThatIsNotGoodAsksForNewOnes(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	there := targets.Documents[kiosk.Selfie].URL
	stranger := w.serve(t, seal.NewRing(newKey(t, seal.X25519)))
	for name, u := range map[string]string{
		"of another relay":    stranger.URL + strings.TrimPrefix(there, w.relay.URL),
		"one that is made up": w.relay.URL + "/relay/v1/uploads/" + strings.Repeat("A", 300),
		"a changed one":       there[:len(there)-8] + "AAAAAAAA",
		"an empty one":        w.relay.URL + "/relay/v1/uploads/x",
		"an endless one":      there + strings.Repeat("A", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			g := failure(t, w.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: u}, JPEG: w.envelope(t, w.part("c", "image/SELFIE"), picture(t, 1))}))
			if g.Disposition != kiosk.NewURLs || g.Status != http.StatusForbidden {
				t.Errorf("upload = %v (%s), want 403 and new URLs", g, g.Disposition)
			}
		})
	}
	t.Run("one that expired at the store", func(t *testing.T) {
		w.now.pass(10*time.Minute + time.Second)
		g := failure(t, w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: w.envelope(t, w.part("c", "image/SELFIE"), picture(t, 1))}))
		if g.Disposition != kiosk.NewURLs || g.Status != http.StatusForbidden || g.Cause != "AccessDenied" {
			t.Errorf("upload = %v (%s), want the store's 403 AccessDenied and new URLs", g, g.Disposition)
		}
	})
}

func TestAnUploadURLOutlivesTheRelay(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	w.relay.Close()
	again := w.serve(t, seal.NewRing(w.key))
	for _, d := range kiosk.Documents() {
		target := kiosk.Target{URL: again.URL + strings.TrimPrefix(targets.Documents[d].URL, w.relay.URL)}
		if err := w.Upload(t.Context(), kiosk.Upload{Target: target, JPEG: w.envelope(t, w.part("c", "image/"+string(d)), picture(t, 1))}); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	// What it does not know any more it lets pass.
	last := w.serve(t, seal.NewRing(w.key))
	if err := w.client(t, last.URL).Confirm(t.Context(), who, targets.SubmissionID, metadata(w.envelope(t, w.part("c", "metadata"), []byte(`{}`)))); err != nil {
		t.Errorf("confirm: %v", err)
	}
}

func TestWhatWasSealedForAnOlderKeyStillOpens(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	young := newKey(t, seal.Hybrid)
	w.Client = w.client(t, w.serve(t, seal.NewRing(young, w.key)).URL)
	id := w.upload(t, who) // for the old one
	m := metadata(envelope(t, young.Public(), w.part("c", "metadata"), []byte(`{}`)))
	if err := w.Confirm(t.Context(), who, id, m); err != nil {
		t.Errorf("confirm with metadata for the new key: %v", err)
	}
}

// TestTheGatewaysFailuresComeThrough makes each call directly and by the relay,
// and wants the same to come of it.
func TestTheGatewaysFailuresComeThrough(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	for _, call := range []string{"urls", "upload", "confirm", "status"} {
		for _, fault := range []string{"400", "401", "403", "404", "409", "422", "429/7s", "500", "503/9s", "503"} {
			t.Run(call+"="+fault, func(t *testing.T) {
				c := "c-" + call + fault[:3] + fault[len(fault)-1:]
				who := w.initiate(t, c)
				id := w.upload(t, who)
				ask := func(cl *gateway.Client, sealed bool) *kiosk.GatewayError {
					t.Helper()
					targets, err := cl.Targets(t.Context(), who)
					if call != "urls" && err != nil {
						t.Fatal(err)
					}
					w.fault(t, call+"="+fault)
					img, m := w.images[kiosk.Selfie], json.RawMessage(`{}`)
					if sealed {
						img, m = w.envelope(t, w.part(c, "image/SELFIE"), img), metadata(w.envelope(t, w.part(c, "metadata"), m))
					}
					switch call {
					case "urls":
						_, err = cl.Targets(t.Context(), who)
					case "upload":
						err = cl.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: img})
					case "confirm":
						err = cl.Confirm(t.Context(), who, id, m)
					case "status":
						_, err = cl.Status(t.Context(), who, id)
					}
					return failure(t, err)
				}
				want, got := ask(w.direct, false), ask(w.Client, true)
				if fmt.Sprint(got.Status, got.Cause, got.Disposition, got.Trouble, got.RetryAfter) != fmt.Sprint(want.Status, want.Cause, want.Disposition, want.Trouble, want.RetryAfter) {
					t.Errorf("by the relay %d %s, %s, %q, after %v; directly %d %s, %s, %q, after %v",
						got.Status, got.Cause, got.Disposition, got.Trouble, got.RetryAfter, want.Status, want.Cause, want.Disposition, want.Trouble, want.RetryAfter)
				}
			})
		}
	}
}

// TestAnOutageBehindTheRelayIsOne wants whatever is no answer of the gateway's
// to cost a kiosk nothing but time.
func TestAnOutageBehindTheRelayIsOne(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	for _, call := range []string{"urls", "upload", "confirm", "status"} {
		for _, fault := range []string{"reset", "lost", "html", "garbage", "huge", "reset-mid-body"} {
			if call == "upload" && fault == "lost" || call == "confirm" && fault == "lost" {
				continue // the same as reset, but that it took effect
			}
			t.Run(call+"="+fault, func(t *testing.T) {
				w.fault(t, "")
				c := "c-" + call + "-" + fault
				who := w.initiate(t, c)
				id := w.upload(t, who)
				targets, err := w.Targets(t.Context(), who)
				if err != nil {
					t.Fatal(err)
				}
				w.fault(t, call+"="+fault+"x3") // a connection that dies at once is tried anew
				switch call {
				case "urls":
					_, err = w.Targets(t.Context(), who)
				case "upload":
					err = w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: w.envelope(t, w.part(c, "image/SELFIE"), w.images[kiosk.Selfie])})
				case "confirm":
					err = w.Confirm(t.Context(), who, id, metadata(w.envelope(t, w.part(c, "metadata"), []byte(`{}`))))
				case "status":
					_, err = w.Status(t.Context(), who, id)
				}
				if g := failure(t, err); g.Disposition != kiosk.RetryLater || g.Trouble == kiosk.NoTrouble {
					t.Errorf("%v (%s, %q), want later and a trouble", g, g.Disposition, g.Trouble)
				}
			})
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var heard []string
	there := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard = append(heard, r.URL.Path) }))
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	a := ask(t, newRelay(t, relay.Options{GatewayURL: here.URL}), http.MethodGet, "/coe/v1/submissions/x/status", nil)
	if a.Code != http.StatusBadGateway || len(heard) > 0 {
		t.Errorf("status %d, and the other server heard %v; want 502 and nothing", a.Code, heard)
	}
}

func TestAnUploadURLToAnUnsafePlaceIsNotUsed(t *testing.T) {
	for name, there := range map[string]string{
		"plain http":         "http://store.example/x",
		"a password":         "https://u:p@store.example/x",
		"no URL":             "http://%zz",
		"another scheme":     "file:///etc/passwd",
		"one without an end": "https://store.example/" + strings.Repeat("x", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, relay.Options{Client: answering(http.StatusOK, `{"success":true,"data":{"submissionId":"s","documents":{"SELFIE":{"documentUrl":"`+there+`"}}}}`)})
			if a := ask(t, r, http.MethodGet, "/coe/v1/submissions/urls", nil); a.Code != http.StatusBadGateway || strings.Contains(a.Body.String(), "store.example") {
				t.Errorf("answered %d %s, want 502 without the URL", a.Code, a.Body)
			}
		})
	}
}

func TestOnlyTheUploadURLsOfAnAnswerChange(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"no documents":         {`{"success":true,"data":{"submissionId":"s","status":"COMPLETED","documents":{}}}`, `{"data":{"documents":{},"status":"COMPLETED","submissionId":"s"},"success":true}`},
		"a success that fails": {`{"success":false,"errors":[{"code":1}]}`, `{"success":false,"errors":[{"code":1}]}`},
		"unknown fields":       {`{"new":1,"success":true,"data":{"more":{"x":1.50},"documents":{"SELFIE":{"documentUrl":"https://s.example/x","x":[1]}}}}`, `{"data":{"documents":{"SELFIE":{"documentUrl":"URL","x":[1]}},"more":{"x":1.50}},"new":1,"success":true}`},
		"another spelling":     {`{"success":true,"data":{"documents":{"selfie":{"document_url":"https://s.example/x"}}}}`, `{"data":{"documents":{"selfie":{"document_url":"URL"}}},"success":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, relay.Options{Client: answering(http.StatusOK, test.body), BaseURL: "https://relay.example/at"})
			got := ask(t, r, http.MethodGet, "/coe/v1/submissions/urls", nil).Body.String()
			if before, rest, changed := strings.Cut(got, "https://relay.example/at/relay/v1/uploads/"); changed {
				_, after, _ := strings.Cut(rest, `"`)
				got = before + `URL"` + after
			}
			if got != test.want {
				t.Errorf("answer %s, want %s", got, test.want)
			}
		})
	}
}

func TestWhatIsNoCallIsNotFound(t *testing.T) {
	r := newRelay(t, relay.Options{Client: answering(http.StatusOK, `{}`)})
	for _, request := range []string{
		"GET /", "GET /coe/v1/submissions", "POST /coe-partner/v1/initiate-flow", "GET /v1/coe/partner/authentication",
		"DELETE /coe/v1/submissions/urls", "GET /sim/events",
	} {
		method, where, _ := strings.Cut(request, " ")
		if a := ask(t, r, method, where, nil); a.Code != http.StatusNotFound && a.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s = %d, want 404 or 405", request, a.Code)
		}
	}
}

func TestNoSubmissionIDLeadsToAnotherCall(t *testing.T) {
	for id, want := range map[string]string{
		"6f9c": "/coe/v1/submissions/6f9c/status", "a%2F..%2Fb": "/coe/v1/submissions/a%2F..%2Fb/status", "%2e%2e": "", "%2E": "",
		"a%3Fb=c": "/coe/v1/submissions/a%3Fb=c/status", "..%2F..%2Fx": "/coe/v1/submissions/..%2F..%2Fx/status",
	} {
		heard := ""
		network := answering(http.StatusOK, `{}`)
		r := newRelay(t, relay.Options{Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			heard = r.URL.RequestURI()
			return network.Transport.RoundTrip(r)
		})}})
		ask(t, r, http.MethodGet, "/coe/v1/submissions/"+id+"/status", nil)
		if heard != want {
			t.Errorf("%s: the gateway was asked for %q, want %q", id, heard, want)
		}
	}
}

func TestTheRelaysOwnAnswersTellNoTime(t *testing.T) {
	server := httptest.NewServer(newRelay(t, relay.Options{Client: answering(http.StatusOK, `{"success":true}`)}))
	defer server.Close()
	for where, want := range map[string]string{"/nothing": "", "/coe/v1/submissions/x/status": "Sat, 02 May 2026 10:00:00 GMT"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+where, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Date"); got != want {
			t.Errorf("%s has the date %q, want the gateway's, %q", where, got, want)
		}
	}
}

func TestOptionsThatCannotWorkAreNamed(t *testing.T) {
	keys := seal.NewRing(newKey(t, seal.X25519))
	for want, o := range map[string]relay.Options{
		"gateway URL: ": {GatewayURL: "http://gateway.example", Keys: keys},
		"base URL: ":    {GatewayURL: "https://gateway.example", BaseURL: "relay", Keys: keys},
		"keys: ":        {GatewayURL: "https://gateway.example"},
		"memory: ":      {GatewayURL: "https://gateway.example", Keys: keys, Memory: 4 << 20},
	} {
		if _, err := relay.New(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New = %v, want an error about %q", err, want)
		}
	}
	if _, err := relay.New(relay.Options{GatewayURL: "https://user:s3cret@gateway.example", Keys: keys}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("New = %v, want an error without the password", err)
	}
}

// newRelay returns a relay with a key of its own, where the options name none.
func newRelay(tb testing.TB, o relay.Options) *relay.Relay {
	tb.Helper()
	if o.Keys == nil {
		o.Keys = seal.NewRing(newKey(tb, seal.X25519))
	}
	if o.GatewayURL == "" {
		o.GatewayURL = "https://gateway.example"
	}
	r, err := relay.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func ask(tb testing.TB, h http.Handler, method, where string, body []byte) *httptest.ResponseRecorder {
	tb.Helper()
	a := httptest.NewRecorder()
	h.ServeHTTP(a, httptest.NewRequestWithContext(tb.Context(), method, where, bytes.NewReader(body)))
	return a
}

// A roundTrip is a network of one function.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a network in which everybody gives the same answer.
func answering(status int, body string) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{"Date": {"Sat, 02 May 2026 10:00:00 GMT"}, "Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	})}
}

// ticket returns the path of an upload URL for a correlation id.
func ticket(tb testing.TB, r *relay.Relay, correlation string) string {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/coe/v1/submissions/urls", nil)
	req.Header.Set("X-Partner-Session-Id", correlation)
	a := httptest.NewRecorder()
	r.ServeHTTP(a, req)
	var out struct {
		Data struct {
			Documents map[string]struct {
				URL string `json:"documentUrl"`
			} `json:"documents"`
		} `json:"data"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
		tb.Fatalf("%d %s: %v", a.Code, a.Body, err)
	}
	u, err := url.Parse(out.Data.Documents["SELFIE"].URL)
	if err != nil {
		tb.Fatal(err)
	}
	return u.Path
}

// targets answers call 3, and any upload with its status.
func targets(status int) *http.Client {
	urls := answering(http.StatusOK, `{"success":true,"data":{"submissionId":"s","documents":{"SELFIE":{"documentUrl":"https://store.example/x","expiryInSeconds":"600"}}}}`)
	store := answering(status, "")
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "store.example" {
			return store.Transport.RoundTrip(r)
		}
		return urls.Transport.RoundTrip(r)
	})}
}

// TestABodyTakesNoMemoryBeforeItComes: whoever reaches the relay can say how
// long a confirmation will be, on any number of connections.
func TestABodyTakesNoMemoryBeforeItComes(t *testing.T) {
	r, err := relay.New(relay.Options{GatewayURL: "https://gateway.example", Keys: seal.NewRing(newKey(t, seal.X25519))})
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []int64{-1, 512 << 10} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		req := httptest.NewRequest(http.MethodPut, "/coe/v1/submissions/urls", strings.NewReader("{"))
		req.ContentLength = said
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 300<<10 || w.Code != http.StatusBadRequest {
			t.Errorf("one byte of %d: %d, and took %d bytes", said, w.Code, took)
		}
	}
}
