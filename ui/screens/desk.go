package screens

import (
	"image"
	"strconv"
	"strings"
	"time"

	"gioui.org/font"
	"gioui.org/op"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// A Desk is what DeskScreen tells staff: no personal data.
type Desk struct {
	Version  string
	Faults   []kiosk.Fault // that stand, the most important one in front
	Services []Service
	Camera   string        // which one, as the configuration or the driver has it
	Entries  []kiosk.Entry // records of the outbox, as they are to be listed
}

// A Service is one that the kiosk needs beyond the network.
type Service struct {
	Name    string
	Known   bool   // it was asked
	Trouble string // "": none
}

// refresh is how often staff's screen looks again.
const refresh = time.Second

// desk draws how the kiosk is, or which records it has, and what staff can do.
func (f *frame) desk() {
	f.Execute(op.InvalidateCmd{At: f.Now.Add(refresh)})
	margin := f.px(40)
	all := image.Rect(margin, margin, f.size.X-margin, f.size.Y-margin)
	f.wordmark(all.Min)
	foot := image.Rect(all.Min.X, all.Max.Y-f.reach(112), all.Max.X, all.Max.Y)
	for i, r := range f.row(foot, 3) {
		f.button(r, []kiosk.Control{kiosk.Drain, kiosk.Listing, kiosk.Done}[i], []rank{quiet, quiet, main}[i])
	}
	head := image.Rect(all.Min.X, all.Min.Y+f.px(76), all.Max.X, all.Min.Y+f.px(190))
	if !f.upright {
		head = image.Rect(all.Min.X+f.px(340), all.Min.Y, all.Max.X, all.Min.Y+f.px(100))
	}
	f.column(head, giotext.Start, 0,
		item{text: f.say.Title(kiosk.DeskScreen), size: 46, weight: font.Bold, color: f.p.Ink},
		item{gap: 4, text: f.say.Body(kiosk.DeskScreen), size: 25, color: f.p.Soft})
	rest := image.Rect(all.Min.X, head.Max.Y+f.px(12), all.Max.X, foot.Min.Y-f.px(24))
	d := f.glance()
	if f.v.Listing {
		f.records(rest, d.Entries)
		return
	}
	f.state(rest, d)
}

// A line is one line of staff's screen.
type line struct {
	name, value string
	good        bool // nothing to look at
}

// state draws what staff would ask for first.
func (f *frame) state(r image.Rectangle, d Desk) {
	say := func(k text.Key) string { return f.say.Phrase(k) }
	lines := []line{{say(text.RowService), say(text.InService), true}}
	for i, fault := range d.Faults {
		if i == 0 {
			lines = lines[:0]
		}
		if fault == kiosk.UpdateFault {
			lines = append(lines, line{say(text.RowService), say(text.Draining), false})
			continue
		}
		lines = append(lines, line{say(text.RowService), f.say.Fault(fault), false})
	}
	for _, s := range d.Services {
		value := say(text.Working)
		switch {
		case s.Trouble != "":
			value = s.Trouble
		case !s.Known:
			value = say(text.NotAsked)
		}
		lines = append(lines, line{say(text.RowNetwork) + ": " + s.Name, value, s.Trouble == ""})
	}
	waiting, aside := 0, 0
	for _, e := range d.Entries {
		switch e.State {
		case "done":
		case "dead":
			aside++
		default:
			waiting++
		}
	}
	lines = append(lines,
		line{say(text.RowQueue), strconv.Itoa(waiting), true}, line{say(text.RowAside), strconv.Itoa(aside), aside == 0},
		line{say(text.RowCamera), d.Camera, true}, line{say(text.RowVersion), d.Version, true})
	f.lines(r, lines)
}

// records lists the newest that fit, by the code that visitors have of them.
func (f *frame) records(r image.Rectangle, entries []kiosk.Entry) {
	var lines []line
	for _, e := range entries {
		id := string(e.Record)
		value := strings.TrimSpace(e.Queued.Local().Format("02-01 15:04") + "  " + e.State + "  " + e.Reason)
		lines = append(lines, line{text.Code(id[:min(len(id), 8)]), value, e.State != "dead"})
	}
	if len(lines) == 0 {
		f.column(r, giotext.Start, 0, item{text: f.say.Phrase(text.NoneThere), size: 30, color: f.p.Soft})
		return
	}
	f.lines(r, lines)
}

// lines draws as many lines as fit, each with a mark of whether it is good.
func (f *frame) lines(r image.Rectangle, lines []line) {
	h := f.px(min(68, max(46, float32(r.Dy())/f.scale/float32(len(lines)))))
	for i, ln := range lines {
		row := image.Rect(r.Min.X, r.Min.Y+i*h, r.Max.X, r.Min.Y+(i+1)*h)
		if row.Max.Y > r.Max.Y {
			return
		}
		f.fill(image.Rect(row.Min.X, row.Max.Y-f.px(2), row.Max.X, row.Max.Y), f.p.Faint)
		d := f.px(36)
		y := row.Min.Y + (h-d)/2
		at := image.Rect(row.Min.X, y, row.Min.X+d, y+d)
		if ln.good {
			f.badge(at, iconCheck, f.p.Good, f.p.OnGood)
		} else {
			f.badge(at, iconNotice, f.p.Warn, f.p.OnWarn)
		}
		name := image.Rect(at.Max.X+f.px(16), row.Min.Y, row.Min.X+row.Dx()*9/20, row.Max.Y-f.px(4))
		f.column(name, giotext.Start, 0.5, item{text: ln.name, size: 28, weight: font.Medium, color: f.p.Ink})
		if ln.value != "" {
			f.column(image.Rect(name.Max.X+f.px(16), row.Min.Y, row.Max.X, row.Max.Y-f.px(4)), giotext.Start, 0.5,
				item{text: ln.value, size: 28, color: f.p.Soft})
		}
	}
}
