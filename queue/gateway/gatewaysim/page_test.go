package gatewaysim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"livekiosk/queue/gateway/gatewaysim"
)

// A view is what a browser is answered.
type view struct {
	status int
	header http.Header
	body   []byte
}

// browse asks for something of the page as a browser would. Headers are
// "Name: value".
func (w *world) browse(t *testing.T, method, path string, form url.Values, headers ...string) view {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return view{resp.StatusCode, resp.Header, body}
}

// A leaf is a part of a page.
type leaf struct{ *html.Node }

// elements returns the elements of a name, in their order.
func elements(t *testing.T, page []byte, name string) []leaf {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return leaf{root}.all(name)
}

func (l leaf) all(name string) []leaf {
	var found []leaf
	for n := range l.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, leaf{n})
		}
	}
	return found
}

func (l leaf) attr(name string) string {
	for _, a := range l.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is what a reader sees, with single spaces.
func (l leaf) text() string {
	var b strings.Builder
	for n := range l.Descendants() {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.Type == html.ElementNode && n.Data != "wbr":
			b.WriteString(" ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestThePageShowsWhatHappened(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
		return gatewaysim.Face{Faces: 1, Live: 0.1}, nil
	}})
	if empty := w.browse(t, "GET", "/sim/", nil).body; !bytes.Contains(empty, []byte("Nobody has initiated a flow yet")) {
		t.Errorf("the page of a new simulator: %s", empty)
	}
	user := w.user(t, `<script>"evil"&`)
	id := w.confirmed(t, user)
	w.await(t, "verdict", id)
	w.user(t, "newer")
	w.call(t, "POST", "/sim/faults", "urls=503/30sx3 all=reset%5")
	w.call(t, "GET", urlsPath, "", user...)

	page := w.browse(t, "GET", "/sim/", nil).body
	if scripts := elements(t, page, "script"); len(scripts) > 0 {
		t.Errorf("the page has %d scripts", len(scripts))
	}
	if notice := elements(t, page, "p")[0].text(); !strings.Contains(notice, "A simulator for tests.") || !strings.Contains(notice, "images are what tests uploaded") {
		t.Errorf("the first thing it says is %q", notice)
	}
	sessions := elements(t, page, "article")
	if len(sessions) != 2 {
		t.Fatalf("%d sessions, want 2", len(sessions))
	}
	if got, want := sessions[0].text(), "newer STANDALONE_LIVENESS, initiated and without a submission"; got != want {
		t.Errorf("the newest session is %q, want %q", got, want)
	}
	if got, want := sessions[1].all("caption")[0].text(), `<script>"evil"& STANDALONE_LIVENESS, attempts used: 1 of 3`; got != want {
		t.Errorf("the older one is %q, want %q", got, want)
	}
	row := sessions[1].all("tr")[1]
	for _, want := range []string{"COMPLETED", id, "INVALID NOT_LIVE confidence 90 %", "SELFIE REJECTED", "ADDITIONAL_SELFIE REJECTED"} {
		if !strings.Contains(row.text(), want) {
			t.Errorf("its submission is %q without %q", row.text(), want)
		}
	}
	images := row.all("img")
	if len(images) != 2 || images[0].attr("alt") != "SELFIE of submission "+id {
		t.Fatalf("its images are %v", images)
	}
	for _, table := range elements(t, page, "table") {
		if len(table.all("caption")) != 1 || slices.ContainsFunc(table.all("th"), func(th leaf) bool { return th.attr("scope") == "" }) {
			t.Errorf("a table without a caption or with a heading of no scope: %s", table.text())
		}
	}
	for _, label := range elements(t, page, "label") {
		if !strings.Contains(string(page), `id="`+label.attr("for")+`"`) {
			t.Errorf("a label of nothing: %q", label.attr("for"))
		}
	}
	var faults []string
	for _, li := range elements(t, page, "ol")[0].all("li") {
		faults = append(faults, li.text())
	}
	if want := []string{"urls=503/30sx2", "all=reset%5"}; !slices.Equal(faults, want) {
		t.Errorf("the faults to come are %q, want %q", faults, want)
	}
	tables := elements(t, page, "table")
	newest := tables[len(tables)-1].all("tr")[1]
	if got := newest.text(); !strings.Contains(got, "urls 503 SERVICE_UNAVAILABLE fault urls=503/30s") || newest.attr("class") != "bad" {
		t.Errorf("the newest event is %q", got)
	}

	img := w.browse(t, "GET", images[0].attr("src"), nil)
	if string(img.body) != selfieJPEG(t) {
		t.Errorf("the image: %d, %d bytes", img.status, len(img.body))
	}
	for name, want := range map[string]string{"Content-Type": "image/jpeg", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := img.header.Get(name); got != want {
			t.Errorf("the image's %s is %q, want %q", name, got, want)
		}
	}
}

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	w.confirmed(t, w.user(t, "s"))
	front := w.browse(t, "GET", "/sim/", nil)
	page, policy := front.body, front.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		t.Errorf("its policy is %q", policy)
	}
	for name, attr := range map[string]string{"link": "href", "img": "src", "a": "href", "form": "action"} {
		found := elements(t, page, name)
		if len(found) == 0 {
			t.Errorf("no %s on the page", name)
		}
		for _, l := range found {
			if to := l.attr(attr); !strings.HasPrefix(to, "/sim/") && !strings.HasPrefix(to, "#") {
				t.Errorf("%s leads to %q", name, to)
			}
		}
	}
	for l := range (leaf{elements(t, page, "html")[0].Node}).Descendants() {
		if (leaf{l}).attr("style") != "" || l.Data == "style" {
			t.Errorf("%s has a style of its own, which the policy forbids", l.Data)
		}
	}
	css := w.browse(t, "GET", "/sim/page.css", nil)
	if kind := css.header.Get("Content-Type"); kind != "text/css; charset=utf-8" || !bytes.Contains(css.body, []byte("prefers-color-scheme: dark")) || bytes.Contains(css.body, []byte("url(")) {
		t.Errorf("its style is %s %q", kind, css.body)
	}
}

