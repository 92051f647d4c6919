package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"livekiosk/camera/trust"
	"livekiosk/camera/v4l2"
	"livekiosk/inference/models"
	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
	"livekiosk/queue"
	"livekiosk/queue/gateway"
	"livekiosk/queue/seal"
	"livekiosk/ui/theme"
)

// Config is the whole configuration of the daemon. Every key has a default;
// an unknown key or an impossible value is an error that names the key.
type Config struct {
	Camera  CameraConfig  `toml:"camera"`
	Gateway GatewayConfig `toml:"gateway"`
	Relay   RelayConfig   `toml:"relay"`
	Panel   PanelConfig   `toml:"panel"`
	Display DisplayConfig `toml:"display"`
	Sound   SoundConfig   `toml:"sound"`
	Staff   StaffConfig   `toml:"staff"`
	State   StateConfig   `toml:"state"`
	Queue   QueueConfig   `toml:"queue"`
	Keys    KeysConfig    `toml:"keys"`
	Models  ModelsConfig  `toml:"models"`
	API     APIConfig     `toml:"api"`
	Flow    FlowConfig    `toml:"flow"`
	Power   PowerConfig   `toml:"power"`
}

// CameraConfig says where frames come from.
type CameraConfig struct {
	// Source is a V4L2 device such as /dev/video0, "auto" for the first camera
	// found, "clip:portrait", "clip:spoof" or "clip:empty" for a composed clip,
	// or "frames:DIR" for a folder of JPEG frames.
	Source string `toml:"source"`

	// Rotate and Mirror make the pictures upright: turned clockwise by Rotate
	// degrees, 0, 90, 180 or 270, and then, with Mirror, left and right
	// exchanged, for a camera that sees people in a mirror.
	Rotate   int            `toml:"rotate"`
	Mirror   bool           `toml:"mirror"`
	Trust    string         `toml:"trust"`    // "production", or "test": virtual cameras, too, and a gateway on loopback only
	Pin      string         `toml:"pin"`      // the only camera that is taken, as kioskctl camera list prints it; "": any real one
	Profile  string         `toml:"profile"`  // file of what was commissioned; "": profile.json in state.dir
	Controls ControlsConfig `toml:"controls"` // of real cameras
}

// ControlsConfig is v4l2.Controls.
type ControlsConfig struct {
	Rate         int     `toml:"rate"`
	Exposure     setting `toml:"exposure"`
	Gain         setting `toml:"gain"`
	WhiteBalance setting `toml:"white_balance"`
	Focus        setting `toml:"focus"`
	PowerLine    setting `toml:"power_line"`
}

// A setting is a word or a number, with quotes or without.
type setting string

func (s *setting) UnmarshalText(b []byte) error { //nolint:unparam // as encoding.TextUnmarshaler has it
	*s = setting(b)
	return nil
}

// GatewayConfig says who is talked to; nobody else ever is.
type GatewayConfig struct {
	BaseURL    string `toml:"base_url"`     // the identity gateway, or the relay: see RelayConfig
	PartnerURL string `toml:"partner_url"`  // the partner backend that hands out user tokens
	UserIDType string `toml:"user_id_type"` // of launches that name none

	Proxy       string `toml:"proxy"`        // URL, "none", or "" for what the environment says
	UploadLimit int    `toml:"upload_limit"` // bytes per second, but for a person who waits; 0: none

	CAFile          string   `toml:"ca_file"`           // PEM; "": the system's
	Pins            []string `toml:"pins"`              // SHA-256 of public keys in base64, a spare one included
	PartnerCAFile   string   `toml:"partner_ca_file"`   // as above, of the partner backend
	PartnerPins     []string `toml:"partner_pins"`      // as above, of the partner backend
	PartnerCertFile string   `toml:"partner_cert_file"` // PEM: by which the partner backend knows this kiosk
	PartnerKeyFile  string   `toml:"partner_key_file"`  // PEM: its key
}

// look reads the installed theme, and warns of what is hard to read.
func (c DisplayConfig) look(ctx context.Context, log *slog.Logger) (*theme.Theme, error) {
	if c.Theme == "" {
		return theme.Default(), nil
	}
	t, err := theme.Open(c.Theme)
	if err != nil {
		return nil, fmt.Errorf("display.theme: %w", err)
	}
	for _, low := range t.Warnings() {
		log.WarnContext(ctx, "theme is hard to read", slog.String("theme", t.Name), slog.String("pair", low))
	}
	return t, nil
}

