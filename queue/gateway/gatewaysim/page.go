package gatewaysim

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the page is made of, and the document of all that is served.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS []byte
	//go:embed openapi.yaml
	openapi []byte
)

// How much the page shows: of sessions, submissions and events, the newest.
const (
	shownSessions    = 50
	shownSubmissions = 5 // of one session
	shownEvents      = 200
	shownFaults      = 50
	formLimit        = 3*scriptLimit + 64 // a script as a form writes it
)

// A view is what the page shows.
type view struct {
	Refresh     bool // by itself
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
	MoreFaults  int    // that are not shown
	Script      string // one that was refused
	Error       string // why
	Shown       []shownSession
	Events      []Event
}

type shownSession struct {
	ID, Flow    string
	Used, Most  int
	Submissions []shownSubmission // newest first
	Older       int               // submissions that are not shown
}

type shownSubmission struct {
	ID, Status, Result, Reason string
	Confidence                 int
	Created                    time.Time
	Documents                  []shownDocument
}

type shownDocument struct {
	Name, State, URL string
	Size             int64
}

// view gathers what the page shows.
func (s *Sim) view() view {
	v := view{
		Now: s.opts.Now(), Seed: s.opts.Seed, Durable: s.disk != nil, Checked: s.opts.FaceCheck != nil,
		Calls: calls(), Faults: s.faults.lines(), Events: s.events.last(shownEvents),
	}
	slices.Reverse(v.Events)
	v.MoreFaults = max(0, len(v.Faults)-shownFaults)
	v.Faults = v.Faults[:len(v.Faults)-v.MoreFaults]
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
		v.Shown = append(v.Shown, s.viewSession(sess))
	}
	return v
}

// viewSession gathers a session. The mutex is held.
func (s *Sim) viewSession(sess *session) shownSession {
	v := shownSession{
		ID: sess.ID, Flow: sess.Flow, Used: sess.Confirmed, Most: s.opts.Attempts, Older: max(0, len(sess.submissions)-shownSubmissions),
	}
	for _, sub := range slices.Backward(sess.submissions[v.Older:]) {
		one := shownSubmission{ID: sub.ID, Status: sub.Status, Created: sub.Created}
		if sub.Told {
			one.Result, one.Reason, one.Confidence = sub.Verdict.result(), sub.Verdict.Reason, sub.Verdict.Confidence
		}
		for _, d := range selfies() {
			doc := shownDocument{Name: d, State: sub.Documents[d].State, Size: sub.Documents[d].Size}
			if sub.Documents[d].Kept {
				doc.URL = "/sim/objects/" + place{sub.ID, d}.String()
			}
			one.Documents = append(one.Documents, doc)
		}
		v.Submissions = append(v.Submissions, one)
	}
	return v
}

// page shows a developer what is there and what happened. It refreshes itself
// with ?refresh=1.
func (s *Sim) page(w http.ResponseWriter, r *http.Request) {
	v := s.view()
	v.Refresh = r.URL.Query().Get("refresh") == "1"
	s.show(w, r, http.StatusOK, v)
}

// complain shows the page with what is wrong with its form.
func (s *Sim) complain(w http.ResponseWriter, r *http.Request, status int, script string, err error) {
	v := s.view()
	v.Script, v.Error = script, err.Error()
	s.show(w, r, status, v)
}

func (s *Sim) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":  func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
		"kB":     func(n int64) string { return strconv.FormatInt((n+500)/1000, 10) + " kB" },
		"pieces": func(word string) []string { return strings.SplitAfter(word, "_") },
		"tone":   tone,
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

// tone is the class of an event on the page.
func tone(ev Event) string {
	switch {
	case ev.Fault != "", ev.Status >= http.StatusInternalServerError:
		return "bad"
	case ev.Status >= http.StatusBadRequest:
		return "odd"
	}
	return "plain"
}

// pageFaults takes the page's forms: a script to add, or the wish to clear.
func (s *Sim) pageFaults(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formLimit)
	err := r.ParseForm()
	script, tooLong := r.PostForm.Get("script"), &http.MaxBytesError{}
	switch {
	case errors.As(err, &tooLong) || len(script) > scriptLimit:
		s.complain(w, r, http.StatusRequestEntityTooLarge, "", errors.New("the script is too long"))
		return
	case err != nil:
		s.complain(w, r, http.StatusBadRequest, "", errors.New("the form cannot be read"))
		return
	}
	var faults []Fault
	switch r.PostForm.Get("do") {
	case "clear":
		err = s.faults.set(nil, false)
	case "add":
		if faults, err = ParseFaults(script); err == nil && len(faults) == 0 {
			err = errors.New("there is no fault in the script")
		}
		if err == nil {
			err = s.faults.set(faults, true)
		}
	default:
		err = errors.New("want do=add or do=clear")
	}
	if err != nil {
		s.complain(w, r, http.StatusBadRequest, script, err)
		return
	}
	if err := s.settle(); err != nil {
		s.complain(w, r, http.StatusInternalServerError, script, err)
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
// the page does not need, and keeps nothing of it.
func asset(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
