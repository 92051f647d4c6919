package api_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// A node is a mapping of the document: its keys in order, and what is below
// each. Scalars, lists and text blocks are not looked into.
type node struct {
	keys  []string
	below map[string]*node
}

func (n *node) at(path ...string) *node {
	for _, p := range path {
		if n == nil {
			return nil
		}
		n = n.below[p]
	}
	return n
}

// readDocument reads openapi.yaml, which keeps to two spaces a level.
func readDocument(t *testing.T) *node {
	t.Helper()
	b, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := &node{below: map[string]*node{}}
	open := []*node{root}
	skip := -1 // deeper lines belong to a list or a text block
	for i, line := range strings.Split(string(b), "\n") {
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		if text == "" || skip >= 0 && depth > skip {
			continue
		}
		skip = -1
		if strings.HasPrefix(text, "- ") {
			skip = depth
			continue
		}
		key, value, ok := strings.Cut(text, ":")
		if !ok || depth%2 != 0 || depth/2 >= len(open) {
			t.Fatalf("openapi.yaml:%d: not a line this test can read: %q", i+1, line)
		}
		if strings.TrimSpace(value) == "|" {
			skip = depth
		}
		open = open[:depth/2+1]
		parent := open[len(open)-1]
		key = strings.Trim(key, `"`)
		if parent.below[key] != nil {
			t.Errorf("openapi.yaml:%d: %q is there twice", i+1, key)
		}
		child := &node{below: map[string]*node{}}
		parent.keys = append(parent.keys, key)
		parent.below[key] = child
		open = append(open, child)
	}
	return root
}

// documented returns the status codes of each route in the document.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	paths := readDocument(t).at("paths")
	codes := map[string][]string{}
	for _, path := range paths.keys {
		for _, method := range paths.at(path).keys {
			codes[strings.ToUpper(method)+" "+path] = paths.at(path, method, "responses").keys
		}
	}
	return codes
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	served := newWorld(t).server.Routes()
	codes := documented(t)
	for _, r := range served {
		if codes[r] == nil {
			t.Errorf("%s is served and not in openapi.yaml", r)
		}
	}
	for r := range codes {
		if !slices.Contains(served, r) {
			t.Errorf("%s is in openapi.yaml and not served", r)
		}
	}
}

func TestFieldsAreThoseOfTheDocument(t *testing.T) {
	schemas := readDocument(t).at("components", "schemas")
	for name, v := range map[string]any{
		"Event": kiosk.Event{}, "Status": api.Status{}, "Booked": api.Booked{}, "ServiceStatus": api.ServiceStatus{},
		"ClockStatus": api.ClockStatus{}, "CameraStatus": api.CameraStatus{}, "QueueStatus": api.QueueStatus{}, "Entry": kiosk.Entry{},
	} {
		var fields []string
		for f := range reflect.TypeOf(v).Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, tag)
		}
		properties := schemas.at(name, "properties")
		if properties == nil {
			t.Errorf("openapi.yaml has no properties of %s", name)
			continue
		}
		if got := properties.keys; !slices.Equal(got, fields) {
			t.Errorf("openapi.yaml gives %s the fields %q, the code %q", name, got, fields)
		}
	}
}

// TestEveryFieldOfALaunchIsTaken sends a launch of all fields of the document
// at once.
func TestEveryFieldOfALaunchIsTaken(t *testing.T) {
	w := newWorld(t)
	values := map[string]any{
		"baseUrl": "https://gateway.example", "correlationId": "all", "token": "t", "userId": "u", "userIdType": "T",
		"theme": "DARK_MODE", "locale": "en_ID", "noTimeLimit": true,
	}
	properties := readDocument(t).at("components", "schemas", "Launch", "properties").keys
	body := map[string]any{}
	for _, p := range properties {
		if values[p] == nil {
			t.Errorf("this test has no value for %s", p)
		}
		body[p] = values[p]
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := w.ask("POST", "/v1/sessions", string(b)); code != 201 {
		t.Fatalf("POST = %d %s, want 201", code, answer)
	}
	want := kiosk.Launch{
		BaseURL: "https://gateway.example", CorrelationID: "all", Token: "t", UserID: "u", UserIDType: "T",
		Theme: kiosk.Dark, Locale: kiosk.English, NoTimeLimit: true,
	}
	if got := w.kiosk.launches[0]; got != want {
		t.Errorf("launched differently from what was sent")
	}
	if len(properties) != len(values) {
		t.Errorf("the document has %d fields, this test %d", len(properties), len(values))
	}
}
