package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/commission"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

func commands() []command {
	return []command{
		{
			name: "launch", args: "--correlation-id ID (--user-id ID | --token-file F) [flags]",
			summary: "start a session",
			more: `The correlation id is the partner's name for the session; it is refused once
a capture was stored for it. The visitor is named by a user token, or by a user id with which the
kiosk asks the partner backend for a token. A token on the command line is
visible to every user of this machine: use --token-file, or "--token -" and
standard input. So is a user id: "--user-id -" reads it from standard input.

With --follow the exit code tells how the session ended: 0 when it completed,
and also when it was saved for later delivery, since nothing is left to do for
the visitor; 1 when it ended otherwise.`,
			flags: launchFlags,
		},
		{
			name: "follow", args: "SESSION [flags]", summary: "show a session's events until its result",
			more: `The exit code tells how the session ended, as for launch --follow; 75 if the
daemon stops before that. A capture that was stored is known to the daemon also
after a restart: follow the session again.`,
			flags: func(fs *flag.FlagSet) func(context.Context, call, []string) error {
				delivered := fs.Bool("delivered", false, "go on after \"saved for later\", until the capture was delivered and judged")
				return func(ctx context.Context, c call, args []string) error { return follow(ctx, c, args, *delivered) }
			},
		},
		{
			name: "result", args: "SESSION [flags]", summary: "show a session's result so far",
			more: `The exit code tells how the session ended, as for launch --follow; 75 while it
is running. A session before the daemon's last start is known if it stored a
capture; its correlation id is not.`,
			flags: noFlags(result),
		},
		{
			name: "book", args: "--correlation-id ID --user-id ID [flags]",
			summary: "have a user token fetched ahead for a person who is expected",
			more: `The token is fetched while there is a network, and used by a launch of the same
correlation id and user id should there be none when they come. A user id on the
command line is visible to every user of this machine: "--user-id -" reads it
from standard input.`,
			flags: bookFlags,
		},
		{name: "bookings", args: "[flags]", summary: "list who is booked, and whether their token is there", flags: noFlags(bookings)},
		{name: "unbook", args: "CORRELATION-ID [flags]", summary: "forget a booking and its token", flags: noFlags(unbook)},
		{name: "status", args: "[flags]", summary: "show the daemon's state", flags: noFlags(status)},
		{
			name: "queue", args: "[list | show RECORD | retry RECORD... | retry --reason WORD | drop RECORD --reason TEXT | erasures | verify | export --to FILE --out FILE | compact] [flags]",
			summary: "list the records of the outbox, decide about them, or look after it",
			more: `"show" tells what else is known of a record: no name, no picture.

Dead records were set aside because they could not be delivered; the list says
why. Once the cause is mended, "retry" has them wait for delivery again, all of
one reason with --reason.

"drop" erases a record for good, one that waits, too, as when the person has
withdrawn their consent. The list keeps the reason you give, and that it was
you: the reason should name nobody. What the gateway has already is not erased
by this; the answer says what that is. "erasures" lists when the key of what was
erased was destroyed.

"verify" opens every part of every record, and checks the proof of erasure.
"export" writes what support needs to know of the outbox to a file: what "show"
and "erasures" tell, sizes and limits, but no picture and no name. It is sealed
for the public key in --to: nobody else can open it, and this kiosk cannot
either. "compact" gives room that lies idle in the outbox file back to the disk;
the kiosk is out of service meanwhile, so it is refused while a session is in
progress. Only one of these three runs at a time; an interrupt ends the first
two.

The exit code is 65 if there is no such record, its pictures are gone, or verify
finds a part that does not open or a proof that was changed; 75 if its device
key is not here, or the outbox is busy with a session or another verify, export
or compact. Of several records the last that could not be retried counts.`,
			flags: queueFlags,
		},
		{
			name: "panel", args: "[list | watch | set LINE on|off --for TIME | clear-tamper] [flags]",
			summary: "list, watch and switch the GPIO lines, and clear the tamper latch",
			more:    panelHelp, flags: panelFlags,
		},
		{
			name: "camera", args: "[list | probe | watch | save FILE | reset] [flags]", summary: "look after the camera", more: cameraHelp, flags: cameraFlags,
		},
		{
			name: "commission", args: "[show] [flags]", summary: "find out about this kiosk what its sessions are judged by", more: commissionHelp, flags: commissionFlags,
		},
		{
			name: "drain", args: "[--timeout TIME | --off] [flags]", summary: "take no new sessions, and wait until the kiosk can be stopped",
			more: drainHelp, flags: drainFlags,
		},
		{
			name: "volume", args: "[status | mount DEVICE | fallback | clear] [flags]", summary: "tell what became of the data partition, and bring it up",
			more:  volumeHelp,
			flags: volumeFlags,
		},
		{
			name: "update", args: "[status | check | apply [--wait TIME] | permit VERSION [--wait TIME]] [flags]", summary: "tell which version runs, and update it",
			more: updateHelp, flags: updateFlags,
		},
		{
			name: "models", args: "[status | check FILE | install FILE] [flags]", summary: "tell which models are in use, and install others",
			more: modelsHelp, flags: modelsFlags,
		},
		{
			name: "tap", args: "SESSION CONTROL [flags]", summary: "use a control for a visitor who cannot",
			more: `CONTROL is one of switch (another language), large, contrast, no_limit, no_flash, ready,
decline, cancel, help, done. One that is not on screen does nothing. Nobody can
agree for a visitor. The exit code is 65 if there is no such session, or it has ended.`,
			flags: func(fs *flag.FlagSet) func(context.Context, call, []string) error {
				locale := fs.String("locale", "", "of switch, the `language`; default English, or for who reads that, Indonesian")
				return func(ctx context.Context, c call, args []string) error {
					return touch(ctx, c, args, kiosk.Locale(*locale))
				}
			},
		},
		{
			name: "unlock", args: "[flags]", summary: "serve again after too many failed sessions",
			more: `Five sessions that fail within three minutes lock the kiosk, until this or until
staff give their PIN on its screen. The exit code is 65 if it is not locked.`,
			flags: noFlags(unlock),
		},
		{name: "health", args: "[--gate [--timeout TIME]] [flags]", summary: "tell whether the kiosk works", more: healthHelp, flags: healthFlags},
		{
			name: "keys", args: "[list | create | rotate | retire FINGERPRINT | public | open-export FILE | staff] [flags]",
			summary: "look after the device keys and the PIN of staff, and make the keys of relays and support",
			more:    keysHelp, flags: keysFlags,
		},
		{
			name: "events", args: "[flags]", summary: "show the events of all sessions",
			more: "Only the newest few thousand are kept, and none over a restart of the daemon.",
			flags: func(fs *flag.FlagSet) func(context.Context, call, []string) error {
				goOn := fs.Bool("follow", false, "go on with new events until interrupted")
				return func(ctx context.Context, c call, args []string) error { return events(ctx, c, args, *goOn) }
			},
		},
		{
			name: "replay", args: "TRACE... [--profile FILE] [flags]", summary: "run recorded sessions again and compare every step",
			more: `Needs no daemon. A TRACE of - is standard input.

With --profile each trace also runs with other thresholds, and what they would
have changed is told: which values differ, the first frame that is judged
otherwise and by which limit, the first input that leads elsewhere, and the
phases of both. The file is a kiosk's profile, as commission writes it, or a JSON
object with the keys of "policy" in a trace's first line, of which what is left
out stays as it was recorded; times are in nanoseconds:
{"guidance":{"angle_max":8},"live_min":0.7}`,
			flags: func(fs *flag.FlagSet) func(context.Context, call, []string) error {
				profile := fs.String("profile", "", "`file` with other thresholds, as JSON")
				return func(ctx context.Context, c call, args []string) error { return replay(ctx, c, *profile, args) }
			},
		},
		{
			name: "story", args: "[-- FLAGS]", summary: "show every screen in every state, language, orientation and scheme",
			more: `Needs no daemon, but its program: it runs "kioskd -story" with these flags, which
"kioskctl story -- -h" lists. It opens a window, where the arrow keys leaf
through states and schemes, L changes the language and O the orientation; a
theme's file is read again whenever it changes. -sheet FILE writes a contact
sheet instead.`,
			flags: noFlags(story),
		},
		{
			name: "language", args: "[template TAG | check FILE...] [flags]", summary: "begin the file of a further language, or check it",
			more: languageHelp, flags: noFlags(languages),
		},
		{
			name: "relay", args: "--key FILE --upstream URL [flags]", summary: "run the relay that opens what kiosks sealed for it",
			more: `Runs until it is stopped, on a machine of the partner's and not on a kiosk. To
kiosks in relay mode it is the gateway. It opens images and metadata with the
key, in memory, and hands them on to the gateway behind it; it keeps nothing.

"kioskctl keys create --out FILE" makes the key; kiosks are given its public
half. A new key is given first, and the old one after it for as long as kiosks
still hold what was sealed for it. The exit code is 65 if a key or certificate
cannot be used.`,
			flags: relayFlags,
		},
		{
			name: "version", args: "", summary: "print the version of this command",
			flags: noFlags(func(_ context.Context, c call, args []string) error {
				if err := words(args); err != nil {
					return err
				}
				return c.print(map[string]string{"version": version}, version)
			}),
		},
	}
}

