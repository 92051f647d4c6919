package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/queue/seal"
)

// startRelay runs the command and returns where it listens, and what stops it
// and returns its exit code and log.
func startRelay(t *testing.T, args ...string) (where string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	r, w := io.Pipe()
	var log strings.Builder
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"relay", "--json", "--listen", "127.0.0.1:0"}, args...), world{out: w, err: &log, getenv: os.Getenv, now: time.Now})
		_ = w.Close()
	}()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	var told struct{ Address, Key string }
	if err != nil || json.Unmarshal(line, &told) != nil || told.Key == "" {
		cancel()
		t.Fatalf("said %q (%v), want its address and key; exit %d\n%s", line, err, <-done, &log)
	}
	return told.Address, func() (int, string) {
		cancel()
		return <-done, log.String()
	}
}

// certificate writes a server's certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "relay.crt"), filepath.Join(dir, "relay.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return cert, key, roots
}

func TestRelayServesKiosksUntilItIsStopped(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			w := partnertest.New(t, gatewaysim.Options{})
			dir := t.TempDir()
			key, err := seal.Make(filepath.Join(dir, "key"), seal.X25519)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"--key", filepath.Join(dir, "key"), "--upstream", w.URL}
			o := gateway.Options{PartnerURL: w.PartnerURL}
			if scheme == "https" {
				cert, certKey, roots := certificate(t, dir)
				args, o.RootCAs = append(args, "--tls-cert", cert, "--tls-key", certKey), roots
			}
			where, stop := startRelay(t, args...)
			if !strings.HasPrefix(where, scheme+"://127.0.0.1:") {
				t.Errorf("listens at %s, want %s on loopback", where, scheme)
			}
			o.GatewayURL = where
			client, err := gateway.New(o)
			if err != nil {
				t.Fatal(err)
			}
			token, err := client.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "c", UserID: "u", Locale: kiosk.English})
			if err != nil {
				t.Fatal(err)
			}
			targets, err := client.Targets(t.Context(), kiosk.Credentials{Token: token.Value, CorrelationID: "c", Session: "s"})
			if err != nil {
				t.Fatal(err)
			}
			envelope, err := seal.SealEnvelope(key.Public(), seal.Binding{Format: 1, Attempt: 1, Record: "r", Correlation: "c", Part: "image/SELFIE"}, []byte("a face"))
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: envelope}); err != nil {
				t.Errorf("upload: %v", err)
			}
			code, log := stop()
			if code != exitOK {
				t.Errorf("exit %d, want 0", code)
			}
			for _, want := range []string{`"msg":"relay ready"`, key.Fingerprint(), `"msg":"call answered"`, `"msg":"relay stopped"`} {
				if !strings.Contains(log, want) {
					t.Errorf("the log has no %s\n%s", want, log)
				}
			}
			for _, secret := range []string{token.Value, "/relay/v1/uploads/", "X-Amz"} {
				if strings.Contains(log, secret) {
					t.Errorf("the log tells %s", secret)
				}
			}
		})
	}
}

func TestARelayThatCannotServeSaysWhy(t *testing.T) {
	dir := t.TempDir()
	key, open, empty := filepath.Join(dir, "key"), filepath.Join(dir, "open"), filepath.Join(dir, "empty")
	for _, path := range []string{key, open} {
		if _, err := seal.Make(path, seal.X25519); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const upstream = "--upstream https://gateway.example "
	for name, test := range map[string]struct {
		args string
		code int
		says string
	}{
		"no key":                       {upstream, exitUsage, "--key is missing"},
		"no gateway":                   {"--key " + key, exitUsage, "--upstream is missing"},
		"a gateway in the clear":       {"--upstream http://gateway.example --key " + key, exitUsage, "gateway URL: is plain http"},
		"no such key":                  {upstream + "--key " + filepath.Join(dir, "none"), exitData, "--key: "},
		"a key that others can read":   {upstream + "--key " + open, exitData, "mode 0644"},
		"a key that is none":           {upstream + "--key " + empty, exitData, "--key: "},
		"an older key that is none":    {upstream + "--key " + key + " --key " + empty, exitData, "--key: "},
		"plain HTTP for everybody":     {upstream + "--key " + key + " --listen 0.0.0.0:0", exitUsage, "is not loopback"},
		"plain HTTP on every address":  {upstream + "--key " + key + " --listen :0", exitUsage, "is not loopback"},
		"no address":                   {upstream + "--key " + key + " --listen here", exitUsage, "--listen: "},
		"a certificate without a key":  {upstream + "--key " + key + " --tls-cert x", exitUsage, "give both or none"},
		"no such certificate":          {upstream + "--key " + key + " --tls-cert x --tls-key y", exitData, "--tls-cert: "},
		"authorities that are none":    {upstream + "--key " + key + " --ca " + key, exitData, "holds no certificate"},
		"a base URL in the clear":      {upstream + "--key " + key + " --base-url http://relay.example", exitUsage, "base URL: is plain http"},
		"one word too many":            {upstream + "--key " + key + " now", exitUsage, "one argument too many"},
		"an address that is not here":  {upstream + "--key " + key + " --listen 127.0.0.1:1 --socket x --listen 127.0.0.1:x", exitUnavailable, "listen: "},
		"a password in the gateway":    {"--upstream https://u:s3cret@gateway.example --key " + key, exitUsage, "holds a password"},
		"a gateway that is no gateway": {"--upstream gateway --key " + key, exitUsage, "gateway URL: has no host"},
	} {
		t.Run(name, func(t *testing.T) {
			var errs strings.Builder
			code := run(t.Context(), append([]string{"relay"}, strings.Fields(test.args)...), world{out: io.Discard, err: &errs, getenv: os.Getenv, now: time.Now})
			if code != test.code || !strings.Contains(errs.String(), test.says) || strings.Contains(errs.String(), "s3cret") {
				t.Errorf("exit %d %q, want %d with %q", code, &errs, test.code, test.says)
			}
		})
	}
}
