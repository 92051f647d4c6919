package text

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"livekiosk/kiosk"
)

// A Section is one heading of the consent text and what stands beneath it.
type Section struct {
	Heading, Body string
}

// Consent returns the text that the visitor agrees to, in the order shown: the
// purpose, the data, the controller, the recipient, how long it is kept, the
// visitor's rights with withdrawal and objection, and the alternative without
// a camera (UU 27/2022 on personal data protection, articles 5 to 13 and 20 to
// 22). The caller owns the slice.
func Consent(l kiosk.Locale) []Section {
	if l == kiosk.English {
		return consentEnglish()
	}
	return consentIndonesian()
}

// ConsentText returns everything that the consent screen says about the
// consent, heading by heading, as one string of lines ending in a newline:
// the title, the introduction, the sections and the label that was tapped.
func ConsentText(l kiosk.Locale) string {
	var b strings.Builder
	line := func(s string) {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	line(Title(l, kiosk.ConsentScreen))
	line(Body(l, kiosk.ConsentScreen))
	for _, sec := range Consent(l) {
		line(sec.Heading)
		line(sec.Body)
	}
	line(Control(l, kiosk.Agree))
	return b.String()
}

// ConsentHash returns the SHA-256 of ConsentText in lower-case hex. It names
// the exact wording in a consent's receipt: whoever holds the source can show
// what was agreed to.
func ConsentHash(l kiosk.Locale) string {
	sum := sha256.Sum256([]byte(ConsentText(l)))
	return hex.EncodeToString(sum[:])
}