func TestThePageRefreshesOnlyWhenAsked(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	for path, want := range map[string]bool{"/sim/": false, "/sim/?refresh=0": false, "/sim/?refresh=1": true} {
		page := w.browse(t, "GET", path, nil).body
		got := slices.ContainsFunc(elements(t, page, "meta"), func(l leaf) bool { return l.attr("http-equiv") == "refresh" })
		if got != want {
			t.Errorf("%s refreshes: %v, want %v", path, got, want)
		}
	}
}

func TestThePageIsBounded(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{NewSubmissions: true})
	partner := w.partnerToken(t)
	var last []string
	for i := range 53 {
		session := fmt.Sprintf("s%d", i)
		token := w.call(t, "POST", "/coe-partner/v1/initiate-flow", flowBody, flowHeaders(partner, session)...).text(t, "token")
		last = []string{"x-onekyc-token: " + token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"}
	}
	for range 160 {
		w.call(t, "GET", urlsPath, "", last...)
	}
	w.call(t, "POST", "/sim/faults", strings.Repeat("urls=503 ", 60))
	page := w.browse(t, "GET", "/sim/", nil).body
	sessions := elements(t, page, "article")
	if len(sessions) != 50 || len(sessions[0].all("tbody")[0].all("tr")) != 5 {
		t.Errorf("%d sessions, the first %q", len(sessions), sessions[0].text())
	}
	tables := elements(t, page, "table")
	if events := tables[len(tables)-1].all("tbody")[0].all("tr"); len(events) != 200 {
		t.Errorf("%d events, want 200", len(events))
	}
	if faults := elements(t, page, "ol")[0].all("li"); len(faults) != 50 {
		t.Errorf("%d faults, want 50", len(faults))
	}
	for _, want := range []string{"The newest 50 of 53.", "and 27 older", "and 10 more", "The last 200"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestThePagesForms(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	for _, tt := range []struct {
		name    string
		form    url.Values
		headers []string
		status  int
		says    string // on the page
		left    string // faults to come
	}{
		{name: "faults are added", form: url.Values{"do": {"add"}, "script": {"urls=503 x3\r\nstatus=hang 10s"}}, status: 303, left: "urls=503x3\nstatus=hang:10s\n"},
		{name: "more are added", form: url.Values{"do": {"add"}, "script": {"all=reset"}}, headers: []string{"Sec-Fetch-Site: same-origin"}, status: 303, left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a wrong script comes back with what is wrong", form: url.Values{"do": {"add"}, "script": {"<b>=503"}}, status: 400, says: `there is no call "<b>"`, left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "an empty script is one, too", form: url.Values{"do": {"add"}, "script": {" "}}, status: 400, says: "there is no fault in the script", left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a page from elsewhere changes nothing", form: url.Values{"do": {"clear"}}, headers: []string{"Origin: https://elsewhere.example"}, status: 403, left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a frame elsewhere changes nothing", form: url.Values{"do": {"clear"}}, headers: []string{"Sec-Fetch-Site: cross-site"}, status: 403, left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a form without a wish", form: url.Values{"script": {"all=503"}}, status: 400, says: "want do=add or do=clear", left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a script that is too long", form: url.Values{"do": {"add"}, "script": {strings.Repeat(" ", 65<<10)}}, status: 413, says: "the script is too long", left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "a form that is too long", form: url.Values{"do": {"add"}, "script": {strings.Repeat("\x00", 100<<10)}}, status: 413, says: "the script is too long", left: "urls=503x3\nstatus=hang:10s\nall=reset\n"},
		{name: "they are cleared", form: url.Values{"do": {"clear"}}, status: 303, left: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.browse(t, "POST", "/sim/", tt.form, tt.headers...)
			page := got.body
			if got.status != tt.status {
				t.Errorf("%d %s, want %d", got.status, page, tt.status)
			}
			if tt.status == http.StatusSeeOther && got.header.Get("Location") != "/sim/" {
				t.Errorf("it leads to %q", got.header.Get("Location"))
			}
			if tt.says != "" {
				if alert := elements(t, page, "main")[0].text(); !strings.Contains(alert, tt.says) {
					t.Errorf("the page says %q, want %q", alert, tt.says)
				}
				if field := elements(t, page, "textarea")[0]; tt.status == http.StatusBadRequest && field.text() != strings.TrimSpace(tt.form.Get("script")) {
					t.Errorf("the field holds %q", field.text())
				}
			}
			if left := w.call(t, "GET", "/sim/faults", ""); string(left.body) != tt.left {
				t.Errorf("%q are to come, want %q", left.body, tt.left)
			}
		})
	}
}
