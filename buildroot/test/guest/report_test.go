package guest_test

import (
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest"
)

func TestReportJudgesWhatTheGuestSays(t *testing.T) {
	const m = guest.Mark
	for _, c := range []struct {
		name  string
		lines []string
		shown string // some of what is printed
		err   string
	}{
		{"all passed", []string{m + "begin p", "=== RUN   TestGuestA", "--- PASS: TestGuestA (0.10s)", "PASS", m + "end p 0 1234", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1", m + "bye"}, "ok  \tp\t1.234s\n", ""},
		{"a test failed", []string{m + "begin p", "--- FAIL: TestGuestA (0.10s)", m + "end p 1 1234", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1", m + "bye"}, "FAIL\tp\t1.234s exit code 1\n", "failed: p"},
		{"a test was skipped", []string{m + "begin p", "--- PASS: TestGuestA (0.10s)", "--- SKIP: TestGuestB (0.00s)", m + "end p 0 1", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1", m + "bye"}, "skipped in the guest: TestGuestB (0.00s)", "failed: p"},
		{"no test ran", []string{m + "begin p", "testing: warning: no tests to run", "PASS", m + "end p 0 1", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1", m + "bye"}, "[no test ran]", "failed: p"},
		{"a passed subtest is no test", []string{m + "begin p", "    --- PASS: TestGuestA/sub (0.10s)", m + "end p 0 1", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1", m + "bye"}, "[no test ran]", "failed: p"},
		{"it ends while it tests", []string{m + "begin p", "--- PASS: TestGuestA (0.10s)"}, "TestGuestA", "while it tested p"},
		{"a package is missing", []string{m + "begin p", "--- PASS: TestGuestA (0.10s)", m + "end p 0 1", m + "bye"}, "ok", "without a word of q"},
		{"no farewell", []string{m + "begin p", "--- PASS: TestGuestA (0.10s)", m + "end p 0 1", m + "begin q", "--- PASS: TestGuestB (0.10s)", m + "end q 0 1"}, "ok", "farewell"},
		{"nothing at all", nil, "", "without a word of p"},
		{"another package ends", []string{m + "begin p", m + "end q 0 1"}, "not understood", "while it tested p"},
		{"an end that cannot be read", []string{m + "begin p", "--- PASS: TestGuestA (0.10s)", m + "end p ok 1", m + "bye"}, "cannot be read", "failed: p"},
		{"a word that is none", []string{m + "hello", m + "bye"}, "not understood", "failed: guest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := guest.Judge(&out, []string{"p", "q"}, c.lines...)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("verdict %v, want %q", err, c.err)
			}
			if !strings.Contains(out.String(), c.shown) {
				t.Errorf("shown %q, want %q in it", out.String(), c.shown)
			}
		})
	}
}
