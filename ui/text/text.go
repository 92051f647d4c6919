// Package text holds every word the screens say.
//
// A language is one JSON file, which language.schema.json describes. Indonesian
// and English are built in, from id.json and en.json beside this source; others
// are read from a folder: see Open. The languages are written, not translated
// from each other: each says what a bank would say in it. What a language lacks,
// and all of an unknown one, reads as Indonesian, the language of the house.
//
// Messages are looked up in a table of the package's own and not in that of
// golang.org/x/text/message: the screens are drawn up to 15 times a second and
// no lookup may allocate, a file is judged key by key, and only two messages
// have a plural. Its rules, tags and matching come from golang.org/x/text.
package text

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"livekiosk/kiosk"
)

// A Language is every text in one language. It does not change.
type Language struct {
	Locale kiosk.Locale
	Name   string // what it calls itself, as on the button that leads to it

	tag     language.Tag
	texts   map[string]string                 // by key; those of plurals are not among them
	plurals map[string]map[plural.Form]string // by key
	consent []Section
}

// Hint returns what the visitor is asked to do, short enough for two lines of
// large type. It is "" for NoHint.
func (l *Language) Hint(h kiosk.Hint) string { return l.texts["hint."+string(h)] }

// Title returns the heading of s, or for IdleScreen and GuidingScreen the
// welcome and the name of the step. It is "" for RestingScreen
// and CommissionScreen, whose words are those of its step.
func (l *Language) Title(s kiosk.Screen) string { return l.texts["title."+string(s)] }

// Body returns the sentence or two beneath the heading of s: what happens now
// and what to do. For OutOfServiceScreen see Fault. It is "" for RestingScreen.
func (l *Language) Body(s kiosk.Screen) string { return l.texts["body."+string(s)] }

// Control returns the label of a button.
func (l *Language) Control(c kiosk.Control) string { return l.texts["control."+string(c)] }

// Fault returns why nobody can be served, in words for a visitor: whose
// fault it is matters less than where to go. NoFault has a text of its own,
// for a kiosk that is closed for no reason it can name.
func (l *Language) Fault(f kiosk.Fault) string {
	if f == kiosk.NoFault {
		f = "none"
	}
	return l.texts["fault."+string(f)]
}

// Phrase returns a text that belongs to no screen, hint, control or fault.
func (l *Language) Phrase(p Key) string { return l.texts["phrase."+string(p)] }

// Step returns the heading of a step of commissioning.
func (l *Language) Step(s kiosk.Step) string { return l.texts["step."+string(s)] }

// Instruction returns what the installer does for a step.
func (l *Language) Instruction(s kiosk.Step) string { return l.texts["instruction."+string(s)] }

// Note returns what an installer mends before a step is passed, or what a step
// could not find out. It is "" for NoNote.
func (l *Language) Note(n kiosk.Note) string { return l.texts["note."+string(n)] }

// Attempts returns how many attempts are left after the present one. Negative
// counts read as none.
func (l *Language) Attempts(left int) string {
	if left <= 0 {
		return l.texts["attempts.last"]
	}
	return l.count("attempts.more", left)
}

// Remaining returns how many attempts the visitor still has, on the screen
// between two of them.
func (l *Language) Remaining(left int) string {
	if left <= 0 {
		return l.texts["remaining.none"]
	}
	return l.count("remaining.more", left)
}

// count returns the plural of a key that the language has for n.
func (l *Language) count(key string, n int) string {
	forms := l.plurals[key]
	text, has := forms[form(l.tag, n)]
	if !has {
		text = forms[plural.Other]
	}
	return strings.ReplaceAll(text, "{n}", strconv.Itoa(n))
}

// form is the plural form that a language has for n things.
func form(tag language.Tag, n int) plural.Form {
	return plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0)
}

// Progress returns which step of how many s is, as one reads it on a pill.
func (l *Language) Progress(s kiosk.Step) string {
	all := kiosk.Steps()
	return strings.NewReplacer("{n}", strconv.Itoa(slices.Index(all, s)+1), "{of}", strconv.Itoa(len(all))).Replace(l.texts["progress"])
}

