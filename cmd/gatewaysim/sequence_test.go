package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/gateway"
)

// picture is a JPEG of the size that the gateway takes, in the shape of noise.
func picture(t *testing.T, seed uint64) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 480, 640))
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range img.Pix {
		img.Pix[i] = byte(r.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 60}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A booth is a kiosk without a camera: the product's launch API and gateway
// client, and two pictures.
type booth struct {
	client   *gateway.Client
	pictures map[kiosk.Document][]byte
	events   *api.Events
	network  chan struct{} // closed when there is one

	mu      sync.Mutex
	results map[kiosk.SessionID]kiosk.Result
	failed  error
}

// Launch implements api.Launcher.
func (b *booth) Launch(ctx context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	id := kiosk.SessionID("session-" + l.CorrelationID)
	b.say(kiosk.Result{Session: id, CorrelationID: l.CorrelationID, Status: kiosk.Running}, kiosk.EventLaunched)
	go func() {
		if err := b.serve(context.WithoutCancel(ctx), id, l); err != nil {
			b.mu.Lock()
			b.failed = err
			b.mu.Unlock()
		}
	}()
	return id, nil
}

// Result implements api.Launcher.
func (b *booth) Result(id kiosk.SessionID) (kiosk.Result, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, known := b.results[id]
	return r, known
}

// Entries implements api.Queue.
func (b *booth) Entries(context.Context) ([]kiosk.Entry, error) { return nil, nil }

func (b *booth) say(r kiosk.Result, kind kiosk.EventKind) {
	b.mu.Lock()
	b.results[r.Session] = r
	b.mu.Unlock()
	e := kiosk.Event{Kind: kind, Session: r.Session, Text: string(r.Status)}
	if kind == kiosk.EventResult {
		e.Result = &r
	}
	b.events.Publish(e)
}

// serve is one session: saved offline, delivered later.
func (b *booth) serve(ctx context.Context, id kiosk.SessionID, l kiosk.Launch) error {
	r := kiosk.Result{Session: id, CorrelationID: l.CorrelationID, Status: kiosk.NotCompleted, Detail: kiosk.Saved}
	b.events.Publish(kiosk.Event{Kind: kiosk.EventPhase, Session: id, Text: "far"})
	b.say(r, kiosk.EventResult)
	<-b.network
	// The launch's token served its time; the kiosk asks for its own.
	token, err := b.client.UserToken(ctx, kiosk.TokenRequest{CorrelationID: l.CorrelationID, Locale: l.Locale})
	if err != nil {
		return err
	}
	who := kiosk.Credentials{Token: token.Value, CorrelationID: l.CorrelationID, Session: id}
	targets, err := b.client.Targets(ctx, who)
	if err != nil {
		return err
	}
	for _, d := range kiosk.Documents() {
		if err := b.client.Upload(ctx, kiosk.Upload{Target: targets.Documents[d], JPEG: b.pictures[d]}); err != nil {
			return err
		}
	}
	if err := b.client.Confirm(ctx, who, targets.SubmissionID, json.RawMessage(`{"attempt":1}`)); err != nil {
		return err
	}
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		status, err := b.client.Status(ctx, who, targets.SubmissionID)
		if err != nil {
			return err
		}
		switch action := gateway.Next(status, 2); action {
		case kiosk.PollAgain:
			continue
		case kiosk.ExitSuccess:
			b.say(kiosk.Result{Session: id, CorrelationID: l.CorrelationID, SubmissionID: targets.SubmissionID, Status: kiosk.Completed}, kiosk.EventResult)
			return nil
		default:
			return fmt.Errorf("next action %s", action)
		}
	}
}

// follow calls fn with the states of a session until it wants no more.
func (f frontEnd) follow(correlation string, fn func(state map[string]map[string]any) bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.root+"/v1/sessions/"+correlation+"/events", http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var state map[string]json.RawMessage
		if err := json.Unmarshal([]byte(data), &state); err != nil {
			f.t.Fatal(err)
		}
		parts := map[string]map[string]any{}
		for name, raw := range state {
			var part map[string]any
			if json.Unmarshal(raw, &part) == nil {
				parts[name] = part
			}
		}
		if fn(parts) {
			return
		}
	}
	f.t.Fatalf("the session's events end: %v", lines.Err())
}

// journal reads the events of one side.
func journal(t *testing.T, side, url string) (events []arrow) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	dec := json.NewDecoder(resp.Body)
	for {
		var e arrow
		if err := dec.Decode(&e); err == io.EOF {
			return events
		} else if err != nil {
			t.Fatal(err)
		}
		e.side = side
		events = append(events, e)
	}
}

