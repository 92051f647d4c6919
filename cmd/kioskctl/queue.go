package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// A queueCall is what the flags of kioskctl queue say.
type queueCall struct {
	reason, to, out string
}

func queueFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var q queueCall
	fs.StringVar(&q.reason, "reason", "", "retry: all dead records of this reason; drop: why, in your own `words`")
	fs.StringVar(&q.to, "to", "", "export: `file` with the public key of whoever may open it")
	fs.StringVar(&q.out, "out", "", "export: `file` to write, which must not exist")
	return func(ctx context.Context, c call, args []string) error {
		what, rest := "list", args
		if len(args) > 0 {
			what, rest = args[0], args[1:]
		}
		switch {
		case q.reason != "" && what != "retry" && what != "drop":
			return usage("--reason goes with retry or drop: see kioskctl help queue")
		case (q.to != "" || q.out != "") && what != "export":
			return usage("--to and --out go with export: see kioskctl help queue")
		}
		switch what {
		case "list":
			return queue(ctx, c, rest)
		case "show":
			return show(ctx, c, rest)
		case "retry":
			return retry(ctx, c, rest, q.reason)
		case "drop":
			return drop(ctx, c, rest, q.reason)
		case "erasures":
			return erasures(ctx, c, rest)
		case "verify":
			return verify(ctx, c, rest)
		case "export":
			return export(ctx, c, rest, q.to, q.out)
		case "compact":
			return compact(ctx, c, rest)
		}
		return usage("there is no %q: list, show, retry, drop, erasures, verify, export or compact: see kioskctl help queue", what)
	}
}

func queue(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	entries, err := c.entries(ctx)
	if err != nil {
		return err
	}
	if !c.json {
		return c.print(nil, queueText(entries))
	}
	return printEach(c, entries)
}

func (c call) entries(ctx context.Context) ([]kiosk.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	entries, err := c.client().Queue(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	return entries, nil
}

func show(ctx context.Context, c call, args []string) error {
	if err := words(args, "RECORD"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d, err := c.client().Show(ctx, kiosk.RecordID(args[0]))
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], c.explain(err))
	}
	return c.print(d, detailText(d, c.now()))
}

// retry has the named dead records delivered after all, or those of a reason.
func retry(ctx context.Context, c call, names []string, reason string) error {
	switch {
	case reason != "" && len(names) > 0:
		return usage("RECORD and --reason are both given: give one")
	case reason != "":
		entries, err := c.entries(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.State == "dead" && e.Reason == reason {
				names = append(names, string(e.Record))
			}
		}
		if len(names) == 0 {
			return &exitError{exitData, fmt.Errorf("no dead record has the reason %q: see kioskctl queue", reason)}
		}
	case len(names) == 0:
		return usage("RECORD is missing, or --reason for all records of a reason")
	}
	var worst error
	for _, name := range names {
		if err := words([]string{name}, "RECORD"); err != nil {
			return err
		}
		err := c.retryOne(ctx, kiosk.RecordID(name))
		if _, refused := errors.AsType[*api.RefusalError](err); err != nil && !refused {
			return err
		}
		if err == nil {
			continue
		}
		if worst != nil { // only the last is left for run to tell
			c.complain(worst)
		}
		worst = err
	}
	return worst
}

func (c call) retryOne(ctx context.Context, id kiosk.RecordID) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.client().Retry(ctx, id); err != nil {
		return fmt.Errorf("%s: %w", id, c.explain(err))
	}
	const became = "waits for delivery"
	return c.print(map[string]any{"record": id, "became": became}, fmt.Sprintf("%s: %s", id, became))
}

// drop erases a record for good.
func drop(ctx context.Context, c call, args []string, reason string) error {
	if err := words(args, "RECORD"); err != nil {
		return err
	}
	if le, ok := errors.AsType[*kiosk.LaunchError](api.ValidateReason(reason)); ok {
		return usage("--reason %s", le.Reason)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d, err := c.client().Drop(ctx, kiosk.RecordID(args[0]), reason)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], c.explain(err))
	}
	return c.print(d, droppedText(d))
}

