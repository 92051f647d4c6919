package gateway

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"livekiosk/kiosk"
)

// An Error is what each failed call returns, for partners' servers that have
// no other use for package kiosk.
type Error = kiosk.GatewayError

// BackendOptions configure a Backend.
type BackendOptions struct {
	// TokenURL is the root of the token gateway, GatewayURL that of the
	// identity gateway: https, or http on loopback.
	TokenURL   string
	GatewayURL string

	// ClientID and PassKey are what the gateway knows the partner by. Secrets:
	// they appear in no error and no log line.
	ClientID string
	PassKey  string

	// PartnerCode and Platform are the first two parts of the header
	// x-onboarding-partner, as the gateway's people assigned them: letters,
	// digits and underscores.
	PartnerCode string
	Platform    string

	// Proxy and RootCAs are as those of Options.
	Proxy   string
	RootCAs *x509.CertPool

	// Client makes the requests in place of the package's own transport, as
	// Options.Client does; Proxy and RootCAs must be empty then.
	Client *http.Client

	// Log gets one debug line for each call. Nil discards them.
	Log *slog.Logger
}

// LogValue keeps the secrets out of every log.
func (o BackendOptions) LogValue() slog.Value {
	return slog.GroupValue(slog.String("token_url", o.TokenURL), slog.String("gateway_url", o.GatewayURL), slog.String("partner_code", o.PartnerCode))
}

// Validate reports the first impossible option, by its name.
func (o BackendOptions) Validate() error {
	if _, err := root(o.TokenURL); err != nil {
		return fmt.Errorf("token URL: %w", err)
	}
	if _, err := root(o.GatewayURL); err != nil {
		return fmt.Errorf("gateway URL: %w", err)
	}
	switch {
	case !printable(o.ClientID):
		return errors.New("client id: is empty, or has characters that no header may hold")
	case !printable(o.PassKey):
		return errors.New("pass key: is empty, or has characters that no header may hold")
	case word(o.PartnerCode) == "":
		return errors.New("partner code: is not of 1 to 64 letters, digits and underscores")
	case word(o.Platform) == "":
		return errors.New("platform: is not of 1 to 64 letters, digits and underscores")
	case o.Client != nil && (o.Proxy != "" || o.RootCAs != nil):
		return errors.New("client: has its own transport, so proxy and roots must be left empty")
	}
	if _, err := proxy(o.Proxy); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

// A Backend makes the calls of a partner's server. It keeps nothing between
// them: caching the partner token is its user's business. It is safe for
// concurrent use. The errors of its calls are *Error.
type Backend struct {
	tokenURL   *url.URL
	gatewayURL *url.URL
	clientID   string
	passKey    string
	onboarding string // PARTNER_CODE-PLATFORM
	line       *line
}

// NewBackend returns a backend. It makes no request.
func NewBackend(opts BackendOptions) (*Backend, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	b := &Backend{clientID: opts.ClientID, passKey: opts.PassKey, onboarding: opts.PartnerCode + "-" + opts.Platform}
	var err error
	if b.tokenURL, err = root(opts.TokenURL); err != nil {
		return nil, fmt.Errorf("token URL: %w", err)
	}
	if b.gatewayURL, err = root(opts.GatewayURL); err != nil {
		return nil, fmt.Errorf("gateway URL: %w", err)
	}
	cl := newClock(time.Time{}, nil)
	h := opts.Client
	if h == nil {
		t, err := route{proxy: opts.Proxy, roots: opts.RootCAs}.transport(cl)
		if err != nil {
			return nil, err
		}
		h = &http.Client{Transport: t}
	}
	b.line = newLine(kiosk.GatewayService, *h, cl, opts.Log)
	return b, nil
}

// A Token is the gateway's permission for a partner's server. It lives for
// about an hour: keep it, and ask for another when less than five minutes are
// left.
type Token struct {
	Value   string    // secret
	Expires time.Time // zero: not said
}

// LogValue keeps the token out of every log.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("token", t.Value != ""), slog.Time("expires", t.Expires))
}

// PartnerToken asks for a partner token (call 1). A failure is Final if the
// gateway turns client id and pass key down.
func (b *Backend) PartnerToken(ctx context.Context) (Token, error) {
	var t Token
	err := b.line.fetch(ctx, request{
		call: callPartnerToken, method: http.MethodGet, url: b.tokenURL.JoinPath("v1/coe/partner/authentication"),
		header: map[string]string{"Client-Id": b.clientID, "Pass-Key": b.passKey},
	}, into(&t, func(data json.RawMessage) (Token, error) {
		t, err := decodeUserToken(data, b.line.clock.now())
		return Token(t), err
	}))
	return t, err
}

// A FlowKind is what a person is asked to do.
type FlowKind string

