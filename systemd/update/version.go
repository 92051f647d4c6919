package update

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// A Version is the version of an image, such as "1.4" or "2.0~rc1".
type Version string

// ParseVersion reads the version of an image.
func ParseVersion(s string) (Version, error) {
	if !regexp.MustCompile(`^[0-9][0-9A-Za-z.~^-]{0,63}$`).MatchString(s) {
		return "", fmt.Errorf("version %q: want a digit, and digits, letters and .~^- behind it", s)
	}
	return Version(s), nil
}

// UnmarshalText is ParseVersion.
func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVersion(string(b))
	return err
}

// Compare is less than, equal to or more than zero as v is older than, as old
// as, or newer than w. No version, "", is older than any. The order is that of
// systemd's tools, which choose by it, too: UAPI.10, version format.
func (v Version) Compare(w Version) int {
	a, b := string(v), string(w)
	for {
		if c, decided := mark(&a, &b, "~"); decided {
			return c
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		for _, m := range []string{"-", "^", "."} {
			if c, decided := mark(&a, &b, m); decided {
				return c
			}
		}
		digits := isDigit(a) || isDigit(b)
		if digits {
			a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		}
		partA, restA := cut(a, digits)
		partB, restB := cut(b, digits)
		c := strings.Compare(partA, partB)
		if digits { // a longer number is a larger one
			c = cmp.Or(cmp.Compare(len(partA), len(partB)), c)
		}
		if c != 0 {
			return c
		}
		a, b = restA, restB
	}
}

// mark takes a mark from the front of both. The one that alone has it is the
// older.
func mark(a, b *string, m string) (c int, decided bool) {
	restA, inA := strings.CutPrefix(*a, m)
	restB, inB := strings.CutPrefix(*b, m)
	switch {
	case inA && !inB:
		return -1, true
	case inB && !inA:
		return 1, true
	}
	*a, *b = restA, restB
	return 0, false
}

func isDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// cut splits off the digits, or else the letters, at the front.
func cut(s string, digits bool) (part, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool {
		digit := r >= '0' && r <= '9'
		return digit != digits || !digit && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r)
	})
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}