func erasures(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := c.client().Erasures(ctx)
	if err != nil {
		return c.explain(err)
	}
	if !c.json {
		return c.print(nil, erasuresText(all))
	}
	return printEach(c, all)
}

// verify has the daemon read the whole outbox, for as long as that takes.
func verify(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	v, err := c.client().Verify(ctx, func(l api.VerifyLine) error {
		return c.print(l, fmt.Sprintf("%d of %d records read", l.Done, l.Total))
	})
	if err != nil {
		return c.upkeep(ctx, err, "interrupted, and nothing was changed")
	}
	if err := c.print(v, verificationText(v)); err != nil {
		return err
	}
	if len(v.Broken) > 0 || v.Tampered {
		return &exitError{code: exitData}
	}
	return nil
}

func compact(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	done, err := c.client().Compact(ctx)
	if err != nil {
		return c.upkeep(ctx, err, "interrupted; once begun, the daemon goes on with it: see kioskctl status")
	}
	return c.print(done, fmt.Sprintf("the outbox file had %s and has %s", size(done.Before), size(done.After)))
}

// upkeep explains what ended a call that may take long.
func (c call) upkeep(ctx context.Context, err error, interrupted string) error {
	if ctx.Err() != nil {
		return &exitError{exitLater, errors.New(interrupted)}
	}
	return c.explain(err)
}

// maxKey bounds a file with a public key, bytes.
const maxKey = 64 << 10

// export has what support needs to know of the outbox sealed for somebody, and
// keeps it in a file.
func export(ctx context.Context, c call, args []string, to, out string) error {
	if err := words(args); err != nil {
		return err
	}
	switch {
	case to == "":
		return usage("--to is missing: the public key of whoever may open it")
	case out == "":
		return usage("--out is missing: the file to write")
	}
	recipient, err := publicKey(to)
	if err != nil {
		return err
	}
	n, err := create(out, func(w io.Writer) error { return c.client().Export(ctx, w, recipient) })
	switch {
	case err == nil:
		return c.print(map[string]any{"file": out, "bytes": n},
			fmt.Sprintf("%s: %s, which only the holder of the private key of %s can open", out, size(n), to))
	case errors.Is(err, errFile):
		return &exitError{exitCannot, fmt.Errorf("--out: %w", err)}
	}
	return c.upkeep(ctx, err, "interrupted, and nothing was kept")
}

// publicKey reads a file with a public key. A private one by mistake is not
// sent on.
func publicKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("--to: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	switch {
	case err != nil:
		return nil, usage("--to: %w", err)
	case len(pem) > maxKey:
		return nil, usage("--to: %s is longer than %d bytes: it is no public key", file, maxKey)
	case strings.Contains(string(pem), "PRIVATE KEY"):
		clear(pem)
		return nil, usage("--to: %s holds a private key: give its public half, as kioskctl keys public prints it", file)
	}
	return pem, nil
}

// errFile wraps what keeps a file from being written.
var errFile = errors.New("nothing was kept")

// create has a file written that appears under its name only when it is whole
// and durable, never in place of another one, and that nobody else can read.
// It returns its size in bytes. Its errors are write's, or wrap errFile.
func create(name string, write func(io.Writer) error) (size int64, err error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("%w: %w", errFile, err) }
	if _, err = os.Lstat(name); err == nil { // before anything is asked for
		return fail(fmt.Errorf("%s: %w", name, os.ErrExist))
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	f, err := os.CreateTemp(dir.Name(), "."+filepath.Base(name)+"-*") // with mode 0600
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // what it wrote is not wanted
			_ = os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		if _, own := errors.AsType[*fs.PathError](err); own {
			return fail(err)
		}
		return 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		// A link would do as well, but for the file systems of memory sticks.
		err = unix.Renameat2(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return fail(fmt.Errorf("%s: %w", name, err))
	}
	if err := dir.Sync(); err != nil {
		return 0, fmt.Errorf("%w for certain: %w", errFile, err)
	}
	return info.Size(), nil
}