func noFlags(f func(context.Context, call, []string) error) func(*flag.FlagSet) func(context.Context, call, []string) error {
	return func(*flag.FlagSet) func(context.Context, call, []string) error { return f }
}

// words checks that a command was given exactly these arguments.
func words(args []string, names ...string) error {
	switch {
	case len(args) < len(names):
		return usage("%s is missing", names[len(args)])
	case len(args) > len(names):
		return usage("%q is one argument too many", args[len(names)])
	}
	for i, a := range args {
		if a == "" {
			return usage("%s is empty", names[i])
		}
	}
	return nil
}

// callTimeout bounds every exchange with the daemon but following.
const callTimeout = 10 * time.Second

// client returns a client of the daemon's socket.
func (c call) client() *api.Client { return api.NewClient(c.socketPath()) }

// socketPath returns the socket to use: see the package comment.
func (c call) socketPath() string {
	if c.socket != "" {
		return c.socket
	}
	if path := c.getenv("KIOSKD_SOCKET"); path != "" {
		return path
	}
	if own := api.UserSocket(c.getenv); own != "" {
		// Anything but its absence is the system socket's own matter to report.
		if _, err := os.Lstat(c.system); errors.Is(err, os.ErrNotExist) {
			return own
		}
	}
	return c.system
}