// DisplayConfig says what is drawn where.
type DisplayConfig struct {
	Mode        string   `toml:"mode"`         // auto, window, headless
	Width       int      `toml:"width"`        // headless: pixels
	Height      int      `toml:"height"`       // headless: pixels
	Theme       string   `toml:"theme"`        // file: what the screens look like; "": the product's own
	Languages   string   `toml:"languages"`    // folder: a file for each that is not built in; "": see languagesPath
	Out         string   `toml:"out"`          // headless: folder of the screens as PNG; "" keeps none
	Script      []string `toml:"script"`       // controls that are tapped by themselves: for demonstrations
	ScriptDelay duration `toml:"script_delay"` // how long a screen stands before such a tap
	WidthMM     int      `toml:"width_mm"`     // how wide the picture is, so that no target is under 15 mm; 0: not known
	Scan        duration `toml:"scan"`         // for one switch: the focus moves on by itself this often; 0s: it does not
}

// The ranges of what a display can be told. Four targets of 15 mm fit beside
// each other on the narrowest one.
const (
	narrowest, widest = 80, 3000
	fastest, slowest  = 500 * time.Millisecond, time.Minute
)

func (c DisplayConfig) validate() error {
	if c.WidthMM != 0 && (c.WidthMM < narrowest || c.WidthMM > widest) {
		return fmt.Errorf("display.width_mm: %d is neither 0 nor within %d..%d", c.WidthMM, narrowest, widest)
	}
	if v := time.Duration(c.Scan); v != 0 && (v < fastest || v > slowest) {
		return fmt.Errorf("display.scan: %v is neither 0s nor within %v..%v", v, fastest, slowest)
	}
	return nil
}

// SoundConfig says what is heard.
type SoundConfig struct {
	On     bool   `toml:"on"`
	Dir    string `toml:"dir"`    // of clips: a folder for each language; "": tones only
	Device string `toml:"device"` // as aplay -L lists it; "": the default one
}

// StateConfig says where the daemon keeps its files.
type StateConfig struct {
	Dir    string `toml:"dir"`
	Traces int    `toml:"traces"` // how many sessions' traces are kept
	Volume string `toml:"volume"` // folder of the report on the data partition; none there: the board has no such partition
}

// QueueConfig bounds the outbox.
type QueueConfig struct {
	MaxRecords  int      `toml:"max_records"`
	MaxBytes    int64    `toml:"max_bytes"`
	MaxBookings int      `toml:"max_bookings"`
	MaxAge      duration `toml:"max_age"`    // of a record that never comes to an end
	EpochsDir   string   `toml:"epochs_dir"` // where the keys lie whose destruction erases; "": beside the outbox
}

// ModelsConfig says where the runtime and the weights are, and which bundles of
// models may take the weights' place.
type ModelsConfig struct {
	Dir     string `toml:"dir"`
	Bundles string `toml:"bundles"`  // folder of bundles
	KeyFile string `toml:"key_file"` // PEM: the public keys that bundles are signed by; "": none is used
	Floor   string `toml:"floor"`    // the oldest version that may be used; "": any
}

// APIConfig is the local launch API.
type APIConfig struct {
	Socket string `toml:"socket"`
	Group  string `toml:"group"` // whose members may use it, beside root and the daemon's own user
}

// FlowConfig holds the parts of the policy that an operator may turn. There is
// no key that lets a session pass without its checks.
type FlowConfig struct {
	Attempts  int      `toml:"attempts"`
	AttemptIn duration `toml:"attempt_in"`
	AnswerIn  duration `toml:"answer_in"`
	RestIn    duration `toml:"rest_in"`
	LiveMin   float32  `toml:"live_min"`

	LightChallenge string `toml:"light_challenge"` // off, record, review
}

// PowerConfig says when a kiosk that runs on a battery takes no more visitors.
type PowerConfig struct {
	Least int `toml:"least"` // percent of charge; 0: never
}

// A duration is written as "20s" or "1m30s".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	if err != nil {
		return fmt.Errorf("want a duration such as \"20s\", have %q", b)
	}
	return nil
}

