package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"livekiosk/kiosk"
)

// Cameras is what staff do with the camera while nobody uses the kiosk. It must
// be safe for concurrent use. The last two return kiosk.ErrOccupied, and have
// shown nobody, while a session is in progress, whether it needs the camera just
// now or not, or the kiosk needs it; and any other error in words for staff.
type Cameras interface {
	// Cameras lists the video devices of this board. It changes none.
	Cameras(ctx context.Context) ([]Camera, error)
	// Probe streams for some seconds and returns figures. Nobody sees a picture.
	Probe(ctx context.Context) (CameraFigures, error)
	// Picture returns one picture as JPEG, with whoever stands there. It erases
	// what it keeps of it; the caller does so with what is returned.
	Picture(ctx context.Context) ([]byte, error)
}

// A Camera is one video device, and what the kiosk thinks of it.
type Camera struct {
	Path     string   `json:"path"`
	Card     string   `json:"card"`     // as it calls itself
	Identity string   `json:"identity"` // as camera.pin takes it
	At       string   `json:"at"`       // where the kernel says it sits; "" if it does not
	Trusted  bool     `json:"trusted"`
	Reason   string   `json:"reason"` // it is trusted or not; "" where problem says that it is no camera
	Modes    []string `json:"modes"`  // that are of use
	Mode     string   `json:"mode"`   // that the kiosk would choose; "" if none
	Why      string   `json:"why"`
	Problem  string   `json:"problem,omitempty"` // why it is no camera, or cannot be asked
}

// CameraFigures say how a camera streams.
type CameraFigures struct {
	Identity        string  `json:"identity"` // "" for clips and frames
	Mode            string  `json:"mode"`
	Controls        string  `json:"controls"` // as read back
	Seconds         float64 `json:"seconds"`  // since the first frame
	FramesPerSecond float64 `json:"framesPerSecond"`
	Frames          uint64  `json:"frames"`
	Lost            uint64  `json:"lost"` // by the driver: its numbers leave them out

	CameraSkips
}

// CameraSkips count frames that came and were of no use.
type CameraSkips struct {
	Flawed  uint64 `json:"flawed"`  // the driver said so
	Short   uint64 `json:"short"`   // fewer bytes than the format has
	Corrupt uint64 `json:"corrupt"` // no JPEG image from begin to end
	Stale   uint64 `json:"stale"`   // of an earlier stream
	Starved uint64 `json:"starved"` // there was no memory: frames were held too long
}

func (s *Server) getCameras(w http.ResponseWriter, r *http.Request) {
	if s.noCameras(w, r) {
		return
	}
	all, err := s.o.Cameras.Cameras(r.Context())
	if err != nil {
		s.cameraDown(w, r, err)
		return
	}
	if all == nil {
		all = []Camera{}
	}
	s.write(w, r, http.StatusOK, all)
}

func (s *Server) postProbe(w http.ResponseWriter, r *http.Request) {
	if s.noCameras(w, r) {
		return
	}
	f, err := s.o.Cameras.Probe(r.Context())
	s.filmed(r, "probe", err)
	if err != nil {
		s.cameraDown(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, f)
}

// postPicture hands out a picture of whoever stands there. That they agreed is
// the caller's word, and noted as theirs.
func (s *Server) postPicture(w http.ResponseWriter, r *http.Request) {
	if s.noCameras(w, r) {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	var consent bool
	_, err := decode(body, "picture", map[string]any{"consent": &consent})
	var bad *kiosk.LaunchError
	switch {
	case errors.As(err, &bad):
		s.write(w, r, http.StatusBadRequest, problem{Message: strings.TrimSpace(bad.Field + " " + bad.Reason)})
		return
	case !consent:
		s.write(w, r, http.StatusBadRequest, problem{Message: "consent must be true: whoever is in front of the camera has to agree first"})
		return
	}
	jpeg, err := s.o.Cameras.Picture(r.Context())
	s.filmed(r, "picture", err)
	if err != nil {
		s.cameraDown(w, r, err)
		return
	}
	defer clear(jpeg)
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := w.Write(jpeg); err != nil {
		s.log.DebugContext(r.Context(), "answer not taken", slog.Any("err", err))
	}
}

// filmed notes who had the camera stream, whether anything came of it or not.
func (s *Server) filmed(r *http.Request, action string, err error) {
	attrs := []slog.Attr{slog.String("action", action), slog.String("by", caller(r)), slog.Bool("done", err == nil)}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "staff used the camera", attrs...)
}

func (s *Server) noCameras(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Cameras == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk lets nobody look after its camera"})
	}
	return s.o.Cameras == nil
}

// cameraDown answers with what is wrong with the camera: for staff, who have to
// do something about it.
func (s *Server) cameraDown(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, kiosk.ErrOccupied) {
		s.write(w, r, http.StatusConflict, problem{Message: "the kiosk needs the camera itself: try once the visitor has left", Retriable: new(true)})
		return
	}
	w.Header().Set("Retry-After", retryAfter)
	s.write(w, r, http.StatusServiceUnavailable, problem{Message: err.Error()})
}
