package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/seal"
)

// relayKey returns a relay's key and the file with its public half.
func (l *lab) relayKey() (*seal.Key, string) {
	l.t.Helper()
	k, err := seal.Generate(seal.X25519)
	if err != nil {
		l.t.Fatal(err)
	}
	return k, l.file("relay.pub", string(k.Public().PEM()))
}

func TestCheckConfigNamesWhatIsWrongWithTheRelay(t *testing.T) {
	const behind = "gateway_url = \"http://127.0.0.1:9\"\n"
	for _, tt := range []struct {
		name  string
		relay func(l *lab) string // what the configuration says of it
		code  int
		says  string
	}{
		{"nothing is wrong", func(l *lab) string {
			_, pub := l.relayKey()
			return fmt.Sprintf("[gateway]\nbase_url = \"http://127.0.0.1:8788\"\n[relay]\nkey_file = %q\ngateway_url = \"http://127.0.0.1:8787\"\n", pub)
		}, exitOK, "usable"},
		{"a key that is not there", func(*lab) string { return "[relay]\nkey_file = \"/nowhere/relay.pub\"\n" + behind }, exitConfig, "relay.key_file: open /nowhere/relay.pub"},
		{"a key that is none", func(l *lab) string {
			return fmt.Sprintf("[relay]\nkey_file = %q\n", l.file("relay.pub", "hunter2")) + behind
		}, exitConfig, "relay.key_file"},
		{"the relay's private key", func(l *lab) string {
			path := filepath.Join(l.t.TempDir(), "relay.key")
			if _, err := seal.Make(path, seal.X25519); err != nil {
				l.t.Fatal(err)
			}
			return fmt.Sprintf("[relay]\nkey_file = %q\n", path) + behind
		}, exitConfig, "is a private key"},
		{"this kiosk's own key", func(l *lab) string {
			l.release(l.hold())
			c := defaults()
			c.State.Dir = l.state
			ring, err := c.keys(false)
			if err != nil {
				l.t.Fatal(err)
			}
			return fmt.Sprintf("[relay]\nkey_file = %q\n", l.file("relay.pub", string(ring.Current().Public().PEM()))) + behind
		}, exitConfig, "this kiosk's own key"},
		{"a recorded face for who knows whom", func(l *lab) string {
			_, pub := l.relayKey()
			return fmt.Sprintf("[relay]\nkey_file = %q\n", pub)
		}, exitConfig, "relay.gateway_url: must say"},
		{"a gateway behind no relay", func(*lab) string { return "[relay]\ngateway_url = \"http://127.0.0.1:8787\"\n" }, exitConfig, "relay.key_file"},
		{"a relay that is the gateway", func(l *lab) string {
			_, pub := l.relayKey()
			return fmt.Sprintf("[gateway]\nbase_url = \"http://127.0.0.1:8788/\"\n[relay]\nkey_file = %q\ngateway_url = \"http://127.0.0.1:8788\"\n", pub)
		}, exitConfig, "relay's address"},
		{"a recorded face for a real gateway behind it", func(l *lab) string {
			_, pub := l.relayKey()
			return fmt.Sprintf("[relay]\nkey_file = %q\ngateway_url = \"https://gateway.example\"\n", pub)
		}, exitConfig, "relay.gateway_url: camera.source"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			var log bytes.Buffer
			config := l.file("c.toml", tt.relay(l))
			if got := run(t.Context(), []string{"-check-config", "-config", config, "-camera", "clip:empty", "-state", l.state, "-models", l.models}, &log); got != tt.code {
				t.Errorf("exit code %d, want %d\n%s", got, tt.code, log.String())
			}
			if !strings.Contains(log.String(), tt.says) || strings.Contains(log.String(), "hunter2") {
				t.Errorf("the log says %s\nwant %q in it, and nothing of the file", log.String(), tt.says)
			}
		})
	}
}

// TestADaemonThatCannotReadTheRelaysKeyEndsAsMisconfigured, with the code that
// keeps systemd from starting it again and from rebooting the board.
func TestADaemonThatCannotReadTheRelaysKeyEndsAsMisconfigured(t *testing.T) {
	l := newLab(t)
	var log bytes.Buffer
	config := l.file("c.toml", "[relay]\nkey_file = \"/nowhere/relay.pub\"\ngateway_url = \"http://127.0.0.1:9\"\n")
	if got := run(t.Context(), l.args("-config", config), &log); got != exitConfig || !strings.Contains(log.String(), "relay.key_file") {
		t.Errorf("exit code %d, want %d\n%s", got, exitConfig, log.String())
	}
}

// TestAKioskInRelayModeSaysSo also launches as a partner does that knows the
// gateway, and not that a relay is in between.
func TestAKioskInRelayModeSaysSo(t *testing.T) {
	l := newLab(t)
	key, pub := l.relayKey()
	config := l.file("c.toml", fmt.Sprintf("[relay]\nkey_file = %q\ngateway_url = \"http://127.0.0.1:9/gateway\"\n", pub))
	d := l.start("-config", config, "-gateway", "http://127.0.0.1:9/relay")
	s := d.await("the start", healthy)
	if s.Mode != "relay" || s.RelayKey != key.Fingerprint() {
		t.Errorf("the status says mode %q, key %q; want relay and %s", s.Mode, s.RelayKey, key.Fingerprint())
	}
	d.says(fmt.Sprintf(`"mode":"relay","relay_key":"%s"`, key.Fingerprint()))
	launch := kiosk.Launch{CorrelationID: "c-1", UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light, BaseURL: "http://127.0.0.1:9/relay"}
	_, err := d.client.Launch(t.Context(), launch)
	if refusal, is := errors.AsType[*api.RefusalError](err); !is || refusal.Detail != kiosk.NotAllowListed {
		t.Errorf("a launch that names the relay: %v, want 2204", err)
	}
	launch.BaseURL = "http://127.0.0.1:9/gateway"
	if _, err := d.client.Launch(t.Context(), launch); err != nil {
		t.Errorf("a launch that names the gateway: %v", err)
	}
}