// defaults is the configuration of a kiosk that was given none.
func defaults() Config {
	p := flow.Standard()
	return Config{
		Camera:  CameraConfig{Source: "auto", Trust: string(trust.Production), Controls: ControlsConfig{Exposure: "face"}},
		Gateway: GatewayConfig{BaseURL: "http://127.0.0.1:8787", PartnerURL: "http://127.0.0.1:8787/partner", UserIDType: "CUSTOMER_ID"},
		Panel:   defaultPanel(),
		Display: DisplayConfig{Mode: "auto", Width: 720, Height: 1280, ScriptDelay: duration(1500 * time.Millisecond)},
		Sound:   SoundConfig{On: true},
		State:   StateConfig{Dir: stateDir(), Traces: 50, Volume: "/run/kioskd-volume"},
		Queue:   QueueConfig{MaxRecords: 1000, MaxBytes: 2 << 30, MaxBookings: 500, MaxAge: duration(longestAge)},
		Keys:    KeysConfig{Store: autoKeys, KEM: string(seal.X25519)},
		Models:  ModelsConfig{Dir: models.Dir(), Bundles: "/var/lib/kioskd-update/models"},
		API:     APIConfig{Socket: socketPath(), Group: "kiosk-staff"},
		Power:   PowerConfig{Least: 15},
		Flow:    FlowConfig{Attempts: p.Attempts, AttemptIn: duration(p.AttemptIn), AnswerIn: duration(p.AnswerIn), RestIn: duration(p.RestIn), LiveMin: p.LiveMin, LightChallenge: lightOff},
	}
}

// stateDir is systemd's state directory, or a user's own.
func stateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "kioskd")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "kioskd")
	}
	return "/var/lib/kioskd"
}

// socketPath is in systemd's runtime directory, or in a user's own.
func socketPath() string {
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, "kioskd.sock")
	}
	if own := api.UserSocket(os.Getenv); own != "" && os.Getuid() != 0 {
		return own
	}
	return api.SystemSocket
}

// load reads the file at path over the defaults. "" means no file.
func load(path string) (Config, error) {
	c := defaults()
	if path == "" {
		return c, nil
	}
	meta, err := toml.DecodeFile(path, &c)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return c, fmt.Errorf("%s: line %d: %s", path, syntax.Position.Line, syntax.Message)
	case err != nil:
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("%s: unknown key %s", path, unknown[0])
	}
	return c, nil
}

// Validate names the first key whose value cannot work.
func (c Config) Validate() error {
	if err := c.Camera.validate(); err != nil {
		return err
	}
	if c.Camera.Pin != "" && c.simulated() {
		return fmt.Errorf("camera.pin: names a real camera, but camera.source is %q", c.Camera.Source)
	}
	for _, u := range []struct{ key, value string }{
		{"gateway.base_url", c.Gateway.BaseURL},
		{"gateway.partner_url", c.Gateway.PartnerURL},
	} {
		if err := c.validateURL(u.key, u.value); err != nil {
			return err
		}
	}
	if (c.Gateway.PartnerCertFile == "") != (c.Gateway.PartnerKeyFile == "") {
		return errors.New("gateway.partner_cert_file and gateway.partner_key_file: give both or none")
	}
	switch c.Display.Mode {
	case "auto", "window", "headless":
	default:
		return fmt.Errorf("display.mode: %q is none of auto, window, headless", c.Display.Mode)
	}
	if c.Display.Width < 320 || c.Display.Width > 4096 || c.Display.Height < 320 || c.Display.Height > 4096 {
		return fmt.Errorf("display: %dx%d is outside 320..4096", c.Display.Width, c.Display.Height)
	}
	for _, s := range c.Display.Script {
		if !slices.Contains(kiosk.Controls(), kiosk.Control(s)) {
			return fmt.Errorf("display.script: %q is no control", s)
		}
	}
	switch {
	case len(c.Display.Script) > 0 && !c.simulated():
		return errors.New("display.script: taps by themselves are only for composed clips: nobody may consent for a real person")
	case c.Display.Out != "" && !c.simulated():
		return errors.New("display.out: pictures of the screens are only for composed clips: they would show real people's faces")
	case c.State.Dir == "":
		return errors.New("state.dir: must not be empty")
	case c.State.Traces < 0:
		return errors.New("state.traces: must not be negative")
	case c.Queue.MaxRecords < 3:
		return errors.New("queue.max_records: must be at least 3, the attempts of one session")
	case c.Queue.MaxRecords > queue.RecordsMost:
		return fmt.Errorf("queue.max_records: must be at most %d", queue.RecordsMost)
	case c.Queue.MaxBytes < 64<<20:
		return errors.New("queue.max_bytes: must be at least 67108864 (64 MiB): one session needs up to 24 MiB")
	case c.Queue.MaxBookings < 1:
		return errors.New("queue.max_bookings: must be at least 1")
	case c.Queue.MaxBookings > queue.BookingsMost:
		return fmt.Errorf("queue.max_bookings: must be at most %d", queue.BookingsMost)
	case c.Queue.MaxAge < duration(shortestAge) || c.Queue.MaxAge > duration(longestAge):
		return fmt.Errorf("queue.max_age: %v is outside %v..%v", time.Duration(c.Queue.MaxAge), shortestAge, longestAge)
	case c.API.Socket == "" || len(c.API.Socket) > 107:
		return errors.New("api.socket: a Unix socket's path has 1 to 107 bytes")
	}
	if err := c.Display.validate(); err != nil {
		return err
	}
	if err := c.Keys.validate(); err != nil {
		return err
	}
	if err := c.Panel.validate(); err != nil {
		return err
	}
	if err := c.validateRelay(); err != nil {
		return err
	}
	if c.Power.Least < 0 || c.Power.Least > 90 {
		return fmt.Errorf("power.least: %d is outside 0..90", c.Power.Least)
	}
	if err := c.Models.validate(); err != nil {
		return err
	}
	return c.Flow.validate()
}

