package apitest

import (
	"fmt"
	"slices"
	"strings"
)

// A Node is a mapping, a list or a scalar of a document. A nil Node is nothing,
// and has nothing below it.
type Node struct {
	Keys  []string // of a mapping, in order
	Items []*Node  // of a list
	Text  string   // of a scalar

	below map[string]*Node
	list  bool
}

// At returns the node under a path of keys, or nil.
func (n *Node) At(path ...string) *Node {
	for _, p := range path {
		if n == nil {
			return nil
		}
		n = n.below[p]
	}
	return n
}

func (n *Node) keys() []string {
	if n == nil {
		return nil
	}
	return n.Keys
}

func (n *Node) text() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// texts returns a list's scalars, or a scalar alone.
func (n *Node) texts() []string {
	switch {
	case n == nil:
		return nil
	case !n.list:
		return []string{n.Text}
	}
	texts := make([]string, len(n.Items))
	for i, item := range n.Items {
		texts[i] = item.Text
	}
	return texts
}

// ParseNode reads a document in a narrow YAML: two spaces a level, mappings,
// lists whose items are a level deeper than their key, [flow, lists] of
// scalars, plain and "quoted" scalars on one line, and | text.
func ParseNode(b []byte) (*Node, error) {
	var p parser
	for i, s := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		t := strings.TrimLeft(s, " ")
		p.lines = append(p.lines, line{i + 1, len(s) - len(t), t})
	}
	n, err := p.node(0)
	if err == nil && p.next().no != 0 {
		err = p.wrong("this is not deep as it should be")
	}
	return n, err
}

type line struct {
	no    int // from 1; 0 is the end
	depth int
	text  string
}

type parser struct{ lines []line }

// next returns the next line that is not empty.
func (p *parser) next() line {
	for len(p.lines) > 0 && p.lines[0].text == "" {
		p.lines = p.lines[1:]
	}
	if len(p.lines) == 0 {
		return line{depth: -1}
	}
	return p.lines[0]
}

func (p *parser) wrong(what string) error {
	l := p.next()
	return fmt.Errorf("line %d: %s: %q", l.no, what, l.text)
}

// node reads the mapping or list that is at a depth.
func (p *parser) node(depth int) (*Node, error) {
	if l := p.next(); l.depth == depth && strings.HasPrefix(l.text, "- ") {
		return p.list(depth)
	}
	n := &Node{below: map[string]*Node{}}
	for l := p.next(); l.depth == depth && !strings.HasPrefix(l.text, "- "); l = p.next() {
		key, value, is := cutKey(l.text)
		switch {
		case !is:
			return nil, p.wrong("want a key and a colon")
		case slices.Contains(n.Keys, key):
			return nil, p.wrong("this key is there twice")
		}
		child, err := p.value(depth, value)
		if err != nil {
			return nil, err
		}
		n.Keys = append(n.Keys, key)
		n.below[key] = child
	}
	if len(n.Keys) == 0 {
		return nil, p.wrong("want a mapping or a list, two spaces deeper")
	}
	return n, nil
}

func (p *parser) list(depth int) (*Node, error) {
	n := &Node{list: true}
	for l := p.next(); l.depth == depth && strings.HasPrefix(l.text, "- "); l = p.next() {
		l.text, l.depth = l.text[2:], depth+2
		if _, _, is := cutKey(l.text); !is {
			item, err := scalar(l)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
			p.lines = p.lines[1:]
			continue
		}
		p.lines[0] = l
		item, err := p.node(depth + 2)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, item)
	}
	return n, nil
}

// value reads what is behind a key: on its line, or below it.
func (p *parser) value(depth int, value string) (*Node, error) {
	l := p.next()
	p.lines = p.lines[1:]
	switch {
	case value == "|":
		n := &Node{}
		for len(p.lines) > 0 && (p.lines[0].text == "" || p.lines[0].depth > depth) {
			n.Text += p.lines[0].text + "\n"
			p.lines = p.lines[1:]
		}
		return n, nil
	case value == "":
		return p.node(depth + 2)
	case strings.HasPrefix(value, "["):
		n := &Node{list: true}
		inner, whole := strings.CutSuffix(value[1:], "]")
		if !whole {
			return nil, fmt.Errorf("line %d: a list ends on its line: %q", l.no, l.text)
		}
		for item := range strings.SplitSeq(inner, ",") {
			s, err := scalar(line{no: l.no, text: strings.TrimSpace(item)})
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, s)
		}
		return n, nil
	}
	return scalar(line{no: l.no, text: value})
}

// cutKey parts a line behind its key.
func cutKey(text string) (key, value string, is bool) {
	if rest, quoted := strings.CutPrefix(text, `"`); quoted {
		key, value, is = strings.Cut(rest, `":`)
	} else {
		key, value, is = strings.Cut(text, ":")
	}
	if value != "" && !strings.HasPrefix(value, " ") {
		return "", "", false
	}
	return key, strings.TrimSpace(value), is
}

// scalar reads a plain or quoted scalar. What YAML would read as something
// else is refused.
func scalar(l line) (*Node, error) {
	s, quoted := strings.CutPrefix(l.text, `"`)
	if quoted {
		var whole bool
		if s, whole = strings.CutSuffix(s, `"`); !whole || strings.ContainsAny(s, `"\`) {
			return nil, fmt.Errorf("line %d: this scalar has to be without quotes and backslashes inside: %q", l.no, l.text)
		}
		return &Node{Text: s}, nil
	}
	if s == "" || strings.ContainsAny(s[:1], "&*!|>%@`{}[]'#,?") || strings.Contains(s, " #") || strings.Contains(s, ": ") || strings.HasSuffix(s, ":") {
		return nil, fmt.Errorf("line %d: this scalar needs quotes: %q", l.no, l.text)
	}
	return &Node{Text: s}, nil
}
