package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
)

// stateFile is what the simulator keeps everything in, in its directory.
const stateFile = "state.db"

// patience is how long one image may take, and one call of the gateway.
const patience = 30 * time.Second

// A world is the simulated gateway on loopback: the part of a run that no power
// cut of the kiosk touches.
type world struct {
	url    string
	sim    *gatewaysim.Sim
	dir    string
	server *http.Server
	cancel context.CancelFunc
	ran    chan error

	turn    sync.Mutex // of the one request that is served
	changed func()     // called after each request, before it is answered; nil: nothing is
}

// openWorld starts a gateway with what dir holds, which may be nothing. judge
// decides about images; nil: all are good. It ends with close.
func openWorld(ctx context.Context, dir string, judge func([]byte) bool) (*world, error) {
	opts := gatewaysim.Options{StateDir: dir, Lifetimes: gatewaysim.Lifetimes{Image: time.Millisecond}}
	if judge != nil {
		opts.FaceCheck = func(_ context.Context, jpeg []byte) (gatewaysim.Face, error) {
			if judge(jpeg) {
				return gatewaysim.Face{Faces: 1, Live: 0.99}, nil
			}
			return gatewaysim.Face{Faces: 1, Live: 0.1}, nil
		}
	}
	sim, err := gatewaysim.New(opts)
	if err != nil {
		return nil, fmt.Errorf("start gateway: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start gateway: %w", err), sim.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &world{url: "http://" + listener.Addr().String(), sim: sim, dir: dir, cancel: cancel, ran: make(chan error, 2)}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: patience}
	go func() { w.ran <- sim.Run(ctx) }()
	go func() {
		err := w.server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		w.ran <- err
	}()
	return w, nil
}

func (w *world) close() error {
	err := w.server.Close()
	w.cancel()
	err = errors.Join(err, <-w.ran, <-w.ran)
	w.turn.Lock() // of a request that outlived its client
	defer w.turn.Unlock()
	return errors.Join(err, w.sim.Close())
}

// ServeHTTP serves one request at a time. What it did is noted before anybody
// is told.
func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		return // the client is gone, and nothing was done
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.Body = http.NoBody
	if body.Len() > 0 {
		r.Body = io.NopCloser(&body)
	}
	w.settle(r)
	answer := httptest.NewRecorder()
	w.sim.ServeHTTP(answer, r)
	if w.changed != nil {
		w.changed()
	}
	maps.Copy(out.Header(), answer.Header())
	out.WriteHeader(answer.Code)
	_, _ = out.Write(answer.Body.Bytes()) // the client may be gone
}

// settle waits for the verdict that a request asks for: a deliverer that came
// too early would ask again a second later.
func (w *world) settle(r *http.Request) {
	rest, is := strings.CutSuffix(r.URL.Path, "/status")
	if !is {
		return
	}
	id := rest[strings.LastIndex(rest, "/")+1:]
	confirmed := false
	for _, c := range w.sim.Confirmed() {
		confirmed = confirmed || c.Submission == id && c.Result == ""
	}
	if !confirmed {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	_, _ = w.sim.Await(ctx, func(ev gatewaysim.Event) bool { // if not, the deliverer asks again
		return ev.Call == "verdict" && ev.Submission == id
	})
}

// confirmed counts, by the selfie, how often captures took effect.
func (w *world) confirmed() map[string]int {
	n := map[string]int{}
	for _, c := range w.sim.Confirmed() {
		n[c.Documents[string(kiosk.Selfie)].SHA256] += c.Times
	}
	return n
}

// A history keeps the states that a world was in.
type history struct {
	mu     sync.Mutex
	states []*disk
	sizes  []int64
}

// add copies the state that w is in and returns its number. Nobody may ask
// anything of w meanwhile; what it writes by itself may come in between, and
// then it is copied again.
func (h *history) add(w *world) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	path := filepath.Join(w.dir, stateFile)
	var last []byte
	for range 100 {
		content, err := os.ReadFile(path)
		if err != nil {
			return 0, fmt.Errorf("copy the gateway's state: %w", err)
		}
		if last != nil && bytes.Equal(last, content) {
			h.keep(content)
			return len(h.states) - 1, nil
		}
		last = content
	}
	return 0, errors.New("copy the gateway's state: it does not stop changing")
}

func (h *history) keep(content []byte) {
	size := int64(len(content))
	content = bytes.TrimRight(content, "\x00")
	content = append(content, make([]byte, (blockSize-len(content)%blockSize)%blockSize)...)
	d := &disk{}
	if n := len(h.states); n > 0 {
		d = h.states[n-1].clone()
	}
	d.resize(len(content) / blockSize)
	d.write(0, content)
	h.states, h.sizes = append(h.states, d), append(h.sizes, size)
}

// put makes a state the one in dir.
func (h *history) put(state int, dir string) error {
	h.mu.Lock()
	d, size := h.states[state], h.sizes[state]
	h.mu.Unlock()
	f, err := os.Create(filepath.Join(dir, stateFile))
	if err != nil {
		return fmt.Errorf("put the gateway's state back: %w", err)
	}
	for _, b := range d.blocks {
		if _, err = f.Write(b.data[:]); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("put the gateway's state back: %w", err)
	}
	return nil
}

// A partner is the part of a partner backend that a kiosk asks for tokens. It
// remembers nothing: every question names the person.
type partner struct {
	backend *gateway.Backend

	mu    sync.Mutex
	token gateway.Token
	told  func(token string) error // of each user token; nil: nobody is
}

func newPartner(url string) (*partner, error) {
	backend, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: url, GatewayURL: url, ClientID: "sample-client", PassKey: "sample-pass-key", PartnerCode: "SAMPLE", Platform: "KIOSK",
	})
	if err != nil {
		return nil, err
	}
	return &partner{backend: backend}, nil
}

// UserToken is deliver.Partner's.
func (p *partner) UserToken(ctx context.Context, r kiosk.TokenRequest) (kiosk.UserToken, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token.Value == "" {
		token, err := p.backend.PartnerToken(ctx)
		if err != nil {
			return kiosk.UserToken{}, err
		}
		p.token = token
	}
	flow, err := p.backend.InitiateFlow(ctx, p.token, gateway.FlowRequest{
		Flow: gateway.StandaloneLiveness, Source: gateway.SDK, SessionID: r.CorrelationID, UserID: r.UserID, UserIDType: r.UserIDType,
	})
	if err != nil {
		return kiosk.UserToken{}, err
	}
	if p.told != nil {
		if err := p.told(flow.Token.Value); err != nil {
			return kiosk.UserToken{}, err
		}
	}
	return flow.Token, nil
}
