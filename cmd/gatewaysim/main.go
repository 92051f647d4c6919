// Command gatewaysim runs the simulated gateway, object store and a sample
// partner backend on loopback, for development, demos and tests. It is no
// product: it holds no real credentials and must not be reachable from
// anywhere else.
//
// It prints one JSON line with its addresses when it is ready:
//
//	{"address":"127.0.0.1:8787","gateway":"http://127.0.0.1:8787","partner":"http://127.0.0.1:8787/partner","seed":1}
//
// The partner backend's root is /partner, which is a page, too; /sim/ is the
// simulator's own page, /sim/events tells what happened, and /sim/faults takes
// faults to come.
//
// With -partner-tls DIR the partner backend is also served by TLS, and kiosks
// that come that way must show a certificate. The line has "partnerTLS", which
// is its URL, and "ca", a file. What a kiosk needs is in DIR: ca.crt, kiosk.crt
// and kiosk.key.
//
// With -state DIR both survive SIGKILL.
//
// Exit codes: 0 asked to stop, 1 fault, 64 wrong usage.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/inference/models"
	"livekiosk/kiosk/api"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 64 // EX_USAGE, sysexits(3)
)

// The sample partner's credentials at the simulated token gateway.
const (
	clientID    = "sample-client"
	passKey     = "sample-pass-key"
	partnerCode = "SAMPLE"
	platform    = "KIOSK"
)

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: tests call it with their own context,
// arguments and outputs.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	err := serve(ctx, args, stdout, stderr, log)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		log.ErrorContext(ctx, "not started", slog.Any("err", err))
		return exitUsage
	}
	log.ErrorContext(ctx, "stopped", slog.Any("err", err))
	return exitFault
}

// flags are the command line.
type flags struct {
	listen    string
	tlsListen string
	tlsDir    string // "": no TLS
	state     string // "": none is kept
	models    string
	blind     bool // no face check
	reference string
	socket    string // of the kiosk; "": none
	fallback  time.Duration
	sim       gatewaysim.Options
}

func parse(args []string, stderr io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("gatewaysim", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8787", "loopback `address` to listen on")
	set.StringVar(&f.state, "state", "", "`directory` for all that gateway and partner know; without it they forget")
	set.StringVar(&f.models, "models", models.Dir(), "`directory` of the face check's runtime and weights")
	set.BoolVar(&f.blind, "no-face-check", false, "approve any image that decodes")
	set.StringVar(&f.sim.Faults, "faults", "", "fault `script`, such as 'urls=503x3,upload=reset'")
	set.Uint64Var(&f.sim.Seed, "seed", 0, "`seed` of random faults; 0 draws one, which is told")
	set.DurationVar(&f.sim.JudgeAfter, "judge-after", 500*time.Millisecond, "`time` from confirmation to verdict")
	set.IntVar(&f.sim.PollsBeforeVerdict, "polls", 0, "`number` of status calls answered IN_PROGRESS before a verdict is told")
	set.IntVar(&f.sim.Attempts, "attempts", 3, "`number` of submissions a session may have")
	set.BoolVar(&f.sim.NewSubmissions, "new-submissions", false, "answer every request for upload URLs with a new submission")
	set.BoolVar(&f.sim.ReuseEnded, "reuse-ended", false, "after a rejection, answer a request for upload URLs with the submission that has ended")
	set.BoolVar(&f.sim.UniqueSessions, "unique-sessions", false, "refuse to initiate a session id twice")
	set.StringVar(&f.sim.CallbackMethod, "callback-method", http.MethodPost, "`method` of callbacks: POST, PUT or PATCH")
	set.StringVar(&f.sim.CallbackAuth, "callback-auth", "", "Authorization `header` of callbacks; empty draws one. Others on this machine can read it")
	set.IntVar(&f.sim.CallbackRepeats, "callback-repeats", 1, "`number` of times a callback comes again")
	set.BoolVar(&f.sim.CallbackShuffle, "callback-shuffle", false, "send callbacks out of order")
	set.DurationVar(&f.sim.Lifetimes.UploadURL, "upload-life", 10*time.Minute, "`time` an upload URL is good for")
	set.DurationVar(&f.sim.Lifetimes.UserToken, "user-token-life", 60*24*time.Hour, "`time` a user token is good for")
	set.DurationVar(&f.sim.Lifetimes.PartnerToken, "partner-token-life", time.Hour, "`time` a partner token is good for")
	set.StringVar(&f.reference, "reference", "", "`directory` of the partner's reference images: USERID.jpg, default.jpg")
	set.DurationVar(&f.fallback, "fallback-after", 10*time.Minute, "`time` of silence after which the partner asks the gateway")
	set.StringVar(&f.socket, "kiosk", "", "`socket` of a kiosk's launch API, for the partner's page")
	set.StringVar(&f.tlsDir, "partner-tls", "", "serve the partner by TLS, too, with certificates from this `directory`; they are made if there are none")
	set.StringVar(&f.tlsListen, "partner-tls-listen", "127.0.0.1:0", "loopback `address` for that")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return f, err
		}
		return f, fmt.Errorf("%w: %w", errUsage, err)
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("%w: unexpected argument %q", errUsage, set.Arg(0))
	}
	for name, address := range map[string]string{"-listen": f.listen, "-partner-tls-listen": f.tlsListen} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return f, fmt.Errorf("%w: %s: %w", errUsage, name, err)
		}
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			return f, fmt.Errorf("%w: %s: %q is not a loopback address: use 127.0.0.1:PORT or [::1]:PORT", errUsage, name, host)
		}
	}
	if _, err := gatewaysim.ParseFaults(f.sim.Faults); err != nil {
		return f, fmt.Errorf("%w: -faults: %w", errUsage, err)
	}
	switch f.sim.CallbackMethod {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return f, fmt.Errorf("%w: -callback-method: %q is not POST, PUT or PATCH", errUsage, f.sim.CallbackMethod)
	}
	if f.fallback <= 0 {
		return f, fmt.Errorf("%w: -fallback-after: must be longer than nothing", errUsage)
	}
	return f, nil
}

