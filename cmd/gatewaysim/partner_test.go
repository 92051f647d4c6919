package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// program runs the command until the test ends and returns its line.
func program(t *testing.T, args ...string) (line ready, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, w := io.Pipe()
	var log bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"-listen", "127.0.0.1:0", "-no-face-check"}, args...), w, &log)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if c := <-code; c != exitOK {
				t.Errorf("exit code %d: %s", c, log.String())
			}
		})
	}
	t.Cleanup(stop)
	read := make(chan error, 1)
	go func() { read <- json.NewDecoder(out).Decode(&line) }()
	select {
	case err := <-read:
		if err != nil {
			t.Fatal(err)
		}
	case c := <-code:
		t.Fatalf("exit code %d: %s", c, log.String())
	}
	return line, stop
}

// A frontEnd is the partner's: it talks to the partner backend only.
type frontEnd struct {
	t    *testing.T
	root string
}

func (f frontEnd) call(method, path, body string, out any) int {
	f.t.Helper()
	req, err := http.NewRequest(method, f.root+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		f.t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
	return resp.StatusCode
}

func roots(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", file)
	}
	return pool
}

func TestAKioskComesWithItsCertificateOrNotAtAll(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	line, stop := program(t, "-partner-tls", keys)
	others := filepath.Join(t.TempDir(), "others")
	if _, err := partnerTLS(others, time.Now()); err != nil {
		t.Fatal(err)
	}
	pair := func(dir, cert, key string) []tls.Certificate {
		p, err := tls.LoadX509KeyPair(filepath.Join(dir, cert), filepath.Join(dir, key))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{p}
	}
	post := func(certificates []tls.Certificate) (int, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(t, line.CA), Certificates: certificates}, ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		resp, err := c.Post(line.PartnerTLS+"/v1/kiosk/initiate", "application/json", strings.NewReader(`{"correlationId":"c","userId":"u","locale":"id"}`))
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if code, err := post(pair(keys, kioskCertFile, kioskKeyFile)); err != nil || code != http.StatusOK {
		t.Errorf("the kiosk: %d %v", code, err)
	}
	if code, err := post(nil); err != nil || code != http.StatusForbidden {
		t.Errorf("nobody: %d %v, want 403", code, err)
	}
	if code, err := post(pair(others, kioskCertFile, kioskKeyFile)); err == nil {
		t.Errorf("another CA's kiosk: %d, want no connection", code)
	}
	if code, err := post(pair(keys, serverCert, serverKey)); err == nil {
		t.Errorf("a server's certificate: %d, want no connection", code)
	}

	// The same certificates serve the next start.
	stop()
	ca, err := os.ReadFile(line.CA)
	if err != nil {
		t.Fatal(err)
	}
	line, _ = program(t, "-partner-tls", keys)
	if again, err := os.ReadFile(line.CA); err != nil || !bytes.Equal(again, ca) {
		t.Errorf("another CA after a restart: %v", err)
	}
	entries, err := os.ReadDir(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
		if strings.HasPrefix(e.Name(), "ca") && strings.HasSuffix(e.Name(), ".key") {
			t.Error("the CA's key is kept")
		}
	}
	conf, err := partnerTLS(keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(conf.Certificates[0].Leaf.NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour {
		t.Errorf("good for %v, want a year", left)
	}
}

func TestCertificatesThatCannotServeAreNamed(t *testing.T) {
	fresh := func() string {
		dir := filepath.Join(t.TempDir(), "keys")
		if _, err := partnerTLS(dir, time.Now()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		at    time.Time
		says  string
	}{
		"open to others":    {func(dir string) error { return os.Chmod(dir, 0o755) }, time.Now(), "chmod 700"},
		"a missing key":     {func(dir string) error { return os.Remove(filepath.Join(dir, serverKey)) }, time.Now(), "remove"},
		"no certificate":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, caFile), nil, 0o600) }, time.Now(), "no certificate"},
		"a year has passed": {func(string) error { return nil }, time.Now().Add(certificateLife + time.Hour), "expired"},
	} {
		dir := fresh()
		if err := tt.spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := partnerTLS(dir, tt.at); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
	// What a kill left before the set was whole is made anew.
	dir := fresh()
	if err := os.Remove(filepath.Join(dir, caFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := partnerTLS(dir, time.Now()); err != nil {
		t.Errorf("a set that was not whole: %v", err)
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	line, stop := program(t, "-state", state)
	initiate := func(line ready, user string) int {
		var out map[string]any
		return frontEnd{t, line.Partner}.call("POST", "/v1/kiosk/initiate", `{"correlationId":"c","userId":"`+user+`","locale":"id"}`, &out)
	}
	if code := initiate(line, "u"); code != http.StatusOK {
		t.Fatalf("initiate: %d", code)
	}
	stop()
	line, _ = program(t, "-state", state)
	if code := initiate(line, "other"); code != http.StatusConflict {
		t.Errorf("another person's flow after a restart: %d, want 409", code)
	}
	if code := initiate(line, ""); code != http.StatusOK {
		t.Errorf("a renewal after a restart: %d", code)
	}
}
