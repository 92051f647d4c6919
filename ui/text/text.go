// Package text holds every word the screens say, in Indonesian and English.
//
// The words are constants returned by exhaustive switches, so looking one up
// costs nothing and a missing one is found before the program runs. The two
// languages are written, not translated from each other: each says what a bank
// would say in it. An unknown locale reads as Indonesian, the language of the
// house.
package text

import (
	"strconv"
	"strings"

	"livekiosk/kiosk"
)

// Locales returns the languages that every text exists in.
func Locales() []kiosk.Locale { return []kiosk.Locale{kiosk.Indonesian, kiosk.English} }

// Hint returns what the visitor is asked to do, short enough for two lines of
// large type. It is "" for NoHint.
func Hint(l kiosk.Locale, h kiosk.Hint) string {
	if l == kiosk.English {
		return hintEnglish(h)
	}
	return hintIndonesian(h)
}

// Title returns the heading of s, or for IdleScreen and GuidingScreen the
// welcome and the name of the step. It is "" for RestingScreen
// and CommissionScreen, whose words are those of its step.
func Title(l kiosk.Locale, s kiosk.Screen) string {
	if l == kiosk.English {
		return titleEnglish(s)
	}
	return titleIndonesian(s)
}

// Body returns the sentence or two beneath the heading of s: what happens now
// and what to do. For OutOfServiceScreen see Fault. It is "" for RestingScreen.
func Body(l kiosk.Locale, s kiosk.Screen) string {
	if l == kiosk.English {
		return bodyEnglish(s)
	}
	return bodyIndonesian(s)
}

// Control returns the label of a button. The language switch is labelled with
// the language it leads to, in that language.
func Control(l kiosk.Locale, c kiosk.Control) string {
	if l == kiosk.English {
		return controlEnglish(c)
	}
	return controlIndonesian(c)
}

// Fault returns why nobody can be served, in words for a visitor: whose
// fault it is matters less than where to go. NoFault has a text of its own,
// for a kiosk that is closed for no reason it can name.
func Fault(l kiosk.Locale, f kiosk.Fault) string {
	if l == kiosk.English {
		return faultEnglish(f)
	}
	return faultIndonesian(f)
}

// Phrase returns a text that belongs to no screen, hint, control or fault.
func Phrase(l kiosk.Locale, p Key) string {
	if l == kiosk.English {
		return phraseEnglish(p)
	}
	return phraseIndonesian(p)
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
)

// Keys returns every phrase's key.
func Keys() []Key {
	return []Key{
		FarStep, NearStep, Starting, ScrollOn, Receipt, ReceiptNote, ClosesSoon, MoveOn,
		TryNow, StillThere, YourPhoto, GoodPhoto, TipCovers, TipLight, TipLook, TipAlone,
		StartsSoon, WithoutColours, StopColours, SilenceIsNo, NowStored, NowChecked, NowResult, HowLong, Looking, CodeUnknown, PINWrong,
		TypePaused, CodeRefused, Erase, Undrain, ShowState, RowService, RowNetwork, RowQueue,
		RowAside, RowCamera, RowVersion, InService, Draining, Working, NotAsked, NoneThere,
	}
}

// Attempts returns how many attempts are left after the present one. Negative
// counts read as none.
func Attempts(l kiosk.Locale, left int) string {
	n := strconv.Itoa(left)
	if l == kiosk.English {
		switch {
		case left <= 0:
			return "Last attempt"
		case left == 1:
			return "1 more attempt after this one"
		}
		return n + " more attempts after this one"
	}
	if left <= 0 {
		return "Kesempatan terakhir"
	}
	return "Masih ada " + n + " kesempatan setelah ini"
}

// Remaining returns how many attempts the visitor still has, on the screen
// between two of them.
func Remaining(l kiosk.Locale, left int) string {
	n := strconv.Itoa(left)
	if l == kiosk.English {
		switch {
		case left <= 0:
			return "A member of staff will help you next"
		case left == 1:
			return "1 attempt left"
		}
		return n + " attempts left"
	}
	if left <= 0 {
		return "Selanjutnya petugas kami akan membantu"
	}
	return "Sisa " + n + " kesempatan"
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
