package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// Errors of a Commissioner.
var (
	// ErrTask reports a task that cannot be done, with what is wrong about it.
	ErrTask = errors.New("a task that cannot be done")
	// ErrCommissioning reports that another step is being done.
	ErrCommissioning = errors.New("another step is being done")
)

// A Commissioner has an installer find out about this kiosk. It must be safe for
// concurrent use.
type Commissioner interface {
	// Commissioned returns what was found out so far.
	Commissioned() kiosk.Commissioned
	// Commission does one step, and keeps what it found out if it was passed. It
	// shows the installer's screen meanwhile, tells each how the step stands, now
	// and then, and launches no session. It returns kiosk.ErrOccupied while a
	// session is in progress, or if one has begun; ErrTask and ErrCommissioning;
	// and any other error in words for staff. It ends when ctx does, and then keeps
	// nothing.
	Commission(ctx context.Context, t kiosk.Task, each func(kiosk.Reading)) (kiosk.Reading, error)
}

// A CommissionLine is one line of the answer to a step: how it stands, or in the
// last line, if there is a problem, why it broke off.
type CommissionLine struct {
	kiosk.Reading

	Problem string `json:"problem,omitempty"`
}

// Limits of a task.
const (
	maxDelay      = time.Minute
	maxWithin     = 10 * time.Minute
	defaultWithin = time.Minute
)

func (s *Server) getCommission(w http.ResponseWriter, r *http.Request) {
	if s.noCommissioner(w, r) {
		return
	}
	s.write(w, r, http.StatusOK, s.o.Commissioner.Commissioned())
}

// postCommission does one step with whoever stands there. That they agreed to be
// filmed is the caller's word, and noted as theirs.
func (s *Server) postCommission(w http.ResponseWriter, r *http.Request) {
	if s.noCommissioner(w, r) {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	t, err := s.decodeTask(kiosk.Step(r.PathValue("step")), body)
	if err != nil {
		s.write(w, r, http.StatusBadRequest, problem{Message: err.Error()})
		return
	}
	unhurried(w)
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	var out *lines // nil until something was told
	tell := func(l CommissionLine) {
		if out == nil {
			out = newLines(w)
		}
		if bad := out.encode(l); bad != nil {
			cancel() // nobody listens any more
		}
	}
	reading, err := s.o.Commissioner.Commission(ctx, t, func(r kiosk.Reading) { tell(CommissionLine{Reading: r}) })
	s.filmed(r, "commission_"+string(t.Step), err)
	switch {
	case err == nil:
		tell(CommissionLine{Reading: reading})
	case out != nil:
		tell(CommissionLine{Reading: kiosk.Reading{Step: t.Step, Figures: map[string]float64{}, Ended: true}, Problem: s.brokeOff(ctx, err)})
	case errors.Is(err, ErrTask):
		s.write(w, r, http.StatusBadRequest, problem{Message: err.Error()})
	case errors.Is(err, ErrCommissioning):
		s.write(w, r, http.StatusConflict, problem{Message: "another step of commissioning is being done: wait until it has ended", Retriable: new(true)})
	case ctx.Err() == nil:
		s.cameraDown(w, r, err)
	}
}

// brokeOff says why a step ended before its time.
func (s *Server) brokeOff(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "the daemon is stopping"
	case errors.Is(err, kiosk.ErrOccupied):
		return "the kiosk needs the camera itself: try once the visitor has left"
	}
	s.log.WarnContext(ctx, "commissioning broke off", slog.Any("err", err))
	return err.Error()
}

// decodeTask reads the task of a step. Its errors are for people.
func (s *Server) decodeTask(step kiosk.Step, body []byte) (kiosk.Task, error) {
	var consent bool
	var locale string
	var distance, height, delay, within int32
	given, err := decode(body, "task", map[string]any{
		"consent": &consent, "locale": &locale, "distanceCm": &distance, "heightCm": &height, "delayMs": &delay, "withinMs": &within,
	})
	t := kiosk.Task{
		Step: step, Locale: kiosk.Indonesian, Distance: float64(distance), Height: float64(height),
		Delay: time.Duration(delay) * time.Millisecond, Within: defaultWithin,
	}
	spoken := true
	if given["locale"] {
		t.Locale, spoken = s.o.Match(kiosk.Locale(locale))
	}
	if given["withinMs"] {
		t.Within = time.Duration(within) * time.Millisecond
	}
	var bad *kiosk.LaunchError
	switch {
	case errors.As(err, &bad):
		return t, errors.New(strings.TrimSpace(bad.Field + " " + bad.Reason))
	case !slices.Contains(kiosk.Steps(), step):
		return t, errors.New("there is no such step")
	case !spoken:
		return t, errors.New("locale is no language of this kiosk")
	case !consent:
		return t, errors.New("consent must be true: whoever is in front of the camera has to agree first")
	case t.Delay < 0 || t.Delay > maxDelay:
		return t, fmt.Errorf("delayMs is outside 0..%d", maxDelay.Milliseconds())
	case t.Within < time.Second || t.Within > maxWithin:
		return t, fmt.Errorf("withinMs is outside %d..%d", time.Second.Milliseconds(), maxWithin.Milliseconds())
	}
	return t, nil
}

func (s *Server) noCommissioner(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Commissioner == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk cannot be commissioned"})
	}
	return s.o.Commissioner == nil
}
