package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// RelayConfig says who can read the evidence. Without a key this kiosk can, and
// delivers it in the clear: direct mode. With one only the relay can, and
// gateway.base_url is the relay's address.
type RelayConfig struct {
	KeyFile    string `toml:"key_file"`    // PEM: the relay's public key; "": direct mode
	GatewayURL string `toml:"gateway_url"` // the gateway behind the relay, as launches name it; "": they name the relay
}

// The modes, as log and status tell them.
const (
	directMode = "direct"
	relayMode  = "relay"
)

func (r RelayConfig) mode() string {
	if r.KeyFile == "" {
		return directMode
	}
	return relayMode
}

// validateRelay names the first key that cannot work. The file is opened later.
func (c Config) validateRelay() error {
	switch {
	case c.Relay.KeyFile != "" && c.Relay.GatewayURL == "" && c.testOnly() != "":
		return fmt.Errorf("relay.gateway_url: must say which gateway is behind the relay: %s may talk only to one on loopback", c.testOnly())
	case c.Relay.GatewayURL == "":
		return nil
	case c.Relay.KeyFile == "":
		return errors.New("relay.gateway_url: goes with relay.key_file; without a relay, the gateway is gateway.base_url")
	case strings.TrimRight(c.Relay.GatewayURL, "/") == strings.TrimRight(c.Gateway.BaseURL, "/"):
		return errors.New("relay.gateway_url: is gateway.base_url, which must be the relay's address where there is a relay")
	}
	return c.validateURL("relay.gateway_url", c.Relay.GatewayURL)
}

// open reads the relay's public key: nil in direct mode. Its errors name the
// key.
func (r RelayConfig) open() (*seal.Public, error) {
	if r.KeyFile == "" {
		return nil, nil //nolint:nilnil // direct mode has none
	}
	f, err := os.Open(r.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("relay.key_file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("relay.key_file: %w", err)
	}
	defer clear(text) // it should be a public key
	pub, err := seal.ParsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("relay.key_file: %s: %w", r.KeyFile, err)
	}
	return pub, nil
}

// fingerprint names the relay's key; "" in direct mode.
func fingerprint(pub *seal.Public) string {
	if pub == nil {
		return ""
	}
	return pub.Fingerprint()
}

// notOurs refuses a relay's key that is the device's: whoever took the kiosk
// could read the evidence.
func notOurs(pub *seal.Public, keys *seal.Ring) error {
	if pub == nil {
		return nil
	}
	if _, ours := keys.Key(pub.Fingerprint()); ours {
		return errors.New("relay.key_file: is this kiosk's own key: give that of the relay")
	}
	return nil
}

// launches is the gateway that a launch may name. A partner's front end knows
// the gateway, and need not know that a relay is in between.
func (c Config) launches() string {
	if c.Relay.GatewayURL != "" {
		return c.Relay.GatewayURL
	}
	return c.Gateway.BaseURL
}

// wrongMode is the reason of a dead letter that was captured in relay mode on a
// kiosk that is in direct mode now, or the other way round.
const wrongMode = "wrong_mode"

// A guard sees to it that what is sealed goes to relays only, and what is not
// to the gateway only. Sent to the wrong one, faces would be shown to who
// should not see them, or a gateway would turn down as unusable what a relay
// would have opened, which costs a visitor's capture.
type guard struct {
	gatewayClient

	mode string
	hold func() (release func()) // called before anything of a person is sent
}

// A gatewayClient makes the kiosk's calls: see deliver.Gateway.
type gatewayClient interface {
	Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error)
	Upload(ctx context.Context, up kiosk.Upload) error
	Confirm(ctx context.Context, who kiosk.Credentials, submissionID string, metadata json.RawMessage) error
	Status(ctx context.Context, who kiosk.Credentials, submissionID string) (kiosk.SubmissionStatus, error)
}

// Targets implements deliver.Gateway. An answer of the wrong one is taken for
// an outage, until the configuration is mended: nothing is sent.
func (g guard) Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error) {
	t, err := g.gatewayClient.Targets(ctx, who)
	for _, target := range t.Documents {
		if err != nil || relay.Uploads(target.URL) == (g.mode == relayMode) {
			continue
		}
		err = errors.New("gateway.base_url is a relay's, and relay.key_file is not set")
		if g.mode == relayMode {
			err = errors.New("gateway.base_url is not the relay's, and relay.key_file is set")
		}
		return kiosk.Targets{}, &kiosk.GatewayError{
			Call: "urls", Service: kiosk.GatewayService, Trouble: kiosk.TroubleGarbled, Disposition: kiosk.RetryLater, Err: err,
		}
	}
	return t, err
}

// Upload implements deliver.Gateway.
func (g guard) Upload(ctx context.Context, up kiosk.Upload) error {
	if seal.IsEnvelope(up.JPEG) != (g.mode == relayMode) {
		return g.aside("upload", kiosk.StoreService)
	}
	defer g.hold()()
	return g.gatewayClient.Upload(ctx, up)
}

// Confirm implements deliver.Gateway.
func (g guard) Confirm(ctx context.Context, who kiosk.Credentials, submissionID string, metadata json.RawMessage) error {
	if len(metadata) > 0 && bytes.HasPrefix(metadata, []byte(`{"livekiosk_sealed":`)) != (g.mode == relayMode) {
		return g.aside("confirm", kiosk.GatewayService)
	}
	defer g.hold()()
	return g.gatewayClient.Confirm(ctx, who, submissionID, metadata)
}

// aside has a record set aside, sealed as it is, until staff have it tried
// again in the mode in which it was captured.
func (g guard) aside(call string, s kiosk.Service) error {
	return &kiosk.GatewayError{
		Call: call, Service: s, Cause: wrongMode, Disposition: kiosk.Final,
		Err: fmt.Errorf("record was captured in another mode than %s, in which this kiosk is now", g.mode),
	}
}
