package apitest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk/api/apitest"
)

const document = `openapi: 3.1.0
paths:
  /v1/things/{id}:
    get:
      parameters:
        - $ref: "#/components/parameters/id"
        - name: token
          in: header
      responses:
        "200":
          description: a thing
          headers:
            ETag:
              required: true
              schema:
                type: string
                pattern: ^"[0-9]+"$
          content:
            application/json:
              schema:
                $ref: "#/components/schemas/Thing"
        "404":
          $ref: "#/components/responses/Missing"
        default:
          description: |
            anything: else

            and more
    delete:
      responses:
        "204":
          description: gone
components:
  parameters:
    id:
      name: id
      in: path
  responses:
    Missing:
      description: there is none
      x-causes: [GONE, "NEVER"]
      content:
        application/x-ndjson:
          schema:
            type: object
  schemas:
    Thing:
      type: object
      required: [size]
      properties:
        size:
          type: [integer, "null"]
        at:
          type: string
          format: date-time
        kinds:
          type: array
          items:
            anyOf:
              - enum: [a, b]
              - const: ""
        flags:
          type: object
          additionalProperties:
            type: boolean
`

const thing, tag = "GET /v1/things/{id}", `ETag: "1"`

func parse(t *testing.T) *apitest.Document {
	t.Helper()
	d, err := apitest.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnswersAreHeldAgainstTheDocument(t *testing.T) {
	for _, tt := range []struct {
		name, route string
		status      int
		kind, body  string
		header      string // "Name: value"
		cause       string
		want        string // in the complaint; "" if there is none
	}{
		{name: "an answer as documented", status: 200, body: `{"size":1,"at":"2026-01-02T03:04:05Z","kinds":["a",""],"flags":{"x":true}}`, header: tag},
		{name: "a null that is allowed", status: 200, body: `{"size":null}`, header: tag},
		{name: "an unknown route", route: "GET /v2", status: 200, want: "GET /v2 is not in the document"},
		{name: "an unknown method", route: "PUT /v1/things/{id}", status: 200, want: "not in the document"},
		{name: "an unknown status, though there is a default", status: 500, want: "GET /v1/things/{id} 500 is not in the document"},
		{name: "an unknown content type", status: 200, kind: "text/plain", header: tag, want: "content type text/plain"},
		{name: "an unknown field", status: 200, body: `{"size":1,"x":1}`, header: tag, want: "the field x is not"},
		{name: "a missing field", status: 200, body: `{}`, header: tag, want: "the field size is missing"},
		{name: "a field of another type", status: 200, body: `{"size":"1"}`, header: tag, want: "1 is no integer or null"},
		{name: "a number that is not whole", status: 200, body: `{"size":1.5}`, header: tag, want: "1.5 is no integer"},
		{name: "a time that is none", status: 200, body: `{"size":1,"at":"now"}`, header: tag, want: "cannot parse"},
		{name: "an item of no kind", status: 200, body: `{"size":1,"kinds":["a","c"]}`, header: tag, want: "item 1"},
		{name: "another field of another type", status: 200, body: `{"size":1,"flags":{"x":1}}`, header: tag, want: "1 is no boolean"},
		{name: "no JSON", status: 200, body: `{`, header: tag, want: "unexpected end"},
		{name: "a missing header", status: 200, body: `{"size":1}`, want: "the header ETag is missing"},
		{name: "a header of another form", status: 200, body: `{"size":1}`, header: "ETag: x", want: "does not match"},
		{name: "an unknown header", route: "DELETE /v1/things/{id}", status: 204, header: "X-Other: 1", want: "the header X-Other is not"},
		{name: "a body where there is none", route: "DELETE /v1/things/{id}", status: 204, body: "{}", want: "there is a body"},
		{name: "an answer without body", route: "DELETE /v1/things/{id}", status: 204},
		{name: "a known cause, and lines", status: 404, kind: "application/x-ndjson", body: "{}\n{}\n", cause: "NEVER"},
		{name: "a wrong line", status: 404, kind: "application/x-ndjson", body: "{}\n1\n", cause: "GONE", want: "1 is no object"},
		{name: "an unknown cause", status: 404, kind: "application/x-ndjson", cause: "OTHER", want: `the cause "OTHER"`},
		{name: "no cause where there are some", status: 404, kind: "application/x-ndjson", want: `the cause ""`},
		{name: "a cause where there is none", route: "DELETE /v1/things/{id}", status: 204, cause: "GONE", want: `the cause "GONE"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := apitest.Answer{Route: tt.route, Status: tt.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(tt.body), Cause: tt.cause}
			if a.Route == "" {
				a.Route = thing
			}
			if tt.kind != "" {
				a.Header.Set("Content-Type", tt.kind)
			}
			if name, value, is := strings.Cut(tt.header, ": "); is {
				a.Header.Set(name, value)
			}
			err := parse(t).Hold(a)
			if got := err == nil; got != (tt.want == "") || !got && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Hold() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatWasNeverSeenIsTold(t *testing.T) {
	d := parse(t)
	json := http.Header{"Content-Type": {"application/json"}, "Etag": {`"1"`}}
	if err := d.Hold(apitest.Answer{Route: thing, Status: 200, Header: json, Body: []byte(`{"size":1,"kinds":[]}`)}); err != nil {
		t.Fatal(err)
	}
	got, err := d.Unseen()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"#/components/schemas/Thing field at", "#/components/schemas/Thing field flags", "#/components/schemas/Thing field flags more fields",
		thing + " 404", thing + " 404 GONE", thing + " 404 NEVER", "#/components/responses/Missing application/x-ndjson",
		"DELETE /v1/things/{id} 204",
	}
	if !slices.Equal(got, want) {
		t.Errorf("Unseen() = %q, want %q", got, want)
	}
}

func TestTheDocumentIsRead(t *testing.T) {
	d := parse(t)
	if got, want := d.Routes(), []string{thing, "DELETE /v1/things/{id}"}; !slices.Equal(got, want) {
		t.Errorf("Routes() = %q, want %q", got, want)
	}
	for in, want := range map[string]string{"path": "id", "header": "token", "query": ""} {
		if got, err := d.Parameters(thing, in); err != nil || strings.Join(got, " ") != want {
			t.Errorf("Parameters(%s) = %q, %v, want %q", in, got, err, want)
		}
	}
	if got, want := d.Operation(thing).At("responses", "default", "description").Text, "anything: else\n\nand more\n"; got != want {
		t.Errorf("a text block is %q, want %q", got, want)
	}
}

func TestYAMLThatCouldMeanSomethingElseIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"a key twice", "a: 1\na: 2"},
		{"three spaces", "a:\n   b: 1"},
		{"a level too deep", "a:\n    b: 1"},
		{"a line without a key", "a: 1\nb"},
		{"nothing behind a key", "a:\nb: 1"},
		{"a flow mapping", "a: {b: c}"},
		{"a list that goes on", "a: [b,\n  c]"},
		{"an empty item", "a: [b,]"},
		{"a comment behind a value", "a: b # c"},
		{"a colon in a plain value", "a: b: c"},
		{"a quote inside", `a: "b\"c"`},
		{"an open quote", `a: "b`},
		{"an anchor", "a: &b c"},
		{"a folded text", "a: >\n  b"},
		{"a reference to nowhere", "a:\n  $ref: \"#/b\""},
		{"a reference to another file", "a:\n  $ref: other.yaml"},
		{"nothing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := apitest.Parse([]byte(tt.text)); err == nil {
				t.Errorf("Parse(%q) = nil, want an error", tt.text)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte("webhooks:\n  a:\n    post:\n      requestBody:\n        content:\n          application/json:\n            schema:\n              items:\n                $ref: \"#/webhooks/a/post/requestBody/content/application/json/schema\"\n"))
	f.Add([]byte("a:\n  - b\n  - c: d\n    e: |\n      f\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if d, err := apitest.Parse(b); err == nil {
			_, _ = d.Unseen()
		}
	})
}
