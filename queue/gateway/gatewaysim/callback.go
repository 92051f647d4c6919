package gatewaysim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A callback that is not taken is sent again after callbackPause, then after
// twice that and so on, at most callbackRest, until it was sent callbackTries
// times: for five minutes or so.
const (
	callbackTries = 12
	callbackPause = 500 * time.Millisecond
	callbackRest  = time.Minute
	keptCallbacks = 10_000
	mostRepeats   = 100
	shuffleLeast  = 200 * time.Millisecond
	shuffleMost   = 2 * time.Second
)

// A callback is one call 8 that is still to be made.
type callback struct {
	Number     uint64          `json:"number"`
	Submission string          `json:"submission"`
	Session    string          `json:"session"`
	Body       json.RawMessage `json:"body"`
	Result     string          `json:"result"`
	Reason     string          `json:"reason,omitempty"`
	Tries      int             `json:"tries"`
}

// callBack puts a verdict's callbacks on the agenda. The mutex is held.
func (s *Sim) callBack(sub *submission) {
	if s.opts.CallbackURL == "" {
		return
	}
	v := sub.Verdict
	images := map[string]string{}
	for _, d := range selfies() {
		images[d] = s.imageURL(sub.Base, v.At, place{sub.ID, d})
	}
	body := map[string]any{
		"submissionId": sub.ID, "flow": sub.session.Flow, "userId": sub.session.User, "userIdType": sub.session.IDType,
		"partnerSessionId": sub.Session, "status": v.Status, "result": v.result(), "reasonCode": v.Reason,
		"processedAt": v.At.UTC().Format(time.RFC3339),
		"submissionDetails": map[string]any{
			"verificationResult": map[string]any{"liveness": v.result(), "confidence": strconv.Itoa(v.Confidence)},
			"imageUrls":          images,
		},
	}
	send := func(body map[string]any, after time.Duration) {
		b, err := json.Marshal(body)
		if err != nil { // only for values that this package did not build
			panic(err)
		}
		c := &callback{Number: s.next(), Submission: sub.ID, Session: sub.Session, Body: b, Result: v.result(), Reason: v.Reason}
		s.giveUpOldest()
		s.callbacks[c.Number] = c
		s.saveCallback(c, c)
		s.sending.add(after, s.send(c))
	}
	send(body, 0)
	for range s.opts.CallbackRepeats {
		send(body, s.shuffled())
	}
	if s.opts.CallbackShuffle {
		early := map[string]any{"status": "IN_PROGRESS", "processedAt": sub.Confirmed.UTC().Format(time.RFC3339)}
		for _, k := range []string{"submissionId", "flow", "userId", "userIdType", "partnerSessionId"} {
			early[k] = body[k]
		}
		send(early, s.shuffled())
	}
}

// giveUpOldest makes room for a callback. The mutex is held.
func (s *Sim) giveUpOldest() {
	if len(s.callbacks) < keptCallbacks {
		return
	}
	oldest := slices.Min(slices.Collect(maps.Keys(s.callbacks)))
	s.saveCallback(s.callbacks[oldest], nil)
	delete(s.callbacks, oldest)
}

// waits reports whether a callback is still to be made.
func (s *Sim) waits(c *callback) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callbacks[c.Number] == c
}

// shuffled is how late a callback comes that is to be out of order.
func (s *Sim) shuffled() time.Duration {
	if !s.opts.CallbackShuffle {
		return 0
	}
	return shuffleLeast + rand.N(shuffleMost-shuffleLeast)
}

