// Package apitest holds a handler against its OpenAPI document, in both
// directions: what is answered must be documented, and what is documented must
// have been answered once.
//
// It is stricter than OpenAPI: a field, a header or a status that the document
// does not name is a mistake. An object with more fields than it can name has
// additionalProperties. The status "default" is text for readers: nothing is
// held against it.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Document is an OpenAPI document, and what of it was seen. It is safe for
// concurrent use.
type Document struct {
	root *Node

	mu   sync.Mutex
	seen map[string]bool // by pointer
}

// Read reads the document in a file.
func Read(file string) (*Document, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// Parse reads a document. It understands the YAML that ParseNode does.
func Parse(b []byte) (*Document, error) {
	root, err := ParseNode(b)
	if err != nil {
		return nil, err
	}
	d := &Document{root: root, seen: map[string]bool{}}
	return d, d.references(root)
}

// references checks that every $ref leads somewhere.
func (d *Document) references(n *Node) error {
	if n == nil {
		return nil
	}
	if to := n.At("$ref"); to != nil {
		if _, _, err := d.follow(n, ""); err != nil {
			return err
		}
	}
	for _, k := range n.Keys {
		if err := d.references(n.below[k]); err != nil {
			return err
		}
	}
	for _, item := range n.Items {
		if err := d.references(item); err != nil {
			return err
		}
	}
	return nil
}

// At returns the node under a path of keys, or nil.
func (d *Document) At(path ...string) *Node { return d.root.At(path...) }

// Routes returns the operations, such as "GET /v1/status", in the order of the
// document.
func (d *Document) Routes() []string {
	var routes []string
	paths := d.At("paths")
	for _, path := range paths.keys() {
		for _, method := range paths.At(path).Keys {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	return routes
}

// Operation returns an operation by its route, such as "GET /v1/status", or nil.
func (d *Document) Operation(route string) *Node {
	method, path, _ := strings.Cut(route, " ")
	return d.At("paths", path, strings.ToLower(method))
}

// Parameters returns the parameters of an operation that are in one place
// (path, query or header), by their names.
func (d *Document) Parameters(route, in string) ([]string, error) {
	var names []string
	list := d.Operation(route).At("parameters")
	if list == nil {
		return nil, nil
	}
	for _, item := range list.Items {
		p, _, err := d.follow(item, "")
		if err != nil {
			return nil, err
		}
		if p.At("in").text() == in {
			names = append(names, p.At("name").text())
		}
	}
	return names, nil
}

// An Answer is what a handler answered.
type Answer struct {
	Route  string // as Routes names it
	Status int
	Header http.Header
	Body   []byte
	Cause  string // what the failure calls itself, "" if it does not
}

// ordinary are the headers that any answer may have.
func ordinary() []string {
	return []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding"}
}

// Hold reports how an answer differs from the document, and notes what was
// seen. Of a response with x-causes, the cause has to be one of those.
func (d *Document) Hold(a Answer) error {
	op := d.Operation(a.Route)
	if op == nil {
		return fmt.Errorf("%s is not in the document", a.Route)
	}
	code := strconv.Itoa(a.Status)
	at := a.Route + " " + code
	r := op.At("responses", code)
	if r == nil {
		return fmt.Errorf("%s is not in the document: %s", at, shorten(a.Body))
	}
	d.see(at)
	r, ptr, err := d.follow(r, at)
	if err == nil {
		err = d.holdCause(a, at, op.At("responses", code), r)
	}
	if err == nil {
		err = d.holdHeader(a, ptr, r)
	}
	if err == nil {
		err = d.holdBody(a, ptr, r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

func (d *Document) holdCause(a Answer, at string, own, r *Node) error {
	causes := r.At("x-causes").texts()
	if causes = append(causes, own.At("x-causes").texts()...); a.Cause == "" && len(causes) == 0 {
		return nil
	}
	if !slices.Contains(causes, a.Cause) {
		return fmt.Errorf("the cause %q is not in the document", a.Cause)
	}
	d.see(at + " " + a.Cause)
	return nil
}

func (d *Document) holdHeader(a Answer, ptr string, r *Node) error {
	known := r.At("headers")
	for name := range a.Header {
		if slices.Contains(ordinary(), name) {
			continue
		}
		i := slices.IndexFunc(known.keys(), func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			return fmt.Errorf("the header %s is not in the document", name)
		}
		d.see(ptr + " header " + known.Keys[i])
	}
	for _, name := range known.keys() {
		h, _, err := d.follow(known.At(name), "")
		if err != nil {
			return err
		}
		values := a.Header.Values(name)
		if len(values) == 0 {
			if h.At("required").text() == "true" {
				return fmt.Errorf("the header %s is missing", name)
			}
			continue
		}
		var v any = values[0]
		if n, err := strconv.ParseFloat(values[0], 64); err == nil && h.At("schema", "type").text() == "integer" {
			v = n
		}
		if err := d.value(h.At("schema"), ptr+" header "+name, v); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	return nil
}

func (d *Document) holdBody(a Answer, ptr string, r *Node) error {
	content := r.At("content")
	if content == nil {
		if len(a.Body) > 0 {
			return fmt.Errorf("there is a body, which is not in the document: %s", shorten(a.Body))
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	schema := content.At(kind, "schema")
	if schema == nil {
		return fmt.Errorf("the content type %s is not in the document", kind)
	}
	ptr += " " + kind
	d.see(ptr)
	var bodies [][]byte
	switch kind {
	case "application/json":
		bodies = [][]byte{a.Body}
	case "application/x-ndjson":
		bodies = bytes.Split(bytes.TrimSpace(a.Body), []byte("\n"))
		if len(bytes.TrimSpace(a.Body)) == 0 {
			bodies = nil
		}
	default:
		return nil
	}
	for _, b := range bodies {
		if err := d.json(schema, ptr, b); err != nil {
			return fmt.Errorf("%w in %s", err, shorten(b))
		}
	}
	return nil
}

// HoldJSON reports how a JSON text differs from the schema at a path of keys,
// and notes what was seen.
func (d *Document) HoldJSON(body []byte, path ...string) error {
	schema := d.At(path...)
	if schema == nil {
		return fmt.Errorf("%s is not in the document", strings.Join(path, "/"))
	}
	if err := d.json(schema, strings.Join(path, "/"), body); err != nil {
		return fmt.Errorf("%s: %w in %s", strings.Join(path, "/"), err, shorten(body))
	}
	return nil
}

func (d *Document) json(schema *Node, ptr string, b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	return d.value(schema, ptr, v)
}

// value holds a value of a JSON text against a schema.
func (d *Document) value(schema *Node, ptr string, v any) error {
	schema, ptr, err := d.follow(schema, ptr)
	if err != nil {
		return err
	}
	for _, choice := range []string{"anyOf", "oneOf"} {
		if list := schema.At(choice); list != nil {
			var all error
			for i, s := range list.Items {
				if err = d.value(s, ptr+"/"+choice+strconv.Itoa(i), v); err == nil {
					return nil
				}
				all = errors.Join(all, err)
			}
			return all
		}
	}
	if kinds := schema.At("type").texts(); kinds != nil && !slices.ContainsFunc(kinds, func(k string) bool { return isKind(k, v) }) {
		return fmt.Errorf("%v is no %s", v, strings.Join(kinds, " or "))
	}
	if enum := schema.At("enum").texts(); enum != nil && !slices.Contains(enum, fmt.Sprint(v)) {
		return fmt.Errorf("%v is none of %q", v, enum)
	}
	if c := schema.At("const"); c != nil && c.Text != fmt.Sprint(v) {
		return fmt.Errorf("%v is not %s", v, c.Text)
	}
	switch v := v.(type) {
	case string:
		return text(schema, v)
	case []any:
		for i, item := range v {
			if err := d.value(schema.At("items"), ptr+"/items", item); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
	case map[string]any:
		return d.object(schema, ptr, v)
	}
	return nil
}

func isKind(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	case []any:
		return kind == "array"
	}
	return kind == "object"
}

func text(schema *Node, v string) error {
	if schema.At("format").text() == "date-time" {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return err
		}
	}
	if p := schema.At("pattern").text(); p != "" {
		whole, err := regexp.MatchString(p, v)
		if err != nil || !whole {
			return errors.Join(fmt.Errorf("%q does not match %s", v, p), err)
		}
	}
	return nil
}

func (d *Document) object(schema *Node, ptr string, v map[string]any) error {
	for _, name := range schema.At("required").texts() {
		if _, is := v[name]; !is {
			return fmt.Errorf("the field %s is missing", name)
		}
	}
	more := schema.At("additionalProperties")
	for name, field := range v {
		s, p := schema.At("properties", name), ptr+" field "+name
		if s == nil {
			if s, p = more, ptr+" more fields"; s == nil || s.Text == "false" {
				return fmt.Errorf("the field %s is not in the document", name)
			}
		}
		d.see(p)
		if s.Text == "true" {
			continue
		}
		if err := d.value(s, p, field); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Unseen returns what is documented of the answers, and of the bodies of
// webhooks, and was never seen: statuses, causes, headers, content types and
// fields.
func (d *Document) Unseen() ([]string, error) {
	all, done := map[string]bool{}, map[*Node]bool{}
	var order []string
	want := func(ptr string) bool {
		if all[ptr] {
			return false
		}
		all[ptr] = true
		order = append(order, ptr)
		return true
	}
	for _, route := range d.Routes() {
		responses := d.Operation(route).At("responses")
		for _, code := range responses.keys() {
			if code == "default" {
				continue
			}
			at := route + " " + code
			want(at)
			r, ptr, err := d.follow(responses.At(code), at)
			if err != nil {
				return nil, err
			}
			for _, cause := range append(r.At("x-causes").texts(), responses.At(code, "x-causes").texts()...) {
				want(at + " " + cause)
			}
			for _, h := range r.At("headers").keys() {
				want(ptr + " header " + h)
			}
			for _, kind := range r.At("content").keys() {
				if want(ptr + " " + kind) {
					if err := d.fields(r.At("content", kind, "schema"), ptr+" "+kind, want, done); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	hooks := d.At("webhooks")
	for _, name := range hooks.keys() {
		for _, method := range hooks.At(name).Keys {
			path := []string{"webhooks", name, method, "requestBody", "content", "application/json", "schema"}
			if err := d.fields(d.At(path...), strings.Join(path, "/"), want, done); err != nil {
				return nil, err
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(order, func(ptr string) bool { return d.seen[ptr] }), nil
}

// fields calls want for each field below a schema, and goes on below those
// that are wanted. Schemas that are done are not gone into again.
func (d *Document) fields(schema *Node, ptr string, want func(string) bool, done map[*Node]bool) error {
	schema, ptr, err := d.follow(schema, ptr)
	if err != nil || schema == nil || done[schema] {
		return err
	}
	done[schema] = true
	for _, choice := range []string{"anyOf", "oneOf"} {
		if list := schema.At(choice); list != nil {
			for i, s := range list.Items {
				if err := d.fields(s, ptr+"/"+choice+strconv.Itoa(i), want, done); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range schema.At("properties").keys() {
		if p := ptr + " field " + name; want(p) {
			if err := d.fields(schema.At("properties", name), p, want, done); err != nil {
				return err
			}
		}
	}
	if more := schema.At("additionalProperties"); more != nil && more.Text != "false" && want(ptr+" more fields") {
		if err := d.fields(more, ptr+" more fields", want, done); err != nil {
			return err
		}
	}
	return d.fields(schema.At("items"), ptr+"/items", want, done)
}

// follow follows references from n, which is at ptr.
func (d *Document) follow(n *Node, ptr string) (*Node, string, error) {
	for range 10 {
		to := n.At("$ref")
		if to == nil {
			return n, ptr, nil
		}
		path, local := strings.CutPrefix(to.Text, "#/")
		if n = d.At(strings.Split(path, "/")...); n == nil || !local {
			return nil, "", fmt.Errorf("%q leads nowhere", to.Text)
		}
		ptr = to.Text
	}
	return nil, "", fmt.Errorf("%s: too many references in a row", ptr)
}

func (d *Document) see(ptr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[ptr] = true
}

func shorten(b []byte) string {
	const most = 300
	if len(b) > most {
		return fmt.Sprintf("%.*q…", most, b)
	}
	return strconv.Quote(string(b))
}