// explain says which socket an error is about and what to do.
func (c call) explain(err error) error {
	switch {
	case errors.Is(err, api.ErrUnreachable):
		return fmt.Errorf("%w: is kioskd running with its socket at %s?", err, c.socketPath())
	case errors.Is(err, api.ErrForbidden):
		return fmt.Errorf("%w: run it as a member of the group %s (%s)", err, api.StaffGroup, c.socketPath())
	default:
		return err
	}
}

func launchFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var l kiosk.Launch
	var tokenFile, theme, locale string
	var goOn bool
	fs.StringVar(&l.CorrelationID, "correlation-id", "", "the partner's `id` of the session, never used before")
	fs.StringVar(&l.UserID, "user-id", "", "the visitor's `id` at the partner; - reads standard input")
	fs.StringVar(&l.UserIDType, "user-id-type", "", "what kind of id that is; default as configured (`type`)")
	fs.StringVar(&l.Token, "token", "", "the user `token`; - reads standard input")
	fs.StringVar(&tokenFile, "token-file", "", "`file` with the user token; - reads standard input")
	fs.StringVar(&l.BaseURL, "base-url", "", "the gateway; must be the configured one (`url`)")
	fs.StringVar(&theme, "theme", string(kiosk.NoPreference), "`theme`: DARK_MODE, LIGHT_MODE, NO_PREFERENCE or HIGH_CONTRAST")
	fs.StringVar(&locale, "locale", string(kiosk.Indonesian), "`language`: id, en or another that the kiosk has")
	fs.BoolVar(&l.NoTimeLimit, "no-time-limit", false, "no attempt times out: for those who need it")
	fs.BoolVar(&l.LargeText, "large-text", false, "begin with large text; the visitor can change it")
	fs.BoolVar(&l.HighContrast, "high-contrast", false, "begin in high contrast; the visitor can change it")
	fs.BoolVar(&l.NoFlash, "no-flash", false, "no light challenge; the visitor can change it")
	fs.BoolVar(&goOn, "follow", false, "show the session's events until its result")
	return func(ctx context.Context, c call, args []string) error {
		if err := words(args); err != nil {
			return err
		}
		var err error
		if l.UserID == "-" && (l.Token == "-" || tokenFile == "-") {
			return usage("--user-id and the token are both to be read from standard input: give one in another way")
		}
		if l.Token, err = token(c.in, l.Token, tokenFile); err != nil {
			return err
		}
		if l.UserID, err = userID(c.in, l.UserID); err != nil {
			return err
		}
		l.Theme, l.Locale = kiosk.Theme(theme), kiosk.Locale(locale)
		// A malformed launch is told as such also where no daemon runs.
		if err = l.Validate(); err != nil {
			return launchError(err)
		}
		short, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		id, err := c.client().Launch(short, l)
		if err != nil {
			return launchError(c.explain(err))
		}
		if err := c.print(map[string]kiosk.SessionID{"sessionId": id}, "session "+string(id)); err != nil || !goOn {
			return err
		}
		return followSession(ctx, c, id, false)
	}
}

