package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"livekiosk/kiosk"
)

// Errors of a Client that callers test for.
var (
	ErrUnreachable = errors.New("the daemon does not answer")
	ErrForbidden   = errors.New("no permission to use the daemon's socket")
	ErrBroken      = errors.New("the connection to the daemon broke off")
	ErrStopping    = errors.New("the daemon is stopping")
)

// A RefusalError is an answer of the daemon that is not a success.
type RefusalError struct {
	HTTP       int // status
	Message    string
	ErrorCode  kiosk.ErrorCode
	Detail     kiosk.DetailedCode // 0 for all but launches, bookings and drops
	Field      string             // of a launch, booking or drop, as the API spells it; "" if no single one is at fault
	Retriable  bool               // the same call may succeed later
	RetryAfter time.Duration      // the daemon's wish; 0 if none
}

func (e *RefusalError) Error() string {
	if e.Detail == kiosk.NoDetail {
		return e.Message
	}
	return fmt.Sprintf("%s (%d)", e.Message, e.Detail)
}

// A Client talks to the daemon over its Unix socket. It is safe for concurrent
// use. Its methods return ErrUnreachable, ErrForbidden or a *RefusalError,
// wrapped or not.
type Client struct {
	http    *http.Client
	patient *http.Client // waits for an answer for as long as the caller does
}

// NewClient returns a client of the daemon that listens at path. It connects
// at each call.
func NewClient(path string) *Client {
	var d net.Dialer
	within := func(timeout time.Duration) *http.Client {
		return &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", path)
			},
			DisableKeepAlives:     true,
			ResponseHeaderTimeout: timeout,
		}}
	}
	return &Client{http: within(requestTimeout), patient: within(0)}
}

// Launch starts a session.
func (c *Client) Launch(ctx context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	body, err := json.Marshal(struct {
		BaseURL       string       `json:"baseUrl,omitempty"`
		CorrelationID string       `json:"correlationId"`
		Token         string       `json:"token,omitempty"`
		UserID        string       `json:"userId,omitempty"`
		UserIDType    string       `json:"userIdType,omitempty"`
		Theme         kiosk.Theme  `json:"theme,omitempty"`
		Locale        kiosk.Locale `json:"locale,omitempty"`
		NoTimeLimit   bool         `json:"noTimeLimit,omitempty"`
		LargeText     bool         `json:"largeText,omitempty"`
		HighContrast  bool         `json:"highContrast,omitempty"`
		NoFlash       bool         `json:"noFlash,omitempty"`
	}(l))
	if err != nil {
		return "", fmt.Errorf("encode launch: %w", err)
	}
	var out launched
	err = c.call(ctx, http.MethodPost, "/v1/sessions", body, &out)
	return out.SessionID, err
}

// Result returns a session's result so far.
func (c *Client) Result(ctx context.Context, id kiosk.SessionID) (kiosk.Result, error) {
	var out kiosk.Result
	err := c.call(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(string(id)), nil, &out)
	return out, err
}

// Status returns the daemon's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &out)
	return out, err
}

// Queue returns the records of the outbox.
func (c *Client) Queue(ctx context.Context) ([]kiosk.Entry, error) {
	var out []kiosk.Entry
	err := c.call(ctx, http.MethodGet, "/v1/queue", nil, &out)
	return out, err
}

// Retry has a dead letter delivered after all.
func (c *Client) Retry(ctx context.Context, id kiosk.RecordID) error {
	return c.call(ctx, http.MethodPost, "/v1/queue/"+url.PathEscape(string(id))+"/retry", nil, nil)
}

// Show returns what staff may see of a record, settled ones included.
func (c *Client) Show(ctx context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	var out kiosk.Detail
	err := c.call(ctx, http.MethodGet, "/v1/queue/"+url.PathEscape(string(id)), nil, &out)
	return out, err
}

