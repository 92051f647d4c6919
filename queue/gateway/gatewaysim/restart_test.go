package gatewaysim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

// childEnv makes the test binary a simulator: "address directory callback-URL".
const childEnv = "GATEWAYSIM_TEST_CHILD"

// TestChild is no test but the simulator that other tests kill.
func TestChild(t *testing.T) {
	job := os.Getenv(childEnv)
	if job == "" {
		t.Skip("only for the tests that start it")
	}
	if err := beSimulator(strings.Fields(job)); err != nil {
		t.Fatal(err)
	}
}

func beSimulator(job []string) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", job[0])
	if err != nil {
		return err
	}
	sim, err := gatewaysim.New(gatewaysim.Options{
		BaseURL: "http://" + job[0], StateDir: job[1], CallbackURL: job[2], JudgeAfter: 20 * time.Millisecond, Faults: "details=503x40",
	})
	if err != nil {
		return err
	}
	go func() { _ = sim.Run(context.Background()) }()
	return (&http.Server{Handler: sim, ReadHeaderTimeout: time.Minute}).Serve(l)
}

// A child is a simulator in a process of its own, which can be killed.
type child struct {
	address, dir, callback string
	cmd                    *exec.Cmd
}

func (c *child) start(t *testing.T) {
	t.Helper()
	c.cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	c.cmd.Env = append(os.Environ(), childEnv+"="+c.address+" "+c.dir+" "+c.callback)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := time.NewTicker(5 * time.Millisecond)
	defer ready.Stop()
	for range 12_000 { // a minute
		resp, err := http.Get("http://" + c.address + "/sim/faults")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		<-ready.C
	}
	t.Fatal("the simulator does not come up")
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // it was killed
}

// patient makes a request until it is answered by something other than 5xx.
func patient(ctx context.Context, method, url string, body []byte, headers ...string) (int, []byte) {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
		if err != nil {
			return 0, nil
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode < 500 {
				return resp.StatusCode, answer
			}
		}
		t := time.NewTimer(10 * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return 0, nil
}

// picture is a selfie that no other seed has.
func picture(tb testing.TB, seed byte) []byte {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, 480, 640))
	_, _ = rand.NewChaCha8([32]byte{seed, 7}).Read(img.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 10}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// TestNothingIsForgottenWhenItIsKilled kills a simulator again and again while
