package api_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/api/apitest"
)

func readDocument(t *testing.T) *apitest.Document {
	t.Helper()
	d, err := apitest.Read("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// documented returns the status codes of each route in the document.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	d := readDocument(t)
	codes := map[string][]string{}
	for _, r := range d.Routes() {
		codes[r] = d.Operation(r).At("responses").Keys
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

// fieldsOf returns the names of a type's fields in JSON.
func fieldsOf(of reflect.Type) []string {
	var fields []string
	for f := range of.Fields() {
		if f.Anonymous {
			fields = append(fields, fieldsOf(f.Type)...)
			continue
		}
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields = append(fields, tag)
	}
	return fields
}

func TestFieldsAreThoseOfTheDocument(t *testing.T) {
	schemas := readDocument(t).At("components", "schemas")
	for name, v := range map[string]any{
		"Event": kiosk.Event{}, "Status": api.Status{}, "Language": api.Language{}, "Booked": api.Booked{}, "ServiceStatus": api.ServiceStatus{},
		"ClockStatus": api.ClockStatus{}, "CameraStatus": api.CameraStatus{}, "QueueStatus": api.QueueStatus{}, "Entry": kiosk.Entry{},
		"Detail": kiosk.Detail{}, "Part": kiosk.Part{}, "Dropped": api.Dropped{}, "Erasure": kiosk.Erasure{}, "KeyUse": kiosk.KeyUse{},
		"VerifyLine": api.VerifyLine{}, "Verification": kiosk.Verification{}, "Compaction": kiosk.Compaction{}, "Camera": api.Camera{}, "CameraFigures": api.CameraFigures{},
		"ModelsStatus": api.ModelsStatus{}, "BundleStatus": api.BundleStatus{}, "Line": kiosk.Line{}, "Tamper": kiosk.Tamper{}, "Drain": api.Drain{}, "Health": api.Health{}, "Check": api.Check{},
		"Reading": kiosk.Reading{}, "CommissionLine": api.CommissionLine{}, "Commissioned": kiosk.Commissioned{},
	} {
		fields := fieldsOf(reflect.TypeOf(v))
		properties := schemas.At(name, "properties")
		if properties == nil {
			t.Errorf("openapi.yaml has no properties of %s", name)
			continue
		}
		if got := properties.Keys; !slices.Equal(got, fields) {
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
		"theme": "DARK_MODE", "locale": "en_ID", "noTimeLimit": true, "largeText": true, "highContrast": true, "noFlash": true,
	}
	properties := readDocument(t).At("components", "schemas", "Launch", "properties").Keys
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
		Theme: kiosk.Dark, Locale: kiosk.English, NoTimeLimit: true, LargeText: true, HighContrast: true, NoFlash: true,
	}
	if got := w.kiosk.launches[0]; got != want {
		t.Errorf("launched differently from what was sent")
	}
	if len(properties) != len(values) {
		t.Errorf("the document has %d fields, this test %d", len(properties), len(values))
	}
}
