package api

import (
	"context"
	"net/http"
)

// A Doctor tells whether this version of the kiosk works on this board. It must
// be safe for concurrent use.
type Doctor interface {
	// Health reports. With probe the camera streams for some seconds, unless a
	// session has it; nobody sees a picture.
	Health(ctx context.Context, probe bool) Health
}

// A Health is a report.
type Health struct {
	Healthy bool    `json:"healthy"` // no finding is bad
	Checks  []Check `json:"checks"`  // always the same, in the same order
}

// A Check is what was found of one part.
type Check struct {
	Name    string  `json:"name"` // camera, screen, models, outbox, panel, watchdog, service, clock, gateway
	Finding Finding `json:"finding"`
	Text    string  `json:"text"` // English, for staff: no personal data
}

// A Finding says what a check found.
type Finding string

// The findings. Tolerated is what another version would not mend: an update
// must not be taken back because the shop's network is down.
const (
	FindingOK        Finding = "ok"
	FindingTolerated Finding = "tolerated"
	FindingBad       Finding = "bad"
)

// Report returns the report of checks.
func Report(checks ...Check) Health {
	h := Health{Healthy: true, Checks: checks}
	for _, c := range checks {
		h.Healthy = h.Healthy && c.Finding != FindingBad
	}
	return h
}

func (s *Server) getReport(w http.ResponseWriter, r *http.Request)  { s.report(w, r, false) }
func (s *Server) postReport(w http.ResponseWriter, r *http.Request) { s.report(w, r, true) }

func (s *Server) report(w http.ResponseWriter, r *http.Request, probe bool) {
	if s.o.Doctor == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk tells nobody how it is"})
		return
	}
	s.write(w, r, http.StatusOK, s.o.Doctor.Health(r.Context(), probe))
}

// Health returns how the kiosk is. With probe its camera streams for some
// seconds.
func (c *Client) Health(ctx context.Context, probe bool) (Health, error) {
	method := http.MethodGet
	if probe {
		method = http.MethodPost
	}
	var out Health
	err := c.call(ctx, method, "/v1/health", nil, &out)
	return out, err
}