// Drop erases a record for good, for a reason that staff can read later.
func (c *Client) Drop(ctx context.Context, id kiosk.RecordID, reason string) (Dropped, error) {
	body, err := json.Marshal(struct {
		Reason string `json:"reason"`
	}{reason})
	if err != nil {
		return Dropped{}, fmt.Errorf("encode drop: %w", err)
	}
	var out Dropped
	err = c.call(ctx, http.MethodPost, "/v1/queue/"+url.PathEscape(string(id))+"/drop", body, &out)
	return out, err
}

// Erasures returns when which record became unreadable, newest first.
func (c *Client) Erasures(ctx context.Context) ([]kiosk.Erasure, error) {
	var out []kiosk.Erasure
	err := c.call(ctx, http.MethodGet, "/v1/queue/erasures", nil, &out)
	return out, err
}

// Keys returns how much of the outbox depends on which device key.
func (c *Client) Keys(ctx context.Context) ([]kiosk.KeyUse, error) {
	var out []kiosk.KeyUse
	err := c.call(ctx, http.MethodGet, "/v1/keys", nil, &out)
	return out, err
}

// Verify has the daemon open every part of the outbox and check the proof of
// erasure, and calls fn with each
// line of progress, the last one without its result. It returns fn's error as
// it is. A verification that was cut short is a *RefusalError that may be tried
// again. It ends when ctx does.
func (c *Client) Verify(ctx context.Context, fn func(VerifyLine) error) (kiosk.Verification, error) {
	resp, err := send(ctx, c.patient, http.MethodPost, "/v1/queue/verify", "", nil)
	if err != nil {
		return kiosk.Verification{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	return readVerification(resp.Body, fn)
}

// readVerification calls fn for each line of a verification until its last one.
func readVerification(r io.Reader, fn func(VerifyLine) error) (kiosk.Verification, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxAnswer) // the last line names every broken record
	for sc.Scan() {
		var l VerifyLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return kiosk.Verification{}, fmt.Errorf("%w: a line cannot be read: %w", ErrBroken, errors.Join(sc.Err(), err))
		}
		switch {
		case l.Result != nil:
			return *l.Result, nil
		case l.Problem != "":
			return kiosk.Verification{}, &RefusalError{HTTP: http.StatusServiceUnavailable, Message: l.Problem, Retriable: true}
		}
		if err := fn(l); err != nil {
			return kiosk.Verification{}, err
		}
	}
	return kiosk.Verification{}, fmt.Errorf("%w: %w", ErrBroken, cmp.Or(sc.Err(), io.ErrUnexpectedEOF))
}

// Export writes what support needs to know of the outbox to w, sealed for the
// public key in PEM. What w got is all of it only if Export returns nil.
func (c *Client) Export(ctx context.Context, w io.Writer, recipient []byte) error {
	resp, err := send(ctx, c.patient, http.MethodPost, "/v1/queue/export", "application/x-pem-file", recipient)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	from := &broken{from: resp.Body}
	if _, err := io.Copy(w, from); err != nil {
		return err //nolint:wrapcheck // w's own, or wrapped by from
	}
	return nil
}

// A broken reader tells its own errors from those of the writer that a copy
// goes to.
type broken struct{ from io.Reader }

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return n, err //nolint:wrapcheck // io.EOF as it is
}

