package station

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

// A tape writes one session's trace to a file. A nil tape records nothing: a
// trace that cannot be written is logged once and never stops a session.
type tape struct {
	file *os.File
	buf  *bufio.Writer
	w    *trace.Writer
	o    Options
}

// suffix marks traces that are closed, also of a session that a stop cut off;
// one still being written has ".part" after it.
const suffix = ".trace"

// record starts the trace of a session.
func record(ctx context.Context, o Options, id kiosk.SessionID, start flow.State) *tape {
	if o.TraceDir == "" {
		return nil
	}
	t, err := newTape(o, id, start)
	if err != nil {
		o.Log.WarnContext(ctx, "session is not traced", slog.Any("err", err))
		return nil
	}
	return t
}

func newTape(o Options, id kiosk.SessionID, start flow.State) (*tape, error) {
	if err := os.MkdirAll(o.TraceDir, 0o700); err != nil {
		return nil, fmt.Errorf("trace folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(o.TraceDir, string(id)+suffix+".part"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &tape{file: f, buf: bufio.NewWriter(f), o: o}
	if t.w, err = trace.NewWriter(t.buf, trace.Header{Facts: o.Facts, Policy: o.Policy, Start: start}); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *tape) step(ctx context.Context, at time.Duration, in flow.Input, s flow.State, fx []flow.Effect) {
	if t == nil || t.file == nil {
		return
	}
	if err := t.w.Step(at, in, s, fx); err != nil {
		t.o.Log.WarnContext(ctx, "trace ends early", slog.Any("err", err))
		t.remove(ctx)
	}
}

// close finishes the file and removes the oldest beyond the limit.
func (t *tape) close(ctx context.Context) {
	if t == nil || t.file == nil {
		return
	}
	err := t.buf.Flush()
	if e := t.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		part := t.file.Name()
		err = os.Rename(part, strings.TrimSuffix(part, ".part"))
	}
	if err == nil {
		err = prune(t.o.TraceDir, t.o.Traces)
	}
	if err != nil {
		t.o.Log.WarnContext(ctx, "trace not kept", slog.Any("err", err))
		t.remove(ctx)
		return
	}
	t.file = nil
}

// remove gives up a trace that cannot be written: half of one on a full disk
// helps nobody.
func (t *tape) remove(ctx context.Context) {
	name := t.file.Name()
	t.file.Close()
	t.file = nil
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.o.Log.WarnContext(ctx, "half a trace stays", slog.Any("err", err))
	}
}

// discard removes what an earlier run of the daemon left half written.
func (r *runner) discard(ctx context.Context) {
	if r.o.TraceDir == "" {
		return
	}
	parts, err := filepath.Glob(filepath.Join(r.o.TraceDir, "*"+suffix+".part"))
	if len(parts) > 0 {
		r.o.Log.WarnContext(ctx, "the last run ended in the middle of a session", slog.Int("traces_removed", len(parts)))
	}
	for _, part := range parts {
		if e := os.Remove(part); err == nil {
			err = e
		}
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "half-written traces stay", slog.Any("err", err))
	}
}

// prune keeps the newest keep traces.
func prune(dir string, keep int) error {
	if keep == 0 {
		keep = 50
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("trace folder: %w", err)
	}
	type file struct {
		name string
		at   time.Time
	}
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		files = append(files, file{e.Name(), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int { return b.at.Compare(a.at) })
	for _, f := range files[min(keep, len(files)):] {
		if err := os.Remove(filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("old trace: %w", err)
		}
	}
	return nil
}