// The flows.
const (
	FaceVerification   FlowKind = "FACE_VERIFICATION"
	KTPScan            FlowKind = "KTP_SCAN"
	KYCLite            FlowKind = "KYC_LITE"
	OnDemandFR         FlowKind = "ON_DEMAND_FR"
	StandaloneLiveness FlowKind = "STANDALONE_LIVENESS" // a kiosk's
)

// A Source is where the flow will run.
type Source string

// The sources.
const (
	SDK    Source = "SDK"     // a kiosk or an app: the answer is a user token
	WebSDK Source = "WEB_SDK" // a browser: the answer is a launch URL
)

// A Theme is the look of the gateway's own screens.
type Theme string

// The themes.
const (
	DarkMode     Theme = "DARK_MODE"
	LightMode    Theme = "LIGHT_MODE"
	NoPreference Theme = "NO_PREFERENCE"
)

// A UserLocale is the language of the gateway's own screens.
type UserLocale string

// The locales.
const (
	Indonesian UserLocale = "id_ID"
	English    UserLocale = "en_ID"
)

// A FlowRequest initiates a person's flow.
type FlowRequest struct {
	Flow       FlowKind
	Source     Source
	SessionID  string // x-partner-session-id: the correlation id, unique for ever
	UserID     string // personal data
	UserIDType string

	// SuccessURL and FailureURL are where the browser goes in the end: https,
	// or http on loopback. WEB_SDK needs both; others may leave them empty.
	SuccessURL string
	FailureURL string

	Theme             Theme      // "": NoPreference
	Locale            UserLocale // "": Indonesian
	ReferenceImageURL string     // "": the gateway asks the partner for it, or needs none
	AllowQR           bool
	ForceQR           bool
	PortraitOnly      bool
}

// LogValue keeps the person out of every log.
func (r FlowRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("flow", string(r.Flow)), slog.String("source", string(r.Source)), slog.String("session_id", r.SessionID))
}

// Validate reports the first impossible field, by its name and without its
// value.
func (r FlowRequest) Validate() error {
	switch r.Flow {
	case FaceVerification, KTPScan, KYCLite, OnDemandFR, StandaloneLiveness:
	default:
		return errors.New("flow: is none of the gateway's")
	}
	switch r.Source {
	case SDK, WebSDK:
	default:
		return errors.New("source: is neither SDK nor WEB_SDK")
	}
	switch r.Theme {
	case "", DarkMode, LightMode, NoPreference:
	default:
		return errors.New("theme: is none of DARK_MODE, LIGHT_MODE and NO_PREFERENCE")
	}
	switch r.Locale {
	case "", Indonesian, English:
	default:
		return errors.New("locale: is neither id_ID nor en_ID")
	}
	for _, f := range []struct{ name, value string }{{"session id", r.SessionID}, {"user id", r.UserID}, {"user id type", r.UserIDType}} {
		if !identifier(f.value) {
			return fmt.Errorf("%s: is not of 1 to 128 printable ASCII characters without spaces", f.name)
		}
	}
	for _, f := range []struct {
		name, value string
		needed      bool
	}{
		{"success URL", r.SuccessURL, r.Source == WebSDK},
		{"failure URL", r.FailureURL, r.Source == WebSDK},
		{"reference image URL", r.ReferenceImageURL, false},
	} {
		if f.value == "" && !f.needed {
			continue
		}
		if f.value == "" {
			return fmt.Errorf("%s: is missing, and WEB_SDK needs it", f.name)
		}
		u, err := url.Parse(f.value)
		if err != nil {
			return fmt.Errorf("%s: is not a URL", f.name)
		}
		if err := sealed(u); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// A Flow is one that was initiated. Of an SDK's flow Token is set, of WEB_SDK's
// LaunchURL.
type Flow struct {
	Token     kiosk.UserToken
	LaunchURL string    // secret: whoever has it can go through the flow
	Expires   time.Time // of either; zero: not said
}

// LogValue keeps token and URL out of every log.
func (f Flow) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("token", f.Token.Value != ""), slog.Bool("launch_url", f.LaunchURL != ""), slog.Time("expires", f.Expires))
}