// Figure returns what a step measures just now, with its name; "" where there is
// nothing to read.
func (l *Language) Figure(s kiosk.Step, v float32) string {
	number := func(digits int, unit string) string {
		return strings.ReplaceAll(l.texts["figure."+string(s)], "{figure}", strconv.FormatFloat(float64(v), 'f', digits, 32)+unit)
	}
	switch s {
	case kiosk.FocusStep, kiosk.ExposureStep:
		return number(0, "")
	case kiosk.DistanceStep:
		return number(0, " %")
	case kiosk.BackgroundStep:
		return number(1, "")
	case kiosk.LensStep:
		return number(2, "")
	case kiosk.LatencyStep:
	}
	return ""
}

// A Section is one heading of the consent text and what stands beneath it.
type Section struct {
	Heading, Body string
}

// Consent returns the text that the visitor agrees to, in the order shown: the
// purpose, the data, the controller, the recipient, how long it is kept, the
// visitor's rights with withdrawal and objection, and the alternative without
// a camera (UU 27/2022 on personal data protection, articles 5 to 13 and 20 to
// 22). The caller must not change it.
func (l *Language) Consent() []Section { return l.consent }

// ConsentText returns everything that the consent screen says about the
// consent, heading by heading, as one string of lines ending in a newline:
// the title, the introduction, the sections and the label that was tapped.
func (l *Language) ConsentText() string {
	var b strings.Builder
	line := func(s string) {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	line(l.Title(kiosk.ConsentScreen))
	line(l.Body(kiosk.ConsentScreen))
	for _, sec := range l.consent {
		line(sec.Heading)
		line(sec.Body)
	}
	line(l.Control(kiosk.Agree))
	return b.String()
}

// ConsentHash returns the SHA-256 of ConsentText in lower-case hex. It names
// the exact wording in a consent's receipt: whoever holds the source, or the
// file of a language that was installed, can show what was agreed to.
func (l *Language) ConsentHash() string {
	sum := sha256.Sum256([]byte(l.ConsentText()))
	return hex.EncodeToString(sum[:])
}

// A Key names a phrase.
type Key string

// The phrases.
const (
	FarStep     Key = "far_step"     // which of the two captures this is
	NearStep    Key = "near_step"    // the second capture
	Starting    Key = "starting"     // in place of the camera image before the first one
	ScrollOn    Key = "scroll_on"    // more of the consent text below
	Receipt     Key = "receipt"      // over the receipt code
	ReceiptNote Key = "receipt_note" // beneath it: what it is for
	ClosesSoon  Key = "closes_soon"  // an outcome screen that ends by itself
	MoveOn      Key = "move_on"      // the next attempt that begins by itself
	TryNow      Key = "try_now"      // button: the next attempt at once
	StillThere  Key = "still_there"  // title of an attempt that waits for the visitor's word
	YourPhoto   Key = "your_photo"   // under the image of an attempt that failed
	GoodPhoto   Key = "good_photo"   // under a drawing of what is wanted
	TipCovers   Key = "tip_covers"   // what helps, one after another
	TipLight    Key = "tip_light"
	TipLook     Key = "tip_look"
	TipAlone    Key = "tip_alone"
	StartsSoon  Key = "starts_soon" // the camera that starts by itself

	WithoutColours Key = "without_colours" // button: no light challenge
	StopColours    Key = "stop_colours"    // button: no more of it
	SilenceIsNo    Key = "silence_is_no"   // what comes of no answer to the warning

	NowStored   Key = "now_stored" // what happens while the visitor waits, step by step
	NowChecked  Key = "now_checked"
	NowResult   Key = "now_result"
	HowLong     Key = "how_long" // and for how long
	Looking     Key = "looking"  // what became of a code or PIN
	CodeUnknown Key = "code_unknown"
	PINWrong    Key = "pin_wrong"
	TypePaused  Key = "type_paused"
	CodeRefused Key = "code_refused"
	Erase       Key = "erase"       // key of a keypad: the last digit
	Undrain     Key = "undrain"     // button: take sessions again
	ShowState   Key = "show_state"  // button: the state, in place of the records
	RowService  Key = "row_service" // staff's screen: whether the kiosk serves
	RowNetwork  Key = "row_network" // services beyond the network
	RowQueue    Key = "row_queue"   // records that wait to be delivered
	RowAside    Key = "row_aside"   // records that staff has to look at
	RowCamera   Key = "row_camera"
	RowVersion  Key = "row_version"
	InService   Key = "in_service" // what the rows say
	Draining    Key = "draining"
	Working     Key = "working"
	NotAsked    Key = "not_asked"
	NoneThere   Key = "none_there" // no records
	Choose      Key = "choose_language"
	More        Key = "more_languages" // button: the next page of them
	Back        Key = "go_back"        // button: none of them
)

// Phrases returns every phrase's key.
func Phrases() []Key {
	return []Key{
		FarStep, NearStep, Starting, ScrollOn, Receipt, ReceiptNote, ClosesSoon, MoveOn,
		TryNow, StillThere, YourPhoto, GoodPhoto, TipCovers, TipLight, TipLook, TipAlone,
		StartsSoon, WithoutColours, StopColours, SilenceIsNo, NowStored, NowChecked, NowResult, HowLong, Looking, CodeUnknown, PINWrong,
		TypePaused, CodeRefused, Erase, Undrain, ShowState, RowService, RowNetwork, RowQueue,
		RowAside, RowCamera, RowVersion, InService, Draining, Working, NotAsked, NoneThere, Choose, More, Back,
	}
}

// sections names the parts of the consent text, in the order shown.
func sections() []string {
	return []string{"purpose", "data", "controller", "recipient", "storage", "rights", "alternative"}
}

// Keys returns the key of every text, in the order of the template, and for
// each the placeholders that it must have, "{n}" of a plural among them.
func Keys() (keys []string, holds map[string][]string) {
	holds = map[string][]string{
		"attempts.more": {"{n}"}, "remaining.more": {"{n}"}, "progress": {"{n}", "{of}"},
	}
	for _, h := range kiosk.Hints() {
		keys = append(keys, "hint."+string(h))
	}
	for _, s := range kiosk.Screens() {
		if s != kiosk.RestingScreen && s != kiosk.CommissionScreen {
			keys = append(keys, "title."+string(s), "body."+string(s))
		}
	}
	for _, c := range kiosk.Controls() {
		keys = append(keys, "control."+string(c))
	}
	for _, f := range kiosk.Faults() {
		keys = append(keys, "fault."+string(f))
	}
	keys = append(keys, "fault.none")
	for _, p := range Phrases() {
		keys = append(keys, "phrase."+string(p))
	}
	keys = append(keys, "attempts.last", "attempts.more", "remaining.none", "remaining.more")
	for _, s := range kiosk.Steps() {
		keys = append(keys, "step."+string(s), "instruction."+string(s))
	}
	for _, n := range kiosk.Notes() {
		keys = append(keys, "note."+string(n))
	}
	for _, s := range kiosk.Steps() {
		if s != kiosk.LatencyStep { // has no figure
			keys = append(keys, "figure."+string(s))
			holds["figure."+string(s)] = []string{"{figure}"}
		}
	}
	keys = append(keys, "progress")
	for _, s := range sections() {
		keys = append(keys, "consent."+s+".heading", "consent."+s+".body")
	}
	return keys, holds
}

// isPlural reports whether a key has a text for each plural form.
func isPlural(key string) bool { return key == "attempts.more" || key == "remaining.more" }

// binding reports whether a key is part of what is agreed to, or of the
// answer. It cannot be in another language than the rest.
func binding(key string) bool {
	switch key {
	case "title.consent", "body.consent", "control.agree", "control.decline":
		return true
	}
	return strings.HasPrefix(key, "consent.")
}

// Code returns a receipt code in groups of four, which is how people read one
// aloud.
func Code(receipt string) string {
	var b strings.Builder
	for i, r := range []rune(strings.ToUpper(receipt)) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
