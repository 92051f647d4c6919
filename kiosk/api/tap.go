package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"livekiosk/kiosk"
)

// A Toucher uses a control for a visitor who cannot. It must be safe for
// concurrent use.
type Toucher interface {
	// Tap is as a touch on the screen of a session. One that means nothing
	// there does nothing.
	Tap(ctx context.Context, t kiosk.Tap) error
}

// Touchable returns the controls that staff may use for a visitor: all but those
// by which a person agrees to be filmed, or to colours that change, which are that
// person's alone.
func Touchable() []kiosk.Control {
	return []kiosk.Control{
		kiosk.Switch, kiosk.Large, kiosk.Contrast, kiosk.NoLimit, kiosk.NoFlash, kiosk.Ready, kiosk.Decline, kiosk.Cancel, kiosk.Help, kiosk.Done,
	}
}

func (s *Server) postTap(w http.ResponseWriter, r *http.Request) {
	t := kiosk.Tap{Session: kiosk.SessionID(r.PathValue("id")), Control: kiosk.Control(r.PathValue("control"))}
	if s.o.Toucher == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk lets nobody use its screen from afar"})
		return
	}
	if !slices.Contains(Touchable(), t.Control) {
		s.write(w, r, http.StatusBadRequest, problem{Message: "no control that staff may use for a visitor"})
		return
	}
	if locale := r.URL.Query().Get("locale"); locale != "" && t.Control == kiosk.Switch {
		var spoken bool
		if t.Locale, spoken = s.o.Match(kiosk.Locale(locale)); !spoken {
			s.write(w, r, http.StatusBadRequest, problem{Message: "locale is no language of this kiosk"})
			return
		}
	}
	res, known := s.o.Launcher.Result(t.Session)
	switch {
	case !known:
		s.write(w, r, http.StatusNotFound, problem{Message: "no such session"})
		return
	case res.Status != kiosk.Running && t.Control != kiosk.Done:
		s.write(w, r, http.StatusConflict, problem{Message: "the session has ended"})
		return
	}
	err := s.o.Toucher.Tap(r.Context(), t)
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "staff used a control", acted(r, "tap", err, []slog.Attr{slog.Any("tap", t)})...)
	if err != nil {
		s.log.WarnContext(r.Context(), "tap not told", slog.Any("err", err))
		w.Header().Set("Retry-After", retryAfter)
		s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the daemon is stopping"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Tap uses a control for the visitor of a session.
func (c *Client) Tap(ctx context.Context, t kiosk.Tap) error {
	path := "/v1/sessions/" + url.PathEscape(string(t.Session)) + "/taps/" + url.PathEscape(string(t.Control))
	if t.Locale != "" {
		path += "?locale=" + url.QueryEscape(string(t.Locale))
	}
	return c.call(ctx, http.MethodPost, path, nil, nil)
}
