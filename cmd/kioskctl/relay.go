package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// A relayCommand is the command line of the relay.
type relayCommand struct {
	listen   string
	keys     files // the current one first
	upstream string
	ca       string // file; "": the system's
	cert     string // file; "": no TLS
	certKey  string
	base     string
}

// files is a flag that can be given several times.
type files []string

// String implements flag.Value.
func (f *files) String() string { return strings.Join(*f, ",") }

// Set implements flag.Value.
func (f *files) Set(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	*f = append(*f, s)
	return nil
}

func relayFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var r relayCommand
	fs.StringVar(&r.listen, "listen", "127.0.0.1:8788", "`address` to listen on; beyond loopback only with TLS")
	fs.Var(&r.keys, "key", "`file` with the relay's private key; given again, with older ones")
	fs.StringVar(&r.upstream, "upstream", "", "`URL` of the identity gateway")
	fs.StringVar(&r.ca, "ca", "", "`file` with the authorities of the gateway's and its store's certificates, in PEM; default is the system's")
	fs.StringVar(&r.cert, "tls-cert", "", "`file` with the relay's own certificate, in PEM")
	fs.StringVar(&r.certKey, "tls-key", "", "`file` with its key")
	fs.StringVar(&r.base, "base-url", "", "`URL` by which kiosks reach the relay, if something before it ends their TLS")
	return func(ctx context.Context, c call, args []string) error {
		if err := words(args); err != nil {
			return err
		}
		return r.run(ctx, c)
	}
}

// run serves until ctx ends. What was begun by then is finished.
func (r relayCommand) run(ctx context.Context, c call) error {
	// A crash must not write the faces that pass through to a disk.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})

	log := slog.New(slog.NewJSONHandler(c.err, nil)).With(slog.String("version", version))
	opts, err := r.options(log)
	if err != nil {
		return err
	}
	h, err := relay.New(opts)
	if err != nil {
		return usage("%w", err)
	}
	conf, err := r.tls()
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	where := "http://" + l.Addr().String()
	if conf != nil {
		where = "https://" + l.Addr().String()
	}
	log.InfoContext(ctx, "relay ready", slog.String("address", where), slog.Any("keys", opts.Keys))
	fingerprint := opts.Keys.Current().Fingerprint()
	if err := c.print(map[string]string{"address": where, "key": fingerprint}, fmt.Sprintf("relay at %s, key %s", where, fingerprint)); err != nil {
		_ = l.Close()
		return err
	}
	if err := serveRelay(ctx, l, conf, h, log); err != nil {
		return err
	}
	log.InfoContext(context.WithoutCancel(ctx), "relay stopped")
	return nil
}

// options opens what the relay needs.
func (r relayCommand) options(log *slog.Logger) (relay.Options, error) {
	o := relay.Options{GatewayURL: r.upstream, BaseURL: r.base, Log: log}
	host, _, err := net.SplitHostPort(r.listen)
	switch {
	case err != nil:
		return o, usage("--listen: %q is no address such as 127.0.0.1:8788", r.listen)
	case len(r.keys) == 0:
		return o, usage("--key is missing")
	case r.upstream == "":
		return o, usage("--upstream is missing")
	case (r.cert == "") != (r.certKey == ""):
		return o, usage("--tls-cert and --tls-key: give both or none")
	case r.cert == "" && !here(host):
		return o, usage("--listen: %s is not loopback, and tokens and sealed faces go nowhere else without TLS: give --tls-cert and --tls-key", r.listen)
	}
	var keys []*seal.Key
	for _, file := range r.keys {
		k, err := seal.Load(file)
		if err != nil {
			return o, &exitError{exitData, fmt.Errorf("--key: %w", err)}
		}
		keys = append(keys, k)
	}
	o.Keys = seal.NewRing(keys[0], keys[1:]...)
	if r.ca != "" {
		pem, err := os.ReadFile(r.ca)
		if err != nil {
			return o, &exitError{exitData, fmt.Errorf("--ca: %w", err)}
		}
		if o.RootCAs = x509.NewCertPool(); !o.RootCAs.AppendCertsFromPEM(pem) {
			return o, &exitError{exitData, fmt.Errorf("--ca: %s holds no certificate in PEM", r.ca)}
		}
	}
	return o, nil
}

// here reports whether a host is this machine's loopback.
func here(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// tls is how kiosks are met; nil for plain HTTP. A certificate that is renewed
// in its files counts from the next handshake on.
func (r relayCommand) tls() (*tls.Config, error) {
	if r.cert == "" {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	load, err := gateway.ClientCertificate(r.cert, r.certKey)
	if err != nil {
		return nil, &exitError{exitData, fmt.Errorf("--tls-cert: %w", err)}
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}, nil
}

// lastCalls is how long calls that were begun may take to end: as long as one
// of the relay's own to the gateway.
const lastCalls = 30 * time.Second

// serveRelay serves h until ctx ends, over TLS if there is a conf.
func serveRelay(ctx context.Context, l net.Listener, conf *tls.Config, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second, // of bodies and answers the relay sees to itself
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		TLSConfig:         conf,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		var end error
		if conf == nil {
			end = s.Serve(l)
		} else {
			end = s.ServeTLS(l, "", "")
		}
		if !errors.Is(end, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", end)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCalls)
		defer cancel()
		if s.Shutdown(last) != nil {
			_ = s.Close() // a kiosk that hangs on tries again
		}
		return nil
	})
	return g.Wait()
}