func serve(ctx context.Context, args []string, stdout, stderr io.Writer, log *slog.Logger) (err error) {
	f, err := parse(args, stderr)
	if err != nil {
		return err
	}
	f.sim.Log = log
	if f.blind {
		log.WarnContext(ctx, "NO FACE CHECK: every image that decodes is approved, whatever it shows")
	} else {
		c, broken := newChecker(ctx, f.models)
		if broken != nil {
			return fmt.Errorf("face check: %w (or run with -no-face-check)", broken)
		}
		defer c.close()
		f.sim.FaceCheck = c.check
	}
	w, err := open(ctx, f, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.run(ctx, stdout)
}

// A ready is the line that is printed when all is served.
type ready struct {
	Address    string `json:"address"`
	Gateway    string `json:"gateway"`
	Partner    string `json:"partner"`
	PartnerTLS string `json:"partnerTLS,omitempty"`
	CA         string `json:"ca,omitempty"` // file
	Seed       uint64 `json:"seed"`         // of random faults
}

// A world is the simulator and the sample partner, ready to serve.
type world struct {
	log     *slog.Logger
	ready   ready
	sim     *gatewaysim.Sim
	partner *partner.Server
	plain   net.Listener
	sealed  net.Listener // nil: no TLS
	servers []*http.Server
	undo    []func() error // newest last
}

// open opens state and listeners. What it opened it closes if it fails.
func open(ctx context.Context, f flags, log *slog.Logger) (w *world, err error) {
	w = &world{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.plain, err = w.listen(ctx, f.listen); err != nil {
		return w, err
	}
	w.ready.Address = w.plain.Addr().String()
	w.ready.Gateway = "http://" + w.ready.Address
	w.ready.Partner = w.ready.Gateway + "/partner"

	state := f.state
	if state == "" {
		if state, err = os.MkdirTemp("", "gatewaysim-"); err != nil {
			return w, fmt.Errorf("temporary state: %w", err)
		}
		w.undo = append(w.undo, func() error { return os.RemoveAll(state) })
	} else {
		f.sim.StateDir = filepath.Join(state, "gateway")
	}

	f.sim.BaseURL = w.ready.Gateway
	f.sim.ClientID, f.sim.PassKey, f.sim.PartnerCode = clientID, passKey, partnerCode
	f.sim.CallbackURL = w.ready.Partner + "/callback"
	f.sim.CallbackAuth = cmp.Or(f.sim.CallbackAuth, "Bearer "+rand.Text())
	if f.reference != "" {
		f.sim.ReferenceURL = w.ready.Partner + "/reference"
	}
	if w.sim, err = gatewaysim.New(f.sim); err != nil {
		return w, err
	}
	w.undo = append(w.undo, w.sim.Close)
	w.ready.Seed = w.sim.Seed()

	backend, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: w.ready.Gateway, GatewayURL: w.ready.Gateway, ClientID: clientID, PassKey: passKey, PartnerCode: partnerCode, Platform: platform, Log: log,
	})
	if err != nil {
		return w, fmt.Errorf("partner: %w", err)
	}
	opts := partner.Options{
		Gateway: backend, CallbackAuth: f.sim.CallbackAuth, StateDir: filepath.Join(state, "partner"), BaseURL: w.ready.Partner,
		FallbackAfter: f.fallback, Log: log,
	}
	if f.reference != "" {
		opts.Reference = partner.References(f.reference)
	}
	if f.socket != "" {
		opts.Launcher = launcher{api.NewClient(f.socket)}
	}
	if w.partner, err = partner.New(opts); err != nil {
		return w, fmt.Errorf("partner: %w", err)
	}
	w.undo = append(w.undo, w.partner.Close)

	if f.tlsDir == "" {
		return w, nil
	}
	conf, err := partnerTLS(f.tlsDir, time.Now())
	if err != nil {
		return w, fmt.Errorf("-partner-tls: %w", err)
	}
	if w.ready.CA, err = filepath.Abs(filepath.Join(f.tlsDir, caFile)); err != nil {
		return w, fmt.Errorf("-partner-tls: %w", err)
	}
	if w.sealed, err = w.listen(ctx, f.tlsListen); err != nil {
		return w, err
	}
	w.ready.PartnerTLS = "https://" + w.sealed.Addr().String()
	s := w.server(w.sim.Partner(w.partner))
	s.TLSConfig = conf
	return w, nil
}