// clients go through the flow.
func TestNothingIsForgottenWhenItIsKilled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	told := map[string]string{} // results by submission, from callbacks
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var in struct{ SubmissionID, Result string }
		if json.NewDecoder(r.Body).Decode(&in) == nil {
			mu.Lock()
			told[in.SubmissionID] = in.Result
			mu.Unlock()
		}
	}))
	defer target.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &child{l.Addr().String(), filepath.Join(t.TempDir(), "state"), target.URL, nil}
	_ = l.Close()
	c.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	root := "http://" + c.address

	const clients, each, fewest = 4, 12, 3
	first, second := picture(t, 1), picture(t, 2)
	type capture struct{ session, token, submission string }
	var captures []capture // guarded by mu
	var kills atomic.Int32
	var work sync.WaitGroup
	for n := range clients {
		work.Go(func() {
			// On a machine that is quick, all would be done before it was killed.
			for i := 0; i < each || kills.Load() < fewest && ctx.Err() == nil; i++ {
				session := fmt.Sprintf("s-%d-%d", n, i)
				token := ""
				for token == "" && ctx.Err() == nil {
					var out struct{ Data struct{ Token string } }
					_, answer := patient(ctx, "GET", root+"/v1/coe/partner/authentication", nil, "client-id: sample-client", "pass-key: sample-pass-key")
					_ = json.Unmarshal(answer, &out)
					_, answer = patient(ctx, "POST", root+"/coe-partner/v1/initiate-flow", []byte(flowBody), flowHeaders(out.Data.Token, session)...)
					if json.Unmarshal(answer, &out) != nil {
						t.Errorf("initiate: %s", answer)
						return
					}
					token = out.Data.Token
				}
				user := []string{"x-onekyc-token: " + token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"}
				var out struct {
					Data struct {
						SubmissionID string
						Documents    map[string]struct{ DocumentURL string }
					}
				}
				status, answer := patient(ctx, "GET", root+urlsPath, nil, user...)
				if status != http.StatusOK || json.Unmarshal(answer, &out) != nil {
					t.Errorf("urls: %d %s", status, answer)
					return
				}
				for name, img := range map[string][]byte{"SELFIE": first, "ADDITIONAL_SELFIE": second} {
					if status, answer = patient(ctx, "PUT", out.Data.Documents[name].DocumentURL, img); status != http.StatusOK {
						t.Errorf("upload: %d %s", status, answer)
					}
				}
				status, answer = patient(ctx, "PUT", root+urlsPath, []byte(`{"submissionId":"`+out.Data.SubmissionID+`"}`), user...)
				if status != http.StatusOK && status != http.StatusConflict {
					t.Errorf("confirm: %d %s", status, answer)
				}
				mu.Lock()
				captures = append(captures, capture{session, token, out.Data.SubmissionID})
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		work.Wait()
		close(ended)
	}()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(20*time.Millisecond + time.Duration(random.Int64N(int64(60*time.Millisecond)))):
			if kills.Load() < 8 {
				c.kill(t)
				kills.Add(1)
				c.start(t)
			}
		}
	}
	c.kill(t) // with verdicts and callbacks to come
	c.start(t)
	defer c.kill(t)
	if n := kills.Load(); n < fewest {
		t.Errorf("it was killed %d times, which shows little", n)
	}

	_, answer := patient(ctx, "GET", root+"/sim/submissions", nil)
	confirmed := map[string]gatewaysim.Confirmed{}
	for line := range bytes.Lines(answer) {
		var one gatewaysim.Confirmed
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		if _, twice := confirmed[one.Session]; twice || one.Times != 1 {
			t.Errorf("%+v: confirmed more than once", one)
		}
		confirmed[one.Session] = one
	}
	if len(confirmed) != len(captures) {
		t.Errorf("%d confirmed, want %d", len(confirmed), len(captures))
	}
	for _, capture := range captures {
		one := confirmed[capture.session]
		want := map[string]gatewaysim.Document{
			"SELFIE":            {SHA256: hash(first), Size: int64(len(first))},
			"ADDITIONAL_SELFIE": {SHA256: hash(second), Size: int64(len(second))},
		}
		if one.Submission != capture.submission || one.Documents["SELFIE"] != want["SELFIE"] || one.Documents["ADDITIONAL_SELFIE"] != want["ADDITIONAL_SELFIE"] {
			t.Errorf("%s: %+v, want %s with %+v", capture.session, one, capture.submission, want)
		}
		_, img := patient(ctx, "GET", root+"/sim/objects/"+capture.submission+"/SELFIE", nil)
		if !bytes.Equal(img, first) {
			t.Errorf("%s: the image is not what was uploaded", capture.session)
		}
		user := []string{"x-onekyc-token: " + capture.token, "x-partner-session-id: " + capture.session, "x-sdk-session-id: sdk"}
		until(ctx, t, "a verdict and its callback", func() bool {
			_, answer := patient(ctx, "GET", root+"/coe/v1/submissions/"+capture.submission+"/status", nil, user...)
			mu.Lock()
			defer mu.Unlock()
			return bytes.Contains(answer, []byte(`"status":"COMPLETED"`)) && told[capture.submission] == "VALID"
		})
	}
	if _, left := patient(ctx, "GET", root+"/sim/faults", nil); string(left) != "details=503x40\n" {
		t.Errorf("faults to come: %q, want those of the start", left)
	}
	_, events := patient(ctx, "GET", root+"/sim/events", nil)
	seq := 0
	for line := range bytes.Lines(events) {
		var ev gatewaysim.Event
		if err := json.Unmarshal(line, &ev); err != nil || ev.Seq != seq+1 {
			t.Fatalf("event %q after number %d: %v", line, seq, err)
		}
		seq = ev.Seq
	}
}

func until(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: never", what)
		case <-tick.C:
		}
	}
}

func TestFaultsThatAreLeftSurvive(t *testing.T) {
	dir := t.TempDir()
	start := func(script string) *world {
		return newWorld(t, gatewaysim.Options{StateDir: dir, Faults: script})
	}
	left := func(w *world) string { return string(w.call(t, "GET", "/sim/faults", "").body) }
	w := start("partner_token=503x3 urls=lost%5")
	w.call(t, "GET", "/v1/coe/partner/authentication", "")
	w.stop(t)
	w = start("partner_token=503x3 urls=lost%5")
	if got := left(w); got != "partner_token=503x2\nurls=lost%5\n" {
		t.Errorf("the same script again: %q", got)
	}
	w.stop(t)
	w = start("")
	if got := left(w); got != "partner_token=503x2\nurls=lost%5\n" {
		t.Errorf("no script: %q", got)
	}
	w.stop(t)
	w = start("urls=500")
	if got := left(w); got != "urls=500\n" {
		t.Errorf("another script: %q", got)
	}
}

