package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
)

// world is the real client before the real simulator, over loopback.
type world struct {
	*gateway.Client
	*partnertest.World

	log *bytes.Buffer
	now *clock
}

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

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	w := &world{log: &bytes.Buffer{}, now: &clock{at: time.Now()}}
	opts.Now = w.now.read
	w.World = partnertest.New(t, opts)
	w.Client = client(t, w.URL, w.log)
	return w
}

// initiate returns the credentials of a new person.
func (w *world) initiate(t *testing.T, correlation string) kiosk.Credentials {
	t.Helper()
	token, err := w.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: correlation, UserID: "u-" + correlation, Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	return kiosk.Credentials{Token: token.Value, CorrelationID: correlation, Session: "s-1"}
}

// upload brings a session to the point where it can be confirmed.
func (w *world) upload(t *testing.T, who kiosk.Credentials) kiosk.Targets {
	t.Helper()
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range kiosk.Documents() {
		if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[d], JPEG: picture(t, 640, 480)}); err != nil {
			t.Fatal(err)
		}
	}
	return targets
}

// verdict polls until the kiosk has something to do.
func (w *world) verdict(t *testing.T, who kiosk.Credentials, id string) kiosk.SubmissionStatus {
	t.Helper()
	if _, err := w.Sim.Await(t.Context(), func(ev gatewaysim.Event) bool { return ev.Call == "verdict" && ev.Submission == id }); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(t.Context(), who, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// picture returns a grainy JPEG, which the simulator takes for a selfie if it
// is large enough.
func picture(tb testing.TB, width, height int) []byte {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	_, _ = rand.NewChaCha8([32]byte{1}).Read(img.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestAPersonIsVerified(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{PollsBeforeVerdict: 1})
	who := w.initiate(t, "c-1")
	targets := w.upload(t, who)
	if got := targets.Documents[kiosk.Selfie].ExpiresIn; got != 10*time.Minute {
		t.Errorf("upload URL lives %v, want 10m", got)
	}
	if err := w.Confirm(t.Context(), who, targets.SubmissionID, json.RawMessage(`{"review":false}`)); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(t.Context(), who, targets.SubmissionID)
	if err != nil || s.Status != kiosk.InProgress || gateway.Next(s, 2) != kiosk.PollAgain {
		t.Errorf("first status = %s, %v; want IN_PROGRESS and another poll", s.Status, err)
	}
	s, err = w.Status(t.Context(), who, targets.SubmissionID)
	for ; err == nil && s.Status == kiosk.InProgress; s, err = w.Status(t.Context(), who, targets.SubmissionID) {
		if t.Context().Err() != nil {
			t.Fatal("no verdict")
		}
	}
	if err != nil || s.Status != kiosk.StatusCompleted || s.Approved == nil || !*s.Approved {
		t.Fatalf("status = %+v, %v; want completed and approved", s, err)
	}
	if s.Documents[kiosk.Selfie] != "VERIFIED" || gateway.Next(s, 2) != kiosk.ExitSuccess {
		t.Errorf("selfie %s, next %s; want VERIFIED and EXIT_SUCCESS", s.Documents[kiosk.Selfie], gateway.Next(s, 2))
	}
	if strings.Contains(w.log.String(), who.Token) || strings.Contains(w.log.String(), "X-Amz") {
		t.Error("the log tells a token or an upload URL")
	}
}

func TestAnExpiredUserTokenAsksForANewOne(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	w.now.pass(61 * 24 * time.Hour)
	_, err := w.Targets(t.Context(), who)
	if g := failure(t, err); g.Disposition != kiosk.NewToken {
		t.Fatalf("after 61 days: %v (%s), want new_token", err, g.Disposition)
	}
	token, err := w.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "c", Locale: kiosk.English}) // whom, the partner knows
	if err != nil {
		t.Fatal(err)
	}
	who.Token = token.Value
	if _, err := w.Targets(t.Context(), who); err != nil {
		t.Errorf("with the renewed token: %v", err)
	}
}

func TestAnExpiredUploadURLAsksForNewOnes(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	w.now.pass(10*time.Minute + time.Second) // its stamps are whole seconds
	err = w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: picture(t, 640, 480)})
	if g := failure(t, err); g.Disposition != kiosk.NewURLs || g.Status != http.StatusForbidden {
		t.Errorf("after ten minutes: %v (%s), want 403 and new_urls", err, g.Disposition)
	}
}

func TestWhatIsNoSelfieIsCapturedAnew(t *testing.T) {
	whole := picture(t, 640, 480)
	for name, jpeg := range map[string][]byte{
		"too small a picture": picture(t, 639, 480),
		"a cut image":         whole[:len(whole)-100],
		"no image at all":     bytes.Repeat([]byte("selfie "), 8000),
		"too few bytes":       whole[:1000],
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gatewaysim.Options{})
			who := w.initiate(t, "c")
			targets := w.upload(t, who)
			if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: jpeg}); err != nil {
				t.Fatal(err)
			}
			err := w.Confirm(t.Context(), who, targets.SubmissionID, nil)
			if g := failure(t, err); g.Disposition != kiosk.Recapture {
				t.Errorf("confirm = %v (%s), want recapture", err, g.Disposition)
			}
		})
	}
}

func TestAMissingDocumentCannotBeConfirmed(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: picture(t, 640, 480)}); err != nil {
		t.Fatal(err)
	}
	err = w.Confirm(t.Context(), who, targets.SubmissionID, nil)
	if g := failure(t, err); g.Cause != "INVALID_UPLOAD_ARTIFACT" {
		t.Errorf("confirm = %v, want 422 INVALID_UPLOAD_ARTIFACT", err)
	}
}

func TestAThirdRejectionUsesUpTheQuota(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{
		FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
			return gatewaysim.Face{Faces: 1, Live: 0.1}, nil
		},
	})
	who := w.initiate(t, "c")
	seen := map[string]bool{}
	for attempt := range 3 {
		targets := w.upload(t, who)
		if seen[targets.SubmissionID] {
			t.Fatalf("attempt %d has the submission of an earlier one", attempt+1)
		}
		seen[targets.SubmissionID] = true
		if err := w.Confirm(t.Context(), who, targets.SubmissionID, nil); err != nil {
			t.Fatal(err)
		}
		s := w.verdict(t, who, targets.SubmissionID)
		if s.Approved == nil || *s.Approved {
			t.Fatalf("attempt %d: %+v, want not approved", attempt+1, s)
		}
		if got := gateway.Next(s, 2-attempt); (got == kiosk.Retry) != (attempt < 2) {
			t.Errorf("attempt %d: next is %s", attempt+1, got)
		}
	}
	_, err := w.Targets(t.Context(), who)
	if g := failure(t, err); g.Disposition != kiosk.Final || g.Cause != "SUBMISSION_QUOTA_EXCEEDED" {
		t.Errorf("fourth attempt: %v (%s), want 429 SUBMISSION_QUOTA_EXCEEDED, final", err, g.Disposition)
	}
}

func TestARepeatedConfirmationIsPolledOn(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets := w.upload(t, who)
	for i, want := range []kiosk.Disposition{"", kiosk.PollOn} {
		err := w.Confirm(t.Context(), who, targets.SubmissionID, nil)
		if want == "" && err != nil {
			t.Fatal(err)
		}
		if want != "" {
			if g := failure(t, err); g.Disposition != want {
				t.Errorf("confirmation %d: %v (%s), want %s", i+1, err, g.Disposition, want)
			}
		}
	}
}