// Compact has the daemon write the outbox's file anew, for as long as that
// takes.
func (c *Client) Compact(ctx context.Context) (kiosk.Compaction, error) {
	resp, err := send(ctx, c.patient, http.MethodPost, "/v1/queue/compact", "", nil)
	if err != nil {
		return kiosk.Compaction{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost by it
	var out kiosk.Compaction
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		return kiosk.Compaction{}, fmt.Errorf("%w: read the answer: %w", ErrBroken, err)
	}
	return out, nil
}

// Panel returns every GPIO line of the machine, and those with a role that it
// has not.
func (c *Client) Panel(ctx context.Context) ([]kiosk.Line, error) {
	var out []kiosk.Line
	err := c.call(ctx, http.MethodGet, "/v1/panel", nil, &out)
	return out, err
}

// Force has an output on or off for a time, a whole number of milliseconds.
func (c *Client) Force(ctx context.Context, role kiosk.Role, on bool, during time.Duration) error {
	body, err := json.Marshal(struct {
		On           bool  `json:"on"`
		Milliseconds int64 `json:"milliseconds"`
	}{on, during.Milliseconds()})
	if err != nil {
		return fmt.Errorf("encode switch: %w", err)
	}
	return c.call(ctx, http.MethodPost, "/v1/panel/"+url.PathEscape(string(role)), body, nil)
}

// ClearTamper ends the latch of the tamper switch.
func (c *Client) ClearTamper(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/panel/tamper/clear", nil, nil)
}

// Cameras returns the video devices of the board.
func (c *Client) Cameras(ctx context.Context) ([]Camera, error) {
	var out []Camera
	err := c.call(ctx, http.MethodGet, "/v1/cameras", nil, &out)
	return out, err
}

// Probe has the camera stream for some seconds and returns how it did.
func (c *Client) Probe(ctx context.Context) (CameraFigures, error) {
	var out CameraFigures
	err := c.call(ctx, http.MethodPost, "/v1/cameras/probe", nil, &out)
	return out, err
}

// Picture returns one picture of whoever stands before the camera, and has
// agreed to that, as JPEG.
func (c *Client) Picture(ctx context.Context) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/cameras/picture", []byte(`{"consent":true}`))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	jpeg, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: read the answer: %w", ErrBroken, err)
	}
	return jpeg, nil
}

// Commissioned returns what was found out about the kiosk.
func (c *Client) Commissioned(ctx context.Context) (kiosk.Commissioned, error) {
	var out kiosk.Commissioned
	err := c.call(ctx, http.MethodGet, "/v1/commission", nil, &out)
	return out, err
}

// Commission has one step done with whoever stands before the camera, and has
// agreed to that, and calls fn with how it stands, now and then. It returns how
// it ended, and fn's error as it is. A step that broke off is a *RefusalError
// that may be tried again.
func (c *Client) Commission(ctx context.Context, t kiosk.Task, fn func(kiosk.Reading) error) (kiosk.Reading, error) {
	body, err := json.Marshal(struct {
		Consent  bool         `json:"consent"`
		Locale   kiosk.Locale `json:"locale,omitempty"`
		Distance int          `json:"distanceCm,omitempty"`
		Height   int          `json:"heightCm,omitempty"`
		Delay    int64        `json:"delayMs,omitempty"`
		Within   int64        `json:"withinMs,omitempty"`
	}{true, t.Locale, int(t.Distance), int(t.Height), t.Delay.Milliseconds(), t.Within.Milliseconds()})
	if err != nil {
		return kiosk.Reading{}, fmt.Errorf("encode task: %w", err)
	}
	resp, err := send(ctx, c.patient, http.MethodPost, "/v1/commission/"+url.PathEscape(string(t.Step)), "application/json", body)
	if err != nil {
		return kiosk.Reading{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, maxEvent)
	for sc.Scan() {
		var l CommissionLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return kiosk.Reading{}, fmt.Errorf("%w: a line cannot be read: %w", ErrBroken, errors.Join(sc.Err(), err))
		}
		switch {
		case l.Problem != "":
			return kiosk.Reading{}, &RefusalError{HTTP: http.StatusServiceUnavailable, Message: l.Problem, Retriable: true}
		case l.Ended:
			return l.Reading, nil
		}
		if err := fn(l.Reading); err != nil {
			return kiosk.Reading{}, err
		}
	}
	return kiosk.Reading{}, fmt.Errorf("%w: %w", ErrBroken, cmp.Or(sc.Err(), io.ErrUnexpectedEOF))
}

// Book books a person who is expected.
func (c *Client) Book(ctx context.Context, b kiosk.Booking) (Booked, error) {
	body, err := json.Marshal(struct {
		CorrelationID string       `json:"correlationId"`
		UserID        string       `json:"userId"`
		UserIDType    string       `json:"userIdType,omitempty"`
		Locale        kiosk.Locale `json:"locale,omitempty"`
	}{b.CorrelationID, b.UserID, b.UserIDType, b.Locale})
	if err != nil {
		return Booked{}, fmt.Errorf("encode booking: %w", err)
	}
	defer clear(body)
	var out Booked
	err = c.call(ctx, http.MethodPost, "/v1/bookings", body, &out)
	return out, err
}