// A wireTap is a gateway or a relay that takes everything.
type wireTap struct {
	targets kiosk.Targets
	heard   []string
}

func (w *wireTap) Targets(context.Context, kiosk.Credentials) (kiosk.Targets, error) {
	return w.targets, nil
}

func (w *wireTap) Upload(context.Context, kiosk.Upload) error {
	w.heard = append(w.heard, "upload")
	return nil
}

func (w *wireTap) Confirm(context.Context, kiosk.Credentials, string, json.RawMessage) error {
	w.heard = append(w.heard, "confirm")
	return nil
}

func (w *wireTap) Status(context.Context, kiosk.Credentials, string) (kiosk.SubmissionStatus, error) {
	return kiosk.SubmissionStatus{}, nil
}

func TestWhatIsSealedGoesToRelaysAndWhatIsNotToTheGateway(t *testing.T) {
	key, err := seal.Generate(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := seal.SealEnvelope(key.Public(), seal.Binding{Record: "r", Part: "image/SELFIE"}, []byte("face"))
	if err != nil {
		t.Fatal(err)
	}
	images := map[string][]byte{"direct": []byte("\xff\xd8\xff\xe0 a face"), "relay": envelope}
	metadata := map[string]json.RawMessage{"direct": json.RawMessage(`{"review":true}`), "relay": json.RawMessage(`{"livekiosk_sealed":"bGl2"}`)}
	for _, mode := range []string{"direct", "relay"} {
		for _, captured := range []string{"direct", "relay"} {
			t.Run(captured+" to "+mode, func(t *testing.T) {
				w := &wireTap{}
				g := guard{w, mode, unseen}
				var want []string
				if mode == captured {
					want = []string{"upload", "confirm"}
				}
				for call, err := range map[string]error{
					"upload":  g.Upload(t.Context(), kiosk.Upload{JPEG: images[captured]}),
					"confirm": g.Confirm(t.Context(), kiosk.Credentials{}, "s", metadata[captured]),
				} {
					var e *kiosk.GatewayError
					if sent := err == nil; sent != (mode == captured) {
						t.Errorf("%s = %v", call, err)
					} else if !sent && (!errors.As(err, &e) || e.Disposition != kiosk.Final || e.Cause != "wrong_mode") {
						t.Errorf("%s = %v, want it set aside as wrong_mode", call, err)
					}
				}
				if !slices.Equal(w.heard, want) {
					t.Errorf("heard %q, want %q", w.heard, want)
				}
			})
		}
	}
}

func TestAnAddressOfTheOtherKindIsAnOutage(t *testing.T) {
	for mode, urls := range map[string]struct{ right, wrong string }{
		"direct": {"https://store.example/o/1/SELFIE?X-Amz-Signature=1", "https://relay.example/relay/v1/uploads/abc"},
		"relay":  {"https://relay.example/relay/v1/uploads/abc", "https://store.example/o/1/SELFIE?X-Amz-Signature=1"},
	} {
		ask := func(u string) (kiosk.Targets, error) {
			w := &wireTap{targets: kiosk.Targets{SubmissionID: "s", Documents: map[kiosk.Document]kiosk.Target{kiosk.Selfie: {URL: u}}}}
			return guard{w, mode, unseen}.Targets(t.Context(), kiosk.Credentials{})
		}
		if got, err := ask(urls.right); err != nil || got.Documents[kiosk.Selfie].URL != urls.right {
			t.Errorf("%s mode: %+v, %v; want the URL", mode, got, err)
		}
		var e *kiosk.GatewayError
		got, err := ask(urls.wrong)
		if !errors.As(err, &e) || e.Disposition != kiosk.RetryLater || len(got.Documents) > 0 || strings.Contains(err.Error(), "example") {
			t.Errorf("%s mode: %+v, %v; want no URL, and a failure that may pass", mode, got, err)
		}
	}
}

func TestARecordWithoutMetadataIsConfirmedInEitherMode(t *testing.T) {
	for _, mode := range []string{"direct", "relay"} {
		w := &wireTap{}
		if err := (guard{w, mode, unseen}).Confirm(t.Context(), kiosk.Credentials{}, "s", nil); err != nil || len(w.heard) != 1 {
			t.Errorf("%s mode: %v, heard %q", mode, err, w.heard)
		}
	}
}

// unseen is the hold of a guard that nobody watches.
func unseen() (release func()) { return func() {} }

// TestWhatIsSentIsSeen holds that the kiosk is busy while a person's pictures or
// confirmation are on their way, and not after.
func TestWhatIsSentIsSeen(t *testing.T) {
	held, most := 0, 0
	hold := func() func() {
		held++
		most = max(most, held)
		return func() { held-- }
	}
	g := guard{&wireTap{}, "direct", hold}
	for name, send := range map[string]func() error{
		"upload":  func() error { return g.Upload(t.Context(), kiosk.Upload{JPEG: []byte("\xff\xd8")}) },
		"confirm": func() error { return g.Confirm(t.Context(), kiosk.Credentials{}, "s", nil) },
	} {
		most = 0
		if err := send(); err != nil || most != 1 || held != 0 {
			t.Errorf("%s: %v, held by %d and then by %d, want 1 and 0", name, err, most, held)
		}
	}
}