// userID returns what --user-id names.
func userID(in io.Reader, value string) (string, error) {
	if value != "-" {
		return value, nil
	}
	return readWord(in, "--user-id", "user id")
}

// readWord reads the one word that a flag's input holds.
func readWord(in io.Reader, name, what string) (string, error) {
	const longest = 32 << 10
	b, err := io.ReadAll(io.LimitReader(in, longest+1))
	word := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return "", usage("%s: %w", name, err)
	case word == "":
		return "", usage("%s: it holds no %s", name, what)
	case len(b) > longest:
		return "", usage("%s: it is longer than %d bytes", name, longest)
	}
	return word, nil
}

// token returns the token of one of the two flags.
func token(in io.Reader, value, file string) (string, error) {
	switch {
	case value != "" && file != "":
		return "", usage("--token and --token-file are both given: give one")
	case value == "-":
		file = value
	case file == "":
		return value, nil
	}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usage("--token-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	return readWord(in, "--token-file", "token")
}

// launchError puts a refusal into the words of the command line.
func launchError(err error) error {
	flags := strings.NewReplacer("token and userId are", "--token-file (or --token) and --user-id are",
		"correlationId", "--correlation-id", "userIdType", "--user-id-type", "userId", "--user-id", "baseUrl", "--base-url",
		"token ", "--token ", "locale ", "--locale ", "theme ", "--theme ")
	if l, ok := errors.AsType[*kiosk.LaunchError](err); ok {
		return usage("%s (%d)", flags.Replace(l.Field+" "+l.Reason), l.Code)
	}
	r, ok := errors.AsType[*api.RefusalError](err)
	if !ok {
		return err
	}
	told := *r
	if r.Field != "" {
		told.Message = flags.Replace(r.Message)
	}
	if r.Retriable {
		told.Message += ": try later"
	}
	return &told
}

func bookFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var b kiosk.Booking
	var locale string
	fs.StringVar(&b.CorrelationID, "correlation-id", "", "the partner's `id` of the session to come, never used before")
	fs.StringVar(&b.UserID, "user-id", "", "the person's `id` at the partner; - reads standard input")
	fs.StringVar(&b.UserIDType, "user-id-type", "", "what kind of id that is; default as configured (`type`)")
	fs.StringVar(&locale, "locale", string(kiosk.Indonesian), "`language`: id, en or another that the kiosk has")
	return func(ctx context.Context, c call, args []string) error {
		if err := words(args); err != nil {
			return err
		}
		var err error
		if b.UserID, err = userID(c.in, b.UserID); err != nil {
			return err
		}
		b.Locale = kiosk.Locale(locale)
		if err = api.ValidateBooking(b); err != nil {
			return launchError(err)
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		booked, err := c.client().Book(ctx, b)
		if err != nil {
			return launchError(c.explain(err))
		}
		return c.print(booked, "booked "+booked.CorrelationID+", code "+booked.Code)
	}
}

func bookings(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := c.client().Bookings(ctx)
	if err != nil {
		return c.explain(err)
	}
	if !c.json {
		return c.print(nil, bookingsText(all, c.now()))
	}
	return printEach(c, all)
}

func touch(ctx context.Context, c call, args []string, locale kiosk.Locale) error {
	if err := words(args, "SESSION", "CONTROL"); err != nil {
		return err
	}
	t := kiosk.Tap{Session: kiosk.SessionID(args[0]), Control: kiosk.Control(args[1]), Locale: locale}
	if !slices.Contains(api.Touchable(), t.Control) {
		return usage("%q is no control that staff may use: see kioskctl help tap", args[1])
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := c.client().Tap(ctx, t)
	if r, is := errors.AsType[*api.RefusalError](err); is && r.HTTP == http.StatusConflict {
		return &exitError{exitData, err}
	}
	if err != nil {
		return c.explain(err)
	}
	return nil
}

func unlock(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.client().Unlock(ctx); err != nil {
		return c.explain(err)
	}
	return nil
}

func unbook(ctx context.Context, c call, args []string) error {
	if err := words(args, "CORRELATION-ID"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.client().Unbook(ctx, args[0]); err != nil {
		return c.explain(err)
	}
	return nil
}

func follow(ctx context.Context, c call, args []string, delivered bool) error {
	if err := words(args, "SESSION"); err != nil {
		return err
	}
	return followSession(ctx, c, kiosk.SessionID(args[0]), delivered)
}

// followSession prints a session's events and its result; with delivered not
// before its capture was judged.
func followSession(ctx context.Context, c call, id kiosk.SessionID, delivered bool) error {
	cl, show := c.client(), c.eventPrinter(false)
	walk, again := cl.Session, "kioskctl follow "+string(id)
	if delivered {
		walk, again = cl.Delivered, "kioskctl follow --delivered "+string(id)
	}
	var last *kiosk.Result
	err := walk(ctx, id, func(e kiosk.Event) error {
		if e.Result != nil {
			last = e.Result
		}
		return show(e)
	})
	switch {
	case ctx.Err() != nil:
		return &exitError{exitLater, fmt.Errorf("interrupted; the session goes on: %s", again)}
	case errors.Is(err, api.ErrStopping) && last == nil:
		return &exitError{exitLater, fmt.Errorf("%w, and a session that has stored no capture is over; once it runs again, ask: %s", err, again)}
	case errors.Is(err, api.ErrStopping) && delivered && saved(*last):
		return &exitError{exitLater, fmt.Errorf("%w, and delivers the capture once it runs again: %s", err, again)}
	case err != nil && !errors.Is(err, api.ErrStopping):
		return c.explain(err)
	case last != nil:
		return c.ended(*last)
	}
	return result(ctx, c, []string{string(id)}) // no event of it is kept
}

func result(ctx context.Context, c call, args []string) error {
	if err := words(args, "SESSION"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.client().Result(ctx, kiosk.SessionID(args[0]))
	if err != nil {
		return c.explain(err)
	}
	return c.ended(res)
}

// ended prints a result and returns what its exit code is.
func (c call) ended(r kiosk.Result) error {
	if err := c.print(r, resultText(r)); err != nil {
		return err
	}
	switch {
	case r.Status == kiosk.Completed, saved(r):
		return nil
	case r.Status == kiosk.Running:
		return &exitError{code: exitLater}
	default:
		return &exitError{code: exitEnded}
	}
}

func status(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	st, err := c.client().Status(ctx)
	if err != nil {
		return c.explain(err)
	}
	return c.print(st, statusText(st, c.now()))
}

func events(ctx context.Context, c call, args []string, goOn bool) error {
	if err := words(args); err != nil {
		return err
	}
	err := c.client().Events(ctx, 0, goOn, c.eventPrinter(true))
	select {
	case <-ctx.Done(): // the way to end it
		return nil
	default:
	}
	if errors.Is(err, api.ErrStopping) {
		return &exitError{exitLater, err}
	}
	return c.explain(err)
}

func replay(ctx context.Context, c call, profile string, args []string) error {
	if len(args) == 0 {
		return usage("TRACE is missing")
	}
	one := c.replayOne
	if profile != "" {
		other, err := os.ReadFile(profile)
		if err != nil {
			return usage("--profile: %w", err)
		}
		one = func(name string, in io.Reader) error { return c.compareOne(name, in, filepath.Base(profile), other) }
	}
	var worst error
	for _, name := range args {
		if ctx.Err() != nil {
			return &exitError{exitLater, errors.New("interrupted")}
		}
		if err := c.open(name, one); err != nil {
			if worst != nil { // only the last is left for run to tell
				c.complain(worst)
			}
			worst = err
		}
	}
	return worst
}

// open passes a trace to f.
func (c call) open(name string, f func(name string, in io.Reader) error) error {
	if name == "-" {
		return f(name, c.in)
	}
	in, err := os.Open(name)
	if err != nil {
		return &exitError{exitData, err}
	}
	defer in.Close()
	return f(name, in)
}

// replayOne replays one trace and tells what came out.
func (c call) replayOne(name string, in io.Reader) error {
	sum, err := trace.Replay(in)
	if err != nil {
		return &exitError{exitData, fmt.Errorf("%s: %w", name, err)}
	}
	if err := c.print(replayed{Trace: name, Reproduces: len(sum.Mismatches) == 0, Summary: sum}, replayText(name, sum)); err != nil {
		return err
	}
	if n := len(sum.Mismatches); n > 0 {
		return &exitError{exitData, fmt.Errorf("%s does not reproduce: %d of %d inputs led elsewhere", name, n, sum.Inputs)}
	}
	return nil
}

// compareOne replays one trace beside itself with what other, the contents of
// profile, changes.
func (c call) compareOne(name string, in io.Reader, profile string, other []byte) error {
	with, err := trace.Compare(in, func(p flow.Policy) (flow.Policy, error) { return judgedBy(p, other) })
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	if err != nil {
		return &exitError{exitData, fmt.Errorf("%s: %w", name, err)}
	}
	return c.print(compared{Trace: name, Comparison: with}, compareText(name, profile, with))
}

// judgedBy returns p with what a profile, or a part of another policy, changes.
func judgedBy(p flow.Policy, other []byte) (flow.Policy, error) {
	var head struct {
		Steps json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(other, &head); err == nil && head.Steps != nil {
		profile, err := commission.Decode(other)
		if err == nil {
			p.Guidance, err = profile.Apply(p.Guidance)
		}
		if err != nil {
			return p, usage("--profile: %w", err)
		}
		return p, nil
	}
	dec := json.NewDecoder(bytes.NewReader(other))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, usage("--profile: %w", err)
	}
	return p, nil
}

// printEach writes each value as a line of JSON.
func printEach[T any](c call, all []T) error {
	for _, v := range all {
		if err := c.print(v, ""); err != nil {
			return err
		}
	}
	return nil
}

// print writes v as a line of JSON, or else the text.
func (c call) print(v any, text string) error {
	var err error
	if c.json {
		err = json.NewEncoder(c.out).Encode(v)
	} else {
		_, err = fmt.Fprintln(c.out, text)
	}
	if err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