func TestAStateDirectoryIsItsOwn(t *testing.T) {
	// A state with something in it, to damage.
	good := t.TempDir()
	w := newWorld(t, gatewaysim.Options{StateDir: good})
	w.confirmed(t, w.user(t, "s"))
	if _, err := gatewaysim.New(gatewaysim.Options{StateDir: good}); err == nil || !strings.Contains(err.Error(), "another simulator") {
		t.Errorf("two simulators in one directory: %v", err)
	}
	w.stop(t)
	whole, err := os.ReadFile(filepath.Join(good, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		state []byte
		other string // a file beside it
		says  string
	}{
		"of somebody else":       {nil, "thesis.tex", "thesis.tex"},
		"whose file is empty":    {[]byte{}, "", "cut short"},
		"whose file is no state": {bytes.Repeat([]byte("x"), 1<<16), "", "no bbolt file"},
		"cut short":              {whole[:10*4096], "", "cut short"},
		"cut to its head":        {whole[:5000], "", "cut short"},
		"with a damaged record":  {bytes.ReplaceAll(whole, []byte(`"idType":"CUSTOMER_ID"`), []byte(`"idType":"CUSTOMER_IX"`)), "", "checksum"},
		"overwritten in part":    {append(append(bytes.Clone(whole[:3*4096]), bytes.Repeat([]byte{0xa5}, 20*4096)...), whole[23*4096:]...), "", "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.state != nil {
				if err := os.WriteFile(filepath.Join(dir, "state.db"), tt.state, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.other != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.other), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sim, err := gatewaysim.New(gatewaysim.Options{StateDir: dir})
			if err == nil {
				_ = sim.Close()
				t.Fatal("it is taken")
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v: does not say %q and which directory", err, tt.says)
			}
		})
	}
	w = newWorld(t, gatewaysim.Options{StateDir: good})
	if n := len(w.Confirmed()); n != 1 {
		t.Errorf("%d confirmed after all that, want 1", n)
	}
}

// FuzzState: whatever lies in a record, a simulator starts or says that it does
// not.
func FuzzState(f *testing.F) {
	for bucket, record := range map[string]string{
		"sessions":    `{"id":"k","user":"u","idType":"T","flow":"STANDALONE_LIVENESS","confirmed":1,"number":4}`,
		"submissions": `{"id":"k","session":"s","status":"IN_PROGRESS","documents":{"SELFIE":{"state":"UPLOADED","kept":true,"size":5},"ADDITIONAL_SELFIE":{}},"told":true,"verdict":{}}`,
		"tokens":      `{"session":"s","expires":"2026-01-02T03:04:05Z","number":1}`,
		"callbacks":   `{"number":7,"submission":"k","body":{},"tries":3}`,
		"events":      `{"seq":1,"call":"urls"}`,
		"meta":        `["urls=503"]`,
	} {
		f.Add(bucket, "k", []byte(record), true)
	}
	f.Fuzz(func(_ *testing.T, bucket, key string, record []byte, sealed bool) {
		_ = gatewaysim.CheckRecord(bucket, key, record, sealed)
	})
}

func BenchmarkSubmissions(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable=%t", durable), func(b *testing.B) {
			opts := gatewaysim.Options{}
			if durable {
				opts.StateDir = filepath.Join(b.TempDir(), "state")
			}
			sim, err := gatewaysim.New(opts)
			if err != nil {
				b.Fatal(err)
			}
			server := httptest.NewServer(sim)
			ctx, cancel := context.WithCancel(b.Context())
			var run sync.WaitGroup
			run.Go(func() { _ = sim.Run(ctx) })
			defer func() {
				cancel()
				run.Wait()
				server.Close()
				if err := sim.Close(); err != nil {
					b.Error(err)
				}
			}()
			img := picture(b, 1)
			img = append(img[:len(img)-2], append(make([]byte, 150_000-len(img)), 0xff, 0xd9)...)
			if pool, is := http.DefaultTransport.(*http.Transport); is {
				pool.MaxIdleConnsPerHost = 32
			}
			var out struct{ Data struct{ Token string } }
			_, answer := patient(ctx, "GET", server.URL+"/v1/coe/partner/authentication", nil, "client-id: sample-client", "pass-key: sample-pass-key")
			if err := json.Unmarshal(answer, &out); err != nil {
				b.Fatal(err)
			}
			partner := out.Data.Token
			b.SetBytes(int64(2 * len(img)))
			b.SetParallelism(8)
			var n int64
			var mu sync.Mutex
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mu.Lock()
					n++
					session := fmt.Sprint("s", n)
					mu.Unlock()
					var out struct {
						Data struct {
							Token, SubmissionID string
							Documents           map[string]struct{ DocumentURL string }
						}
					}
					_, answer := patient(ctx, "POST", server.URL+"/coe-partner/v1/initiate-flow", []byte(flowBody), flowHeaders(partner, session)...)
					_ = json.Unmarshal(answer, &out)
					user := []string{"x-onekyc-token: " + out.Data.Token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"}
					_, answer = patient(ctx, "GET", server.URL+urlsPath, nil, user...)
					_ = json.Unmarshal(answer, &out)
					for _, d := range out.Data.Documents {
						patient(ctx, "PUT", d.DocumentURL, img)
					}
					if status, answer := patient(ctx, "PUT", server.URL+urlsPath, []byte(`{"submissionId":"`+out.Data.SubmissionID+`"}`), user...); status != http.StatusOK {
						b.Errorf("confirm: %d %s", status, answer)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
			if info, err := os.Stat(filepath.Join(opts.StateDir, "state.db")); err == nil {
				b.ReportMetric(float64(info.Size())/1e6, "MB-file")
			}
		})
	}
}
