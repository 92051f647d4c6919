package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// What the daemon does in place of serving, as its first argument: neither
// touches its state, its socket or a camera. They are here and not in
// kioskctl, which is built without the renderer, so that a designer sees what
// this very daemon draws.
const (
	storyFlag  = "-story"
	reportFlag = "-frame-report"
)

// watch is how often a theme's file is looked at.
const watch = 300 * time.Millisecond

// A story is what to show, and how.
type story struct {
	theme  string
	words  string
	pseudo bool
	sheet  string
	frames int
	size   image.Point
	book   ui.Book
	tiles  ui.Sheet
}

// parseStory reads the arguments after the first, which is mode.
func parseStory(mode string, args []string, out io.Writer) (s story, err error) {
	fs := flag.NewFlagSet("kioskd "+mode, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&s.theme, "theme", "", "`file` of a theme; it is read again whenever it changes")
	fs.StringVar(&s.words, "languages", "", "`folder` of further languages; they are read again whenever one changes")
	size := fs.String("size", "720x1280", "`WIDTHxHEIGHT` in pixels")
	only := fs.String("states", "", "only states whose name this `regexp` matches")
	scheme := fs.String("scheme", "", "only this `scheme`: LIGHT_MODE, DARK_MODE or HIGH_CONTRAST")
	locale := fs.String("locale", "", "only this `language`; en-XA is English with accents, a third longer")
	s.tiles = ui.Sheet{Gap: 8}
	if mode == storyFlag {
		fs.StringVar(&s.sheet, "sheet", "", "write a contact sheet to this PNG `file`, and open no window")
		fs.IntVar(&s.tiles.Columns, "columns", 6, "pictures in a row of the sheet")
		fs.IntVar(&s.tiles.Shrink, "shrink", 4, "how much smaller they are")
	} else {
		fs.IntVar(&s.frames, "frames", 30, "frames of each state")
	}
	if err = fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(out)
		fs.PrintDefaults()
		return s, err
	}
	names, bad := regexp.Compile(*only)
	n, _ := fmt.Sscanf(*size, "%dx%d", &s.size.X, &s.size.Y)
	switch {
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case bad != nil:
		err = fmt.Errorf("-states: %w", bad)
	case n != 2 || min(s.size.X, s.size.Y) < 240 || max(s.size.X, s.size.Y) > 4096:
		err = fmt.Errorf("-size: want a size such as 720x1280, have %q", *size)
	case *scheme != "" && !slices.Contains(theme.Schemes(), kiosk.Theme(*scheme)):
		err = fmt.Errorf("-scheme: %q is none of LIGHT_MODE, DARK_MODE, HIGH_CONTRAST", *scheme)
	case mode == storyFlag && (s.tiles.Columns < 1 || s.tiles.Shrink < 1 || s.tiles.Shrink > 16):
		err = errors.New("-columns and -shrink: want at least 1, and at most 16 of the latter")
	case mode == reportFlag && s.frames < 1:
		err = errors.New("-frames: want at least 1")
	}
	if err != nil {
		return s, fmt.Errorf("%w: %w", errUsage, err)
	}
	s.pseudo = kiosk.Locale(*locale) == text.PseudoLocale
	s.book = ui.Book{Schemes: theme.Schemes()}
	if *scheme != "" {
		s.book.Schemes = []kiosk.Theme{kiosk.Theme(*scheme)}
	}
	if *locale != "" {
		s.book.Locales = []kiosk.Locale{kiosk.Locale(*locale)}
	}
	for _, st := range screens.States() {
		if names.MatchString(st.Name) {
			s.book.States = append(s.book.States, st)
		}
	}
	if len(s.book.States) == 0 {
		return s, fmt.Errorf("%w: -states: no state is called so", errUsage)
	}
	return s, nil
}