// The ranges of what an operator may turn. A deadline outside these serves nobody.
const (
	liveFloor, liveCeiling = pad.LeastMin, pad.MostMin
	shortest, longest      = 5 * time.Second, 10 * time.Minute
	// A week is what a branch may be without a network; no token lives longer than 60 days.
	shortestAge, longestAge = 7 * 24 * time.Hour, 60 * 24 * time.Hour
)

// What is made of a light challenge: there is none, its response goes into records,
// or one that is measured and under reviewUnder also flags a capture for review.
const (
	lightOff    = "off"
	lightRecord = "record"
	lightReview = "review"

	reviewUnder = 0.6
)

func (f FlowConfig) validate() error {
	switch {
	case f.LightChallenge != lightOff && f.LightChallenge != lightRecord && f.LightChallenge != lightReview:
		return fmt.Errorf("flow.light_challenge: %q is none of off, record, review", f.LightChallenge)
	case f.Attempts < 1 || f.Attempts > 3: // the outbox makes room for three before a session starts
		return fmt.Errorf("flow.attempts: %d is outside 1..3", f.Attempts)
	case !(f.LiveMin >= liveFloor && f.LiveMin <= liveCeiling): // false for NaN, too
		return fmt.Errorf("flow.live_min: %g is outside %g..%g", f.LiveMin, liveFloor, liveCeiling)
	}
	for _, d := range []struct {
		key   string
		value duration
	}{{"attempt_in", f.AttemptIn}, {"answer_in", f.AnswerIn}, {"rest_in", f.RestIn}} {
		if v := time.Duration(d.value); v < shortest || v > longest {
			return fmt.Errorf("flow.%s: %v is outside %v..%v", d.key, v, shortest, longest)
		}
	}
	return nil
}

// mount is how the camera is built in.
func (c CameraConfig) mount() kiosk.Mount { return kiosk.Mount{Turn: c.Rotate, Mirror: c.Mirror} }

// options are those of the camera; without pool, log and listener.
func (c CameraConfig) options() (v4l2.Options, error) {
	pin, err := trust.ParsePin(c.Pin)
	if err != nil {
		return v4l2.Options{}, fmt.Errorf("camera.pin: %w", err)
	}
	o := v4l2.Options{
		Path: c.Source, Trust: trust.Policy(c.Trust), Pin: pin,
		Controls: v4l2.Controls{
			Rate: c.Controls.Rate, Exposure: string(c.Controls.Exposure), Gain: string(c.Controls.Gain), WhiteBalance: string(c.Controls.WhiteBalance),
			Focus: string(c.Controls.Focus), PowerLine: string(c.Controls.PowerLine),
		},
	}
	if err := o.Controls.Validate(); err != nil {
		return v4l2.Options{}, fmt.Errorf("camera.controls.%w", err)
	}
	return o, nil
}

func (c CameraConfig) validate() error {
	if !c.mount().Valid() {
		return fmt.Errorf("camera.rotate: %d is none of 0, 90, 180, 270", c.Rotate)
	}
	if c.Trust != string(trust.Production) && c.Trust != string(trust.Test) {
		return fmt.Errorf("camera.trust: %q is neither production nor test", c.Trust)
	}
	if _, err := c.options(); err != nil {
		return err
	}
	kind, name, found := strings.Cut(c.Source, ":")
	switch {
	case c.Source == "auto", strings.HasPrefix(c.Source, "/dev/"):
		return nil
	case found && kind == "clip" && (name == "portrait" || name == "spoof" || name == "empty"):
		return nil
	case found && kind == "frames" && name != "":
		return nil
	}
	return fmt.Errorf("camera.source: %q is none of auto, /dev/videoN, clip:portrait, clip:spoof, clip:empty, frames:DIR", c.Source)
}