func (w *world) listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// Serving closes it before; only what never served is open still.
	w.undo = append(w.undo, func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// close undoes open.
func (w *world) close() (err error) {
	for _, undo := range slices.Backward(w.undo) {
		err = errors.Join(err, undo())
	}
	w.undo = nil
	return err
}

func (w *world) server(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
	w.servers = append(w.servers, s)
	return s
}

// run serves until ctx ends.
func (w *world) run(ctx context.Context, stdout io.Writer) error {
	mux := http.NewServeMux()
	mux.Handle("/partner/", http.StripPrefix("/partner", w.sim.Partner(w.partner)))
	mux.Handle("/", w.sim)
	plain := w.server(mux)

	g, ctx := errgroup.WithContext(ctx)
	for _, s := range w.servers {
		// Those who follow the events leave when the simulator stops.
		s.BaseContext = func(net.Listener) context.Context { return ctx }
		g.Go(func() error {
			var end error
			if s == plain {
				end = s.Serve(w.plain)
			} else {
				end = s.ServeTLS(w.sealed, "", "")
			}
			if !errors.Is(end, http.ErrServerClosed) {
				return fmt.Errorf("serve: %w", end)
			}
			return nil
		})
	}
	g.Go(func() error { return w.sim.Run(ctx) })
	g.Go(func() error { return w.partner.Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		for _, s := range w.servers {
			if s.Shutdown(last) != nil {
				_ = s.Close() // somebody hangs on: they are cut off
			}
		}
		return nil
	})
	g.Go(func() error {
		if err := json.NewEncoder(stdout).Encode(w.ready); err != nil {
			return fmt.Errorf("say that it is ready: %w", err)
		}
		return nil
	})
	return g.Wait()
}