// tell shows the story: in a window, on a sheet, or as a table of what it costs.
func tell(ctx context.Context, mode string, args []string, out io.Writer, log *slog.Logger) error {
	s, err := parseStory(mode, args, out)
	if err != nil {
		return err
	}
	display := DisplayConfig{Theme: s.theme}
	look, err := display.look(ctx, log)
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	words := s.speak(ctx, log)
	if l := s.book.Locales; l != nil && !slices.Contains(words.Locales(), l[0]) {
		return fmt.Errorf("%w: -locale: %q is none of %v", errUsage, l[0], words.Locales())
	}
	if mode == storyFlag && s.sheet == "" {
		return s.leaf(ctx, look, words, log)
	}
	if s.book.Locales == nil {
		s.book.Locales = words.Locales()
	}
	r, err := ui.NewRenderer(s.size)
	if err != nil {
		return err
	}
	defer r.Close()
	r.Wear(look)
	r.Speak(words)
	if mode == reportFlag {
		return s.report(r, out)
	}
	m, err := s.book.Contact(r, s.tiles)
	if err != nil {
		return err
	}
	f, err := os.Create(s.sheet)
	if err != nil {
		return fmt.Errorf("write sheet: %w", err)
	}
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := errors.Join(enc.Encode(f, m), f.Close()); err != nil {
		return fmt.Errorf("write sheet: %w", err)
	}
	return nil
}

// speak returns the languages of the story.
func (s story) speak(ctx context.Context, log *slog.Logger) *text.Catalogue {
	words, _ := Config{Display: DisplayConfig{Languages: s.words}}.languages(ctx, log)
	if s.pseudo {
		words = words.With(text.Pseudo())
	}
	return words
}

// leaf shows the book in a window, in what the theme's file and those of the
// languages say at the time.
func (s story) leaf(ctx context.Context, first *theme.Theme, words *text.Catalogue, log *slog.Logger) error {
	var look atomic.Pointer[theme.Theme]
	var spoken atomic.Pointer[text.Catalogue]
	look.Store(first)
	spoken.Store(words)
	changed := make(chan struct{}, 1)
	go func() {
		t := time.NewTicker(watch)
		defer t.Stop()
		seen, heard := stamp(s.theme), stamps(s.words)
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if now := stamps(s.words); now != heard {
				heard = now
				spoken.Store(s.speak(ctx, log)) // of what is wrong it tells
				log.InfoContext(ctx, "languages read again")
				hint(changed)
			}
			now := stamp(s.theme)
			if s.theme == "" || now == seen {
				continue
			}
			seen = now
			display := DisplayConfig{Theme: s.theme}
			th, err := display.look(ctx, log)
			if err != nil {
				log.WarnContext(ctx, "theme not taken: the last one stays", slog.Any("err", err))
				continue
			}
			log.InfoContext(ctx, "theme read again", slog.String("theme", th.Name))
			look.Store(th)
			hint(changed)
		}
	}()
	return s.book.Leaf(ctx, s.size, func() (*theme.Theme, *text.Catalogue) { return look.Load(), spoken.Load() }, changed)
}

// stamps tells one state of a folder's files from another; "" of no folder.
func stamps(dir string) string {
	files, _ := os.ReadDir(dir) // what cannot be read is told when it is read
	all := ""
	for _, f := range files {
		all += f.Name() + stamp(filepath.Join(dir, f.Name()))
	}
	return all
}

// stamp tells one state of a file from another.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

// report prints what each state costs of the time that there is for a frame.
func (s story) report(r *ui.Renderer, out io.Writer) error {
	costs, err := s.book.Report(r, s.frames, func() time.Duration {
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // of oneself it cannot fail
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	})
	if err != nil {
		return err
	}
	const budget = time.Second / 15 // the preview's rate
	_, _ = fmt.Fprintf(out, "Processor time of all threads, ms, at %dx%d. A frame of the preview has %.1f.\n\n", s.size.X, s.size.Y, budget.Seconds()*1e3)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "state\tfirst\tnext\tof a frame\t")
	for _, c := range costs {
		_, _ = fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.0f %%\t\n", c.State, c.First.Seconds()*1e3, c.Next.Seconds()*1e3, 100*c.Next.Seconds()/budget.Seconds())
	}
	return t.Flush()
}

// storytelling reports whether the process is asked for one of them.
func storytelling(args []string) (mode string, is bool) {
	if len(args) == 0 {
		return "", false
	}
	mode = "-" + strings.TrimLeft(args[0], "-")
	return mode, mode == storyFlag || mode == reportFlag
}
