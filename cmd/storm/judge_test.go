package main

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway/gatewaysim"
)

func TestACaptureIsTheSameInEveryProcessAndNobodyElses(t *testing.T) {
	a, err := newStudio(7)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newStudio(7)
	c, _ := newStudio(8)
	seen := map[string]string{}
	for n := range 50 {
		x, y, z := a.capture(n), b.capture(n), c.capture(n)
		for doc, img := range x.Images {
			if !bytes.Equal(img, y.Images[doc]) {
				t.Errorf("capture %d: %s differs from itself", n, doc)
			}
			if len(img) < leastImage || len(img) > mostImage {
				t.Errorf("capture %d: %s of %d bytes", n, doc, len(img))
			}
			size, err := jpeg.DecodeConfig(bytes.NewReader(img))
			if err != nil || size.Width != 480 || size.Height != 640 {
				t.Fatalf("capture %d: %s: %v %v", n, doc, size, err)
			}
			for _, i := range [][]byte{img, z.Images[doc]} {
				if other, is := seen[hash(i)]; is {
					t.Errorf("capture %d: %s is also %s", n, doc, other)
				}
				seen[hash(i)] = fmt.Sprint(n, doc)
			}
		}
	}
	if _, err := jpeg.Decode(bytes.NewReader(a.capture(0).Images[kiosk.Selfie])); err != nil {
		t.Errorf("it does not decode: %v", err)
	}
	big := a.images(0, 150_000, 150_000)[kiosk.Selfie]
	if _, err := jpeg.Decode(bytes.NewReader(big)); err != nil || len(big) != 150_000 {
		t.Errorf("a large one: %d bytes, %v", len(big), err)
	}
	short := shorten(big)
	if _, err := jpeg.Decode(bytes.NewReader(short)); err != nil || len(short) != len(big)-1000 {
		t.Errorf("a shortened one: %d bytes, %v", len(short), err)
	}
}

// scene is a run of five captures in which all is well: capture 3 was cut
// short and is whole, capture 4 was cut short and is absent.
func scene(t *testing.T) (*studio, *book, *evidence) {
	t.Helper()
	s, err := newStudio(3)
	if err != nil {
		t.Fatal(err)
	}
	b := &book{begun: map[int]bool{}, acked: map[int]bool{}}
	e := &evidence{told: map[string]word{}}
	for n := range 5 {
		b.begun[n] = true
		if n < 3 {
			b.acked[n] = true
		}
		if n == 4 {
			continue
		}
		c := gatewaysim.Confirmed{
			Submission: fmt.Sprint("sub-", n), Session: s.correlation(n), Times: 1, Documents: map[string]gatewaysim.Document{},
		}
		for doc, img := range s.capture(n).Images {
			c.Documents[string(doc)] = gatewaysim.Document{SHA256: hash(img), Size: int64(len(img))}
		}
		e.confirmed = append(e.confirmed, c)
		e.told[c.Session] = word{Submission: c.Submission, Status: "COMPLETED", Result: "VALID"}
		e.settled++
	}
	return s, b, e
}

func TestTheRefereeSeesEveryBrokenPromise(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks func(s *studio, b *book, e *evidence)
		says   string // "": no finding
	}{
		"nothing is wrong":                     {func(*studio, *book, *evidence) {}, ""},
		"a lost capture":                       {func(_ *studio, _ *book, e *evidence) { e.confirmed = e.confirmed[1:] }, "capture 0 was acknowledged and is lost"},
		"a lost capture that was not promised": {func(_ *studio, _ *book, e *evidence) { e.confirmed = e.confirmed[:3]; e.settled-- }, ""},
		"a second submission": {func(_ *studio, _ *book, e *evidence) {
			again := e.confirmed[1]
			again.Submission = "another"
			e.confirmed = append(e.confirmed, again)
		}, "capture 1 was confirmed 2 times"},
		"a second submission of a capture that was cut short": {func(_ *studio, _ *book, e *evidence) {
			again := e.confirmed[3]
			again.Submission = "another"
			e.confirmed = append(e.confirmed, again)
		}, "capture 3 was confirmed 2 times"},
		"a second confirmation": {func(_ *studio, _ *book, e *evidence) { e.confirmed[0].Times = 2 }, "was confirmed 2 times"},
		"the same images under another correlation id": {func(_ *studio, _ *book, e *evidence) {
			again := e.confirmed[2]
			again.Submission, again.Session = "another", "made-up"
			e.confirmed = append(e.confirmed, again)
		}, "capture 2 was confirmed 2 times"},
		"a phantom": {func(s *studio, _ *book, e *evidence) { e.confirmed[0].Session = s.correlation(9) }, "which no capture has"},
		"a torn image": {func(_ *studio, _ *book, e *evidence) {
			e.confirmed[0].Documents["SELFIE"] = gatewaysim.Document{SHA256: strings.Repeat("0", 64), Size: 1}
		}, "is no image that was taken"},
		"a missing image": {func(_ *studio, _ *book, e *evidence) { delete(e.confirmed[0].Documents, "ADDITIONAL_SELFIE") }, "ADDITIONAL_SELFIE of submission sub-0"},
		"another person's image": {func(_ *studio, _ *book, e *evidence) {
			e.confirmed[0].Documents["SELFIE"] = e.confirmed[1].Documents["SELFIE"]
		}, "holds as SELFIE the SELFIE of capture 1"},
		"exchanged poses": {func(_ *studio, _ *book, e *evidence) {
			d := e.confirmed[0].Documents
			d["SELFIE"], d["ADDITIONAL_SELFIE"] = d["ADDITIONAL_SELFIE"], d["SELFIE"]
		}, "holds as SELFIE the ADDITIONAL_SELFIE of capture 0"},
		"a record left over":             {func(_ *studio, _ *book, e *evidence) { e.pending = []kiosk.RecordID{"record-1"} }, "record-1 is still in the outbox"},
		"a dead letter":                  {func(_ *studio, _ *book, e *evidence) { e.dead = []kiosk.Entry{{Record: "record-2", Reason: "lost"}} }, "record-2 was set aside: lost"},
		"a record that nobody remembers": {func(_ *studio, _ *book, e *evidence) { e.settled-- }, "remembers 3 settled records"},
		"a partner who was told nothing": {func(s *studio, _ *book, e *evidence) { delete(e.told, s.correlation(2)) }, "partner's word on capture 2"},
		"a partner who was told wrong": {func(s *studio, _ *book, e *evidence) {
			e.told[s.correlation(2)] = word{Submission: "sub-2", Status: "COMPLETED", Result: "INVALID"}
		}, "partner's word on capture 2"},
		"a partner who was told of another": {func(s *studio, _ *book, e *evidence) {
			e.told[s.correlation(2)] = word{Submission: "sub-1", Status: "COMPLETED", Result: "VALID"}
		}, "is about submission sub-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, b, e := scene(t)
			tt.breaks(s, b, e)
			tally, findings := b.judge(s, *e)
			if tt.says == "" {
				if len(findings) > 0 || tally.confirmed != 3 || tally.whole+tally.absent != 2 {
					t.Errorf("%+v, findings %q", tally, findings)
				}
				return
			}
			if !strings.Contains(strings.Join(findings, "\n"), tt.says) {
				t.Errorf("findings %q, want %q", findings, tt.says)
			}
		})
	}
}
