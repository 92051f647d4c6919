package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// EventStopping is the last line of a stream that ends because the daemon is
// stopping, and not because all was told. Its Seq is that of the event before
// it. It is never stored.
const EventStopping kiosk.EventKind = "stopping"

func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	var q streamQuery
	if err := q.read(r, "from", "follow"); err != nil {
		s.write(w, r, http.StatusBadRequest, problem{Message: err.Error()})
		return
	}
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	walk := s.o.Log.Replay
	if q.follow {
		walk = s.o.Log.Follow
	}
	lines := newLines(w)
	s.streamed(ctx, lines, walk(ctx, q.from, "", lines.write))
}

// errEnd ends a session's stream.
var errEnd = errors.New("session ended")

// getSessionEvents streams a session's events until its result, and what has
// come after that: the delivery of a capture that was saved may end much later.
func (s *Server) getSessionEvents(w http.ResponseWriter, r *http.Request) {
	res, known := s.session(w, r)
	if !known {
		return
	}
	q := streamQuery{follow: true}
	if err := q.read(r, "from", "follow", "delivered"); err != nil {
		s.write(w, r, http.StatusBadRequest, problem{Message: err.Error()})
		return
	}
	id := kiosk.SessionID(r.PathValue("id"))
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	lines := newLines(w)
	if q.follow && !q.last(res) {
		err := s.o.Log.Follow(ctx, q.from, id, func(e kiosk.Event) error {
			if err := lines.write(e); err != nil {
				return err
			}
			q.from = e.Seq + 1
			switch {
			case e.Kind == kiosk.EventResult && (e.Result == nil || q.last(*e.Result)):
				return errEnd
			case e.Kind == EventGap: // the result may be among what is missing
				if res, known, err := s.result(ctx, id); err == nil && known && q.last(res) {
					return errEnd
				}
			}
			return nil
		})
		if !errors.Is(err, errEnd) {
			s.streamed(ctx, lines, err)
			return
		}
	}
	s.streamed(ctx, lines, s.o.Log.Replay(ctx, q.from, id, lines.write))
}

// streamed ends a stream: with a last line where it ends before its time. Why
// it broke off is noted.
func (s *Server) streamed(ctx context.Context, l *lines, err error) {
	if err == nil && ctx.Err() != nil {
		select {
		case <-s.closing:
			err = l.write(kiosk.Event{Seq: l.seq, At: time.Now(), Kind: EventStopping})
		default: // the reader has left
		}
	}
	if err != nil {
		s.log.DebugContext(ctx, "event stream broke off", slog.Any("err", err))
	}
}

// A streamQuery is what the reader of a stream asks for.
type streamQuery struct {
	from      uint64
	follow    bool
	delivered bool // of a session: goes on after a result that says saved
}

// last reports whether a session's stream ends with this result.
func (q *streamQuery) last(r kiosk.Result) bool {
	return r.Status != kiosk.Running && (!q.delivered || r.Detail != kiosk.Saved)
}

// read reads the parameters of these names.
func (q *streamQuery) read(r *http.Request, names ...string) error {
	to := map[string]*bool{"follow": &q.follow, "delivered": &q.delivered}
	values := r.URL.Query()
	for _, name := range names {
		value, given := values[name]
		delete(values, name)
		var err error
		switch {
		case !given:
		case name == "from":
			q.from, err = strconv.ParseUint(value[0], 10, 63)
		default:
			*to[name], err = strconv.ParseBool(value[0])
		}
		switch {
		case err != nil && name == "from":
			return errors.New("from must be a number from 0")
		case err != nil:
			return errors.New(name + " must be 0 or 1")
		}
	}
	if len(values) > 0 {
		return fmt.Errorf("there is no such parameter: only %s", strings.Join(names, ", "))
	}
	return nil
}

// streamContext returns a request's context, ended too when the server stops.
func (s *Server) streamContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// lines writes an answer of one JSON value a line. Each line is flushed, and a
// reader who does not take one in time is given up.
type lines struct {
	rc  *http.ResponseController
	enc *json.Encoder
	seq uint64 // of the last event written
}

// newLines starts the answer.
func newLines(w http.ResponseWriter) *lines {
	l := &lines{rc: http.NewResponseController(w), enc: json.NewEncoder(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	unhurried(w)
	_ = l.rc.SetWriteDeadline(time.Now().Add(stallTimeout))
	_ = l.rc.Flush() // the header, so that the reader knows it is heard
	return l
}

func (l *lines) write(e kiosk.Event) error {
	if err := l.encode(e); err != nil {
		return fmt.Errorf("event %d: %w", e.Seq, err)
	}
	l.seq = e.Seq
	return nil
}

// encode writes v as a line.
func (l *lines) encode(v any) error {
	_ = l.rc.SetWriteDeadline(time.Now().Add(stallTimeout))
	if err := l.enc.Encode(v); err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	if err := l.rc.Flush(); err != nil {
		return fmt.Errorf("flush a line: %w", err)
	}
	return nil
}
