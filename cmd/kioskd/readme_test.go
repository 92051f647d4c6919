package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// keys returns the names of all keys of a configuration's type.
func keys(of reflect.Type, below string) (all []string) {
	for f := range of.Fields() {
		name := below + f.Tag.Get("toml")
		if f.Type.Kind() == reflect.Struct {
			all = append(all, keys(f.Type, name+".")...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

// TestTheManualKnowsEveryKey reads the table of the README and its complete
// example, which shows one output of the panel and one input for all.
func TestTheManualKnowsEveryKey(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	_, example, _ := strings.Cut(text, "A complete example.")
	_, example, _ = strings.Cut(example, "```toml\n")
	example, _, _ = strings.Cut(example, "```\n")
	path := filepath.Join(t.TempDir(), "kioskd.toml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	shown, err := toml.Decode(example, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(text, "### Configuration")
	table, _, _ = strings.Cut(table, "A complete example.")
	for _, key := range keys(reflect.TypeFor[Config](), "") {
		parts := strings.Split(key, ".")
		line := parts[0] == "panel" && len(parts) == 3
		one := !line || parts[1] == "ring" || parts[1] == "tamper"
		if one && !shown.IsDefined(parts...) {
			t.Errorf("the complete example has no %s", key)
		}
		short := "." + parts[len(parts)-1]
		if line && parts[2] == "line" {
			short = "." + parts[1]
		}
		if line && parts[2] != "line" {
			key = "panel.*" + short
		}
		if !strings.Contains(table, "`"+key+"`") && !strings.Contains(table, "`"+short+"`") {
			t.Errorf("the table has no %s", key)
		}
	}
}
