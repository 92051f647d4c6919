package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"livekiosk/kiosk"
)

// A Ledger tells what the outbox keeps about its keys. It must be safe for
// concurrent use.
type Ledger interface {
	// Erasures returns when which record became unreadable, newest first. Old
	// ones are forgotten.
	Erasures(ctx context.Context) ([]kiosk.Erasure, error)
	// KeyUses returns what depends on which device key, the current one first.
	KeyUses(ctx context.Context) ([]kiosk.KeyUse, error)
}

// Upkeep is what support does with the outbox as a whole. Each of its methods
// may take minutes; the server has one of them run at a time. They return when
// ctx ends.
type Upkeep interface {
	// Verify opens every part of every record and checks the proof of erasure.
	// It calls each with how many records of how many it has read, from one
	// goroutine. Nothing is changed.
	Verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error)
	// Export writes what support needs to know of the outbox to w, sealed for
	// the public key in PEM, and returns that key's fingerprint. No image and
	// nobody's name is in it. It returns ErrRecipient if that is no public key,
	// and has written nothing then.
	Export(ctx context.Context, w io.Writer, recipient []byte) (fingerprint string, err error)
	// Compact takes the outbox out of service, writes its file anew without
	// the room that lies idle in it, and puts it back into service whatever
	// came of it. It returns ErrOccupied, and has done nothing, while a session
	// is in progress. Once begun it runs to its end also if ctx ends before.
	Compact(ctx context.Context) (kiosk.Compaction, error)
}

// Errors that implementations of Upkeep return and the server tells callers
// about.
var (
	ErrRecipient = errors.New("not a public key in PEM")
	ErrOccupied  = errors.New("a session is in progress")
)

// verifyEvery is how often a reader hears how far a verification is, beside
// its first record and its last.
const verifyEvery = time.Second

// A VerifyLine is one line of the stream of a verification: how far it is, or,
// as the last one, its result or why there is none.
type VerifyLine struct {
	Done    int                 `json:"done"`  // records read
	Total   int                 `json:"total"` // records to read, as far as is known
	Result  *kiosk.Verification `json:"result,omitempty"`
	Problem string              `json:"problem,omitempty"` // English, for staff
}

func (s *Server) getErasures(w http.ResponseWriter, r *http.Request) {
	if s.o.Ledger == nil {
		s.noUpkeep(w, r)
		return
	}
	list(s, w, r, s.o.Ledger.Erasures)
}

func (s *Server) getKeys(w http.ResponseWriter, r *http.Request) {
	if s.o.Ledger == nil {
		s.noUpkeep(w, r)
		return
	}
	list(s, w, r, s.o.Ledger.KeyUses)
}

func (s *Server) noUpkeep(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk lets nobody look after its outbox"})
}

// begin takes the only place for upkeep. It answers where there is none, and
// returns false.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) (end func(), ok bool) {
	if s.o.Upkeep == nil {
		s.noUpkeep(w, r)
		return nil, false
	}
	select {
	case s.upkeep <- struct{}{}:
		return func() { <-s.upkeep }, true
	default:
		s.write(w, r, http.StatusConflict, problem{Message: "the outbox is being verified, exported or compacted already", Retriable: new(true)})
		return nil, false
	}
}

// unhurried lets a request take as long as it does. What it sends has a limit
// of its own. A ResponseWriter without deadlines (a recorder of a test) has
// none to lift.
func unhurried(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Time{}); err == nil {
		_ = rc.SetWriteDeadline(time.Time{})
	}
}

