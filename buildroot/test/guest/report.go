package guest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A report reads what the guest sends, shows it as "go test -v" would, and
// judges it.
type report struct {
	out     io.Writer
	open    string // the package whose tests run
	passed  int    // tests of the open package
	skipped []string
	failed  []string       // packages
	ended   map[string]int // passed tests of each package that ended well
	bye     bool
}

func newReport(out io.Writer) *report { return &report{out: out, ended: map[string]int{}} }

// line takes one line, without its end.
func (r *report) line(line string) {
	if word, ok := strings.CutPrefix(line, Mark); ok {
		r.word(strings.Fields(word))
		return
	}
	r.say("%s\n", line)
	if result, ok := strings.CutPrefix(line, "--- "); ok { // subtests are indented
		verdict, name, _ := strings.Cut(result, ": ")
		switch verdict {
		case "PASS":
			r.passed++
		case "SKIP":
			r.skipped = append(r.skipped, name)
		}
	}
}

// word takes what the guest says itself. What it does not understand is
// taken as a failure.
func (r *report) word(f []string) {
	switch {
	case len(f) == 2 && f[0] == "begin" && r.open == "":
		r.open, r.passed, r.skipped = f[1], 0, nil
	case len(f) == 4 && f[0] == "end" && f[1] == r.open:
		code, err := strconv.Atoi(f[2])
		ms, err2 := strconv.Atoi(f[3])
		r.end(code, time.Duration(ms)*time.Millisecond, err == nil && err2 == nil)
	case len(f) == 1 && f[0] == "bye" && r.open == "":
		r.bye = true
	default:
		r.say("guest: not understood: %q\n", f)
		r.failed = append(r.failed, "guest")
	}
}

func (r *report) end(code int, took time.Duration, sound bool) {
	name := r.open
	r.open = ""
	var verdict string
	switch {
	case !sound:
		verdict = "[what the guest said of it cannot be read]"
	case code != 0:
		verdict = fmt.Sprintf("exit code %d", code)
	case len(r.skipped) > 0:
		verdict = "[skipped in the guest: " + strings.Join(r.skipped, ", ") + "]"
	case r.passed == 0:
		verdict = "[no test ran]"
	default:
		r.ended[name] = r.passed
		r.say("ok  \t%s\t%.3fs\n", name, took.Seconds())
		return
	}
	r.failed = append(r.failed, name)
	r.say("FAIL\t%s\t%.3fs %s\n", name, took.Seconds(), verdict)
}

// verdict is an error unless all the packages were tested and passed.
func (r *report) verdict(packages []string) error {
	if r.open != "" {
		return fmt.Errorf("the guest ended while it tested %s", r.open)
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	}
	for _, p := range packages {
		if r.ended[p] == 0 {
			return fmt.Errorf("the guest ended without a word of %s", p)
		}
	}
	if !r.bye {
		return errors.New("the guest ended without a farewell")
	}
	return nil
}

// say writes for the person watching, who may have gone.
func (r *report) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format, args...) }