// Bookings returns all bookings, oldest first.
func (c *Client) Bookings(ctx context.Context) ([]Booked, error) {
	var out []Booked
	err := c.call(ctx, http.MethodGet, "/v1/bookings", nil, &out)
	return out, err
}

// Unbook forgets a booking and its token.
func (c *Client) Unbook(ctx context.Context, correlationID string) error {
	return c.call(ctx, http.MethodDelete, "/v1/bookings/"+url.PathEscape(correlationID), nil, nil)
}

// Events calls fn for the events from Seq from on (0: the oldest kept), and
// with follow for new ones until ctx ends. It returns fn's error as it is. When
// the daemon stops fn gets an [EventStopping], and Events returns ErrStopping.
func (c *Client) Events(ctx context.Context, from uint64, follow bool, fn func(kiosk.Event) error) error {
	q := url.Values{"from": {strconv.FormatUint(from, 10)}, "follow": {strconv.FormatBool(follow)}}
	return c.stream(ctx, "/v1/events?"+q.Encode(), fn)
}

// Session calls fn for each event of a session from its launch, and returns
// nil once the session has its result. It returns fn's error as it is. When the
// daemon stops before that, fn gets an [EventStopping] and Session returns
// ErrStopping.
func (c *Client) Session(ctx context.Context, id kiosk.SessionID, fn func(kiosk.Event) error) error {
	return c.stream(ctx, "/v1/sessions/"+url.PathEscape(string(id))+"/events", fn)
}

// Delivered is Session that goes on after a result that says saved, until the
// capture was delivered and judged.
func (c *Client) Delivered(ctx context.Context, id kiosk.SessionID, fn func(kiosk.Event) error) error {
	return c.stream(ctx, "/v1/sessions/"+url.PathEscape(string(id))+"/events?delivered=1", fn)
}

// The most that a client reads, bytes: of one event, and of any other answer.
const (
	maxEvent  = 64 << 10
	maxAnswer = 16 << 20
)

func (c *Client) stream(ctx context.Context, path string, fn func(kiosk.Event) error) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	return readEvents(resp.Body, fn)
}

// readEvents calls fn for each line of a stream.
func readEvents(r io.Reader, fn func(kiosk.Event) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxEvent)
	for sc.Scan() {
		var e kiosk.Event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			return fmt.Errorf("%w: an event cannot be read: %w", ErrBroken, errors.Join(sc.Err(), err))
		}
		if err := fn(e); err != nil {
			return err
		}
		if e.Kind == EventStopping {
			return ErrStopping
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

// call sends a request and reads its answer into out, if that is not nil.
func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost by it
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%w: read the answer: %w", ErrBroken, err)
	}
	return nil
}

// do sends a request with a body of JSON, or none, and returns a successful
// answer, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	kind := ""
	if body != nil {
		kind = "application/json"
	}
	return send(ctx, c.http, method, path, kind, body)
}

// send sends a request with a body of that kind, and returns a successful
// answer, whose body the caller closes.
func send(ctx context.Context, c *http.Client, method, path, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://kioskd"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.Do(req)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrForbidden, cause(err))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, cause(err))
	case resp.StatusCode < http.StatusBadRequest:
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // an error is on its way already
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&p); err != nil || p.Message == "" {
		p.Message = "the daemon answered " + resp.Status
	}
	if resp.StatusCode == http.StatusForbidden {
		return nil, fmt.Errorf("%w: %s", ErrForbidden, p.Message)
	}
	refused := &RefusalError{
		HTTP: resp.StatusCode, Message: p.Message, ErrorCode: p.ErrorCode, Detail: p.DetailedErrorCode,
		Field: p.Field, Retriable: p.Retriable != nil && *p.Retriable,
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		refused.RetryAfter = time.Duration(s) * time.Second
	}
	return nil, refused
}

// cause takes the made-up URL and the path, which the caller knows, off a
// transport error.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