// postVerify reads the whole outbox, and tells on the way how far it is.
func (s *Server) postVerify(w http.ResponseWriter, r *http.Request) {
	end, ok := s.begin(w, r)
	if !ok {
		return
	}
	defer end()
	unhurried(w)
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	var (
		out    *lines // nil until something was told
		last   VerifyLine
		spoken time.Time
	)
	tell := func(l VerifyLine) {
		if out == nil {
			out = newLines(w)
		}
		if err := out.encode(l); err != nil {
			cancel() // nobody listens any more
		}
		spoken = time.Now()
	}
	v, err := s.o.Upkeep.Verify(ctx, func(done, total int) {
		last = VerifyLine{Done: done, Total: total}
		if out == nil || time.Since(spoken) >= verifyEvery {
			tell(last)
		}
	})
	s.audit(r, "verify", err, slog.Int("records", v.Records), slog.Int("broken", len(v.Broken)), slog.Bool("tampered", v.Tampered))
	switch {
	case err == nil:
		last.Done, last.Result = last.Total, &v
		tell(last)
	case out == nil && ctx.Err() == nil:
		s.outboxDown(w, r, err)
	default:
		last.Problem = s.cutShort(ctx)
		tell(last)
	}
}

// cutShort says why a request under ctx ended before its time.
func (s *Server) cutShort(ctx context.Context) string {
	if ctx.Err() != nil {
		return "the daemon is stopping"
	}
	return "the outbox cannot be read on: see the kiosk's log"
}

// postExport sends a description of the outbox, sealed for whoever is named in
// the body.
func (s *Server) postExport(w http.ResponseWriter, r *http.Request) {
	end, ok := s.begin(w, r)
	if !ok {
		return
	}
	defer end()
	recipient, ok := s.readBody(w, r)
	if !ok {
		return
	}
	defer clear(recipient) // somebody's private key, by mistake
	if len(recipient) > maxBody {
		s.write(w, r, http.StatusBadRequest, problem{Message: fmt.Sprintf("the body is longer than %d bytes", maxBody)})
		return
	}
	unhurried(w)
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	out := &download{w: w, rc: http.NewResponseController(w)}
	fingerprint, err := s.o.Upkeep.Export(ctx, out, recipient)
	if errors.Is(err, ErrRecipient) {
		s.write(w, r, http.StatusBadRequest, problem{Message: "the body is not a public key in PEM, as kioskctl keys public prints it"})
		return
	}
	s.audit(r, "export", err, slog.String("recipient", fingerprint), slog.Int64("bytes", out.written))
	switch {
	case err == nil:
		out.begin()
	case out.begun:
		_ = out.rc.Flush()          // so that it looks like what it is, also where little was sent
		panic(http.ErrAbortHandler) // the only way to tell a reader that this is not all
	default:
		s.outboxDown(w, r, err)
	}
}

// A download is an answer of bytes whose header waits for the first of them,
// so that what fails before can be answered in another way. A reader who does
// not take them in time is given up.
type download struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	begun   bool
	written int64
}

// begin writes the header, once.
func (d *download) begin() {
	if d.begun {
		return
	}
	d.begun = true
	d.w.Header().Set("Content-Type", "application/octet-stream")
	d.w.Header().Set("Cache-Control", "no-store")
	d.w.WriteHeader(http.StatusOK)
}

// Write implements io.Writer.
func (d *download) Write(p []byte) (int, error) {
	// A ResponseWriter without deadlines (a recorder of a test) has none to move.
	_ = d.rc.SetWriteDeadline(time.Now().Add(stallTimeout))
	d.begin()
	n, err := d.w.Write(p)
	d.written += int64(n)
	if err != nil {
		return n, fmt.Errorf("send the export: %w", err)
	}
	return n, nil
}

// postCompact has the outbox's file written anew.
func (s *Server) postCompact(w http.ResponseWriter, r *http.Request) {
	end, ok := s.begin(w, r)
	if !ok {
		return
	}
	defer end()
	unhurried(w)
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	c, err := s.o.Upkeep.Compact(ctx)
	s.audit(r, "compact", err, slog.Int64("before", c.Before), slog.Int64("after", c.After))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stallTimeout))
	switch {
	case errors.Is(err, ErrOccupied):
		s.write(w, r, http.StatusConflict, problem{Message: "a session is in progress: compact the outbox once the visitor has left", Retriable: new(true)})
	case err != nil:
		s.outboxDown(w, r, err)
	default:
		s.write(w, r, http.StatusOK, c)
	}
}