// An arrow is an event of either journal.
type arrow struct {
	At       time.Time
	Call     string
	Status   int
	Kiosk    string
	Document string
	Result   string

	side string
}

func (a arrow) String() string {
	return strings.TrimRight(strings.Join([]string{a.side, a.Call, a.Document + a.Kiosk}, " "), " ")
}

func TestEveryArrowOfTheSequenceIsARealRequest(t *testing.T) {
	dir := t.TempDir()
	keys, references := filepath.Join(dir, "keys"), filepath.Join(dir, "references")
	if err := os.Mkdir(references, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(references, "customer-1.jpg"), picture(t, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "kiosk.sock")
	line, _ := program(t, "-state", filepath.Join(dir, "state"), "-partner-tls", keys, "-reference", references, "-kiosk", socket,
		"-judge-after", "50ms", "-callback-shuffle", "-callback-method", "PUT")

	// The kiosk: its own identity, the launch API on its socket.
	certificate, err := gateway.ClientCertificate(filepath.Join(keys, kioskCertFile), filepath.Join(keys, kioskKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	client, err := gateway.New(gateway.Options{
		GatewayURL: line.Gateway, PartnerURL: line.PartnerTLS, PartnerCAs: roots(t, line.CA), PartnerCertificate: certificate,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &booth{
		client: client, pictures: map[kiosk.Document][]byte{kiosk.Selfie: picture(t, 1), kiosk.AdditionalSelfie: picture(t, 2)},
		events: api.NewEvents(0), network: make(chan struct{}), results: map[kiosk.SessionID]kiosk.Result{},
	}
	listener, err := api.Listen(t.Context(), socket, api.StaffGroup)
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(api.Options{Launcher: b, Queue: b, Log: b.events, Status: func() api.Status { return api.Status{} }, Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})

	// The front end.
	f := frontEnd{t, line.Partner}
	var flow struct{ CorrelationID, Token string }
	if code := f.call("POST", "/v1/flows", `{"userId":"customer-1","locale":"id"}`, &flow); code != http.StatusCreated || flow.Token == "" {
		t.Fatalf("flow: %d", code)
	}
	var launched struct{ SessionID string }
	if code := f.call("POST", "/v1/sessions/"+flow.CorrelationID+"/launch", `{"locale":"id"}`, &launched); code != http.StatusAccepted {
		t.Fatalf("launch: %d", code)
	}
	var shown []string
	offline := true
	f.follow(flow.CorrelationID, func(state map[string]map[string]any) bool {
		if k := state["kiosk"]; k != nil {
			if s := fmt.Sprint(k["status"], " ", k["detailedErrorCode"]); !slices.Contains(shown, s) {
				shown = append(shown, s)
			}
			if offline {
				offline = false
				close(b.network)
			}
			return k["status"] == "COMPLETED" && state["gateway"]["status"] == "COMPLETED"
		}
		return false
	})
	if want := []string{"NOT_COMPLETED 2299", "COMPLETED <nil>"}; !slices.Equal(shown, want) {
		t.Errorf("the front end was shown %v, want %v", shown, want)
	}
	var details struct{ SubmissionID, Status, Result string }
	if code := f.call("GET", "/v1/submissions/"+flow.CorrelationID, "", &details); code != http.StatusOK || details.Status != "COMPLETED" || details.Result != "VALID" {
		t.Errorf("details: %d %+v", code, details)
	}
	if b.failed != nil {
		t.Error(b.failed)
	}

	all := append(journal(t, "gateway", line.Gateway+"/sim/events"), journal(t, "partner", line.Partner+"/events")...)
	slices.SortStableFunc(all, func(a, b arrow) int { return a.At.Compare(b.At) })
	var drawn []string
	for _, a := range all {
		if a.Status < 300 {
			drawn = append(drawn, a.String())
		}
	}
	// Each line is a chain of causes; an event is noted when its answer is made.
	for _, chain := range []string{
		"gateway partner_token, gateway flow, partner flow, partner launch, partner verdict",
		"partner flow, gateway flow, partner initiate sample-kiosk, gateway urls, gateway upload SELFIE, gateway upload ADDITIONAL_SELFIE, " +
			"gateway confirm, gateway status, partner verdict, gateway details, partner submission",
		"gateway confirm, partner reference, partner reference_image, gateway verdict, partner callback, gateway details",
	} {
		at := 0
		for want := range strings.SplitSeq(chain, ", ") {
			i := slices.Index(drawn[at:], want)
			if i < 0 {
				t.Errorf("%q does not follow in %s:\n%s", want, chain, strings.Join(drawn, "\n"))
				break
			}
			at += i + 1
		}
	}
}