// simulated reports whether nobody stands before the camera.
func (c Config) simulated() bool {
	return strings.HasPrefix(c.Camera.Source, "clip:") || strings.HasPrefix(c.Camera.Source, "frames:")
}

// testOnly says what keeps records from being taken for real ones; "" if
// nothing does.
func (c Config) testOnly() string {
	switch {
	case c.simulated():
		return fmt.Sprintf("camera.source %q", c.Camera.Source)
	case c.Camera.Trust == string(trust.Test):
		return fmt.Sprintf("camera.trust %q", c.Camera.Trust)
	default:
		return ""
	}
}

// validateURL refuses what would send a person's data in the clear, or a
// recorded face to a real gateway.
func (c Config) validateURL(key, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// Not the value: it may hold a password.
		return fmt.Errorf("%s: want a URL such as https://host, without user, query or fragment", key)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s: scheme %q is neither https nor http", key, u.Scheme)
	case u.Scheme == "http" && !loopback:
		return fmt.Errorf("%s: plain http is only for a simulator on loopback: use https", key)
	case c.testOnly() != "" && !loopback:
		return fmt.Errorf("%s: %s may talk only to a gateway on loopback", key, c.testOnly())
	}
	return nil
}

// network opens the files that the gateway's client needs. Its errors name the
// key.
func (c GatewayConfig) network() (gateway.Options, error) {
	o := gateway.Options{
		GatewayURL: c.BaseURL, PartnerURL: c.PartnerURL, Proxy: c.Proxy, BytesPerSecond: c.UploadLimit,
		GatewayPins: c.Pins, PartnerPins: c.PartnerPins,
	}
	for _, f := range []struct {
		key, path string
		to        **x509.CertPool
	}{{"ca_file", c.CAFile, &o.RootCAs}, {"partner_ca_file", c.PartnerCAFile, &o.PartnerCAs}} {
		if f.path == "" {
			continue
		}
		pem, err := os.ReadFile(f.path)
		if err != nil {
			return o, fmt.Errorf("gateway.%s: %w", f.key, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("gateway.%s: %s holds no certificate in PEM", f.key, f.path)
		}
		*f.to = pool
	}
	if c.PartnerCertFile != "" {
		var err error
		if o.PartnerCertificate, err = gateway.ClientCertificate(c.PartnerCertFile, c.PartnerKeyFile); err != nil {
			return o, fmt.Errorf("gateway.partner_cert_file: %w", err)
		}
	}
	for _, one := range []struct { // each by itself, so that its key can be named
		key string
		o   gateway.Options
	}{
		{"proxy", gateway.Options{Proxy: o.Proxy}},
		{"upload_limit", gateway.Options{BytesPerSecond: o.BytesPerSecond}},
		{"pins", gateway.Options{GatewayPins: o.GatewayPins}},
		{"partner_pins", gateway.Options{PartnerPins: o.PartnerPins}},
	} {
		one.o.GatewayURL = o.GatewayURL
		if err := one.o.Validate(); err != nil {
			return o, fmt.Errorf("gateway.%s: %w", one.key, err)
		}
	}
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("gateway: %w", err)
	}
	return o, nil
}

// policy is the standard one with the operator's values.
func (c Config) policy() flow.Policy {
	p := flow.Standard()
	p.Attempts, p.LiveMin = c.Flow.Attempts, c.Flow.LiveMin
	if p.Light.On = c.Flow.LightChallenge != lightOff; c.Flow.LightChallenge == lightReview {
		p.Light.ReviewUnder = reviewUnder
	}
	p.AttemptIn, p.AnswerIn, p.RestIn = time.Duration(c.Flow.AttemptIn), time.Duration(c.Flow.AnswerIn), time.Duration(c.Flow.RestIn)
	return p
}

func (c Config) size() image.Point { return image.Pt(c.Display.Width, c.Display.Height) }

// The daemon's files below state.dir.
func (c Config) queuePath() string { return filepath.Join(c.State.Dir, "outbox.db") }
func (c Config) tracePath() string { return filepath.Join(c.State.Dir, "traces") }
func (c Config) profilePath() string {
	if c.Camera.Profile != "" {
		return c.Camera.Profile
	}
	return filepath.Join(c.State.Dir, "profile.json")
}
func (c Config) bundlesPath() string { return filepath.Join(c.State.Dir, "models.json") }
func (c Config) tamperPath() string  { return filepath.Join(c.State.Dir, "tamper.json") }