// send returns the work of making a callback, and of seeing to it that it is
// made again if it was not taken.
func (s *Sim) send(c *callback) func(context.Context) {
	return func(ctx context.Context) {
		if !s.waits(c) {
			return // given up for newer ones
		}
		if err := s.settle(); err != nil {
			return // Run ends with it
		}
		err := s.post(ctx, c)
		if ctx.Err() != nil {
			return // a simulator with a state goes on with it when it starts again
		}
		s.mu.Lock()
		c.Tries++
		switch {
		case s.callbacks[c.Number] != c: // given up meanwhile
		case err == nil || c.Tries >= callbackTries:
			delete(s.callbacks, c.Number)
			s.saveCallback(c, nil)
		default:
			s.saveCallback(c, c)
			s.sending.add(min(callbackRest, callbackPause<<(c.Tries-1)), s.send(c))
		}
		s.mu.Unlock()
		if err != nil {
			s.log.WarnContext(ctx, "callback not taken", slog.Int("tries", c.Tries), slog.Bool("given_up", c.Tries >= callbackTries), slog.Any("err", err))
		}
	}
}

// post makes a callback once.
func (s *Sim) post(ctx context.Context, c *callback) error {
	if s.opts.CallbackURL == "" {
		return nil // left by a start that had a partner
	}
	ev := Event{Call: callCallback, Correlation: c.Session, Submission: c.Submission, Result: c.Result, Reason: c.Reason}
	f, answer, err := s.ask(ctx, callCallback, s.opts.CallbackMethod, s.opts.CallbackURL, s.opts.CallbackAuth, c.Body)
	if refused, answered := errors.AsType[*statusError](err); answered {
		ev.Status = refused.status
	} else if err == nil {
		ev.Status = http.StatusOK
	}
	if f.Kind != "" {
		ev.Fault = f.String()
	}
	var heard struct {
		Duplicate bool `json:"duplicate"`
	}
	ev.Duplicate = json.Unmarshal(answer, &heard) == nil && heard.Duplicate
	if ctx.Err() == nil {
		s.record(ctx, ev)
	}
	return err
}

// A statusError is an answer that is no success.
type statusError struct{ status int }

func (e *statusError) Error() string { return "answered " + strconv.Itoa(e.status) }

var (
	errFault   = errors.New("a scripted fault")
	errTooLong = fmt.Errorf("the answer is longer than %d bytes", mostBytes)
)

// ask makes a call to the partner backend, or has its scripted fault, and
// returns the body of a success.
func (s *Sim) ask(ctx context.Context, call, method, url, auth string, body []byte) (f Fault, answer []byte, err error) {
	if call != "" {
		f = s.faults.take(call)
	}
	limit := callLimit
	if f.Kind == kindHang {
		limit = max(limit, f.Wait+time.Second) // it waits as it was told
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if f.replaces() {
		out := f.reply(ctx, call)
		switch {
		case out.drop:
			return f, nil, errFault
		case out.status/100 != 2:
			return f, nil, &statusError{out.status}
		case len(out.body) > mostBytes:
			return f, nil, errTooLong
		}
		return f, out.body, nil
	}
	var from io.Reader = bytes.NewReader(body)
	switch f.Kind {
	case kindSlow:
		from = &pacer{r: from, ctx: ctx, rate: f.Rate}
	case kindHalf:
		from = io.MultiReader(io.LimitReader(from, int64(len(body)/2)), broken{})
	}
	req, err := http.NewRequestWithContext(ctx, method, url, from)
	if err != nil {
		return f, nil, err
	}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	if f.Skew != 0 {
		req.Header.Set("Date", s.opts.Now().Add(f.Skew).UTC().Format(http.TimeFormat))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return f, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	answer, err = io.ReadAll(io.LimitReader(resp.Body, mostBytes+1))
	switch {
	case err != nil:
		return f, nil, err
	case len(answer) > mostBytes:
		return f, nil, errTooLong
	case f.Kind == kindLost:
		return f, nil, errFault
	case resp.StatusCode/100 != 2:
		return f, nil, &statusError{resp.StatusCode}
	}
	return f, answer, nil
}

// broken is the rest of a body that does not come.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errFault }

// loopback returns a client that reaches nothing but this machine, by no proxy,
// and follows no redirect.
func loopback() *http.Client {
	dialer := &net.Dialer{Timeout: callLimit, Control: func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%s is not on loopback: the simulator calls nobody else", address)
		}
		return nil
	}}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 2 * senders, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