// InitiateFlow initiates a person's flow (call 2). What the request lacks is
// Final, and nothing is sent. NewToken means that the partner token is no
// longer accepted; PollOn with the cause DUPLICATE_PARTNER_SESSION_ID that the
// session id was used before, so that the token of that answer counts.
func (b *Backend) InitiateFlow(ctx context.Context, token Token, r FlowRequest) (Flow, error) {
	if err := r.Validate(); err != nil {
		return Flow{}, b.unsent(callFlow, kiosk.Final, err)
	}
	if !bearer(token.Value) {
		return Flow{}, b.unsent(callFlow, kiosk.NewToken, errNoPartnerToken)
	}
	type details struct {
		ReferenceImageURL string     `json:"referenceImageUrl,omitempty"`
		UserLocale        UserLocale `json:"userLocale"`
		AllowQR           bool       `json:"allowQr,omitempty"`
		ForceQR           bool       `json:"forceQr,omitempty"`
		PortraitOnly      bool       `json:"portraitOnly,omitempty"`
	}
	body, err := json.Marshal(struct {
		Flow       FlowKind `json:"flow"`
		Source     Source   `json:"source"`
		SuccessURL string   `json:"successRedirectionUrl,omitempty"`
		FailureURL string   `json:"failureRedirectionUrl,omitempty"`
		Theme      Theme    `json:"theme"`
		Details    details  `json:"additionalDetails"`
	}{
		r.Flow, r.Source, r.SuccessURL, r.FailureURL, cmp.Or(r.Theme, NoPreference),
		details{r.ReferenceImageURL, cmp.Or(r.Locale, Indonesian), r.AllowQR, r.ForceQR, r.PortraitOnly},
	})
	if err != nil {
		return Flow{}, b.unsent(callFlow, kiosk.Final, errors.New("request is not JSON"))
	}
	var f Flow
	err = b.line.fetch(ctx, request{
		call: callFlow, method: http.MethodPost, url: b.gatewayURL.JoinPath("coe-partner/v1/initiate-flow"), body: body,
		header: map[string]string{
			"X-Onekyc-Token":         token.Value,
			"X-Onboarding-Partner":   b.onboarding + "-" + string(r.Flow),
			"X-Partner-User-Id":      r.UserID,
			"X-Partner-User-Id-Type": r.UserIDType,
			"X-Partner-Session-Id":   r.SessionID,
		},
	}, into(&f, func(data json.RawMessage) (Flow, error) { return decodeFlow(data, r.Source, b.line.clock.now()) }))
	return f, err
}

var errNoPartnerToken = errors.New("partner token: missing, or no token at all")

// A DetailsQuery names one submission by one of its ids; the other is empty.
type DetailsQuery struct {
	SessionID    string // x-partner-session-id
	SubmissionID string
}

// Details asks how a submission ended (call 7). RetryLater with the cause
// SUBMISSION_DOES_NOT_EXIST means that nothing was submitted yet; Final with
// PARTNER_SESSION_ID_DOES_NOT_BELONG_TO_THE_USER that the session is another
// partner's; NewToken that the partner token is no longer accepted.
func (b *Backend) Details(ctx context.Context, token Token, by DetailsQuery) (Details, error) {
	header := map[string]string{"X-Onekyc-Token": token.Value}
	switch {
	case identifier(by.SessionID) && by.SubmissionID == "":
		header["X-Partner-Session-Id"] = by.SessionID
	case identifier(by.SubmissionID) && by.SessionID == "":
		header["X-Submission-Id"] = by.SubmissionID
	default:
		return Details{}, b.unsent(callDetails, kiosk.Final, errors.New("details: exactly one of session id and submission id is needed, of printable ASCII characters"))
	}
	if !bearer(token.Value) {
		return Details{}, b.unsent(callDetails, kiosk.NewToken, errNoPartnerToken)
	}
	var d Details
	err := b.line.fetch(ctx, request{
		call: callDetails, method: http.MethodGet, url: b.gatewayURL.JoinPath("coe/v1/submissions"), header: header,
	}, into(&d, decodeDetails))
	return d, err
}

// unsent is the failure of a call that was not made.
func (b *Backend) unsent(call string, then kiosk.Disposition, err error) error {
	return &Error{Call: call, Service: b.line.service, Disposition: then, Err: err}
}

func decodeFlow(data json.RawMessage, source Source, now time.Time) (Flow, error) {
	var w struct {
		lifetime

		Token          string `json:"token"`
		LaunchURL      string `json:"launchUrl"`
		LaunchURLSnake string `json:"launch_url"`
	}
	if json.Unmarshal(data, &w) != nil {
		return Flow{}, errors.New("flow: data does not decode")
	}
	f := Flow{LaunchURL: cmp.Or(w.LaunchURL, w.LaunchURLSnake), Expires: w.end(now)}
	if source == WebSDK {
		u, err := url.Parse(f.LaunchURL)
		if err != nil || sealed(u) != nil {
			return Flow{}, errors.New("flow: launch URL is missing, or not one to send a person to")
		}
		return f, nil
	}
	if !bearer(w.Token) {
		return Flow{}, errors.New("flow: user token is missing, or no token at all")
	}
	return Flow{Token: kiosk.UserToken{Value: w.Token, Expires: f.Expires}, Expires: f.Expires}, nil
}
