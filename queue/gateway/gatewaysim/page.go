package gatewaysim

import (
	"bytes"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// What the page is made of.
var (
	//go:embed openapi.yaml
	openapi []byte
	//go:embed page.css
	pageCSS []byte
	//go:embed page.js
	pageJS []byte
	//go:embed page.html
	pageHTML string
)

// How much the page shows of the newest.
const (
	shownSessions = 25
	shownEvents   = 100
)

// A view is what the page shows.
type view struct {
	Now         time.Time
	Seed        uint64
	Durable     bool
	Checked     bool // faces are looked at
	Sessions    int
	Submissions int
	Confirmed   int
	Images      int
	ImageBytes  int64
	Pending     int // callbacks to come
	Calls       []string
	Faults      []string
	Error       string
	Shown       []shownSession
	Events      []Event
}

type shownSession struct {
	ID, Flow    string
	Used, Most  int
	Submissions []shownSubmission
}

type shownSubmission struct {
	ID, Status, Result, Reason string
	Created                    time.Time
	Documents                  []shownDocument
}

type shownDocument struct {
	Name, State, URL string
	Size             int64
}

// view gathers what the page shows.
func (s *Sim) view() view {
	events := s.Events()
	events = events[max(0, len(events)-shownEvents):]
	slices.Reverse(events)
	v := view{
		Now: s.opts.Now(), Seed: s.opts.Seed, Durable: s.disk != nil, Checked: s.opts.FaceCheck != nil,
		Calls: calls(), Faults: s.faults.lines(), Events: events,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Sessions, v.Submissions, v.Pending = len(s.sessions), len(s.submissions), len(s.callbacks)
	v.Images, v.ImageBytes = len(s.imageOrder), s.imageBytes
	for _, sub := range s.submissions {
		if !sub.open() {
			v.Confirmed++
		}
	}
	for _, sess := range slices.Backward(s.sessionOrder[max(0, len(s.sessionOrder)-shownSessions):]) {
		shown := shownSession{ID: sess.ID, Flow: sess.Flow, Used: sess.Confirmed, Most: s.opts.Attempts}
		for _, sub := range slices.Backward(sess.submissions) {
			one := shownSubmission{ID: sub.ID, Status: sub.Status, Created: sub.Created}
			if sub.Told {
				one.Result, one.Reason = sub.Verdict.result(), sub.Verdict.Reason
			}
			for _, d := range selfies() {
				doc := shownDocument{Name: d, State: sub.Documents[d].State, Size: sub.Documents[d].Size}
				if sub.Documents[d].Kept {
					doc.URL = "/sim/objects/" + place{sub.ID, d}.String()
				}
				one.Documents = append(one.Documents, doc)
			}
			shown.Submissions = append(shown.Submissions, one)
		}
		v.Shown = append(v.Shown, shown)
	}
	return v
}

// page shows a developer what is there and what happened.
func (s *Sim) page(w http.ResponseWriter, r *http.Request) { s.show(w, r, http.StatusOK, "") }

func (s *Sim) show(w http.ResponseWriter, r *http.Request, status int, complaint string) {
	v := s.view()
	v.Error = complaint
	t, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.Local().Format("15:04:05") },
		"kB":    func(n int64) string { return strconv.FormatInt((n+500)/1000, 10) + " kB" },
	}).Parse(pageHTML)
	var b bytes.Buffer
	if err == nil {
		err = t.Execute(&b, v)
	}
	if err != nil {
		s.log.ErrorContext(r.Context(), "page", slog.Any("err", err))
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	asset(w, status, "text/html; charset=utf-8", b.Bytes())
}

// pageFaults takes the page's form.
func (s *Sim) pageFaults(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, scriptLimit)
	if err := r.ParseForm(); err != nil {
		s.show(w, r, http.StatusBadRequest, "This form cannot be read.")
		return
	}
	var faults []Fault
	var err error
	if more := r.PostForm.Get("do") != "clear"; more {
		if faults, err = ParseFaults(r.PostForm.Get("script")); err == nil {
			err = s.faults.set(faults, true)
		}
	} else {
		err = s.faults.set(nil, false)
	}
	if err != nil {
		s.show(w, r, http.StatusBadRequest, err.Error())
		return
	}
	if err = s.settle(); err != nil {
		s.show(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	http.Redirect(w, r, "/sim/", http.StatusSeeOther)
}

// showImage serves an image to the page.
func (s *Sim) showImage(w http.ResponseWriter, r *http.Request) {
	img, err := s.image(place{r.PathValue("submission"), r.PathValue("document")})
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case img == nil:
		http.Error(w, "there is no such image, or no longer", http.StatusNotFound)
	default:
		asset(w, http.StatusOK, "image/jpeg", img)
	}
}

func serveAsset(kind string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { asset(w, http.StatusOK, kind, body) }
}

// asset answers with something for a browser, which may do nothing with it that
// the page does not need.
func asset(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
