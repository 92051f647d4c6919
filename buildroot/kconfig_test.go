package buildroot_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linuxTree = flag.String("linux", "", "a tree of Linux's sources: hold testdata/kconfig against it, and rewrite it with -update")
	ubootTree = flag.String("uboot", "", "the same of U-Boot's")
	update    = flag.Bool("update", false, "rewrite testdata/kconfig from the trees that are named")
)

// symbols returns what the fragments of a pattern set.
func symbols(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	all := map[string]bool{}
	for _, file := range files {
		for line := range strings.Lines(read(t, file)) {
			line = strings.TrimSpace(line)
			found := regexp.MustCompile(`^(?:CONFIG_([A-Z0-9_]+)=\S.*|# CONFIG_([A-Z0-9_]+) is not set)$`).FindStringSubmatch(line)
			switch {
			case found != nil:
				all[found[1]+found[2]] = true
			case line != "" && (!strings.HasPrefix(line, "# ") || strings.Contains(line, "CONFIG_")):
				t.Errorf("%s: kconfig would not understand %q", file, line)
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// TestEverySettingIsOneThatTheSourcesKnow holds the settings of Linux and U-Boot
// against testdata/kconfig, which says where in the sources each is declared: kconfig
// itself drops a misspelt one without a word. A "-" is one that Linux 6.1 has not: it
// is newer.
func TestEverySettingIsOneThatTheSourcesKnow(t *testing.T) {
	const list = "testdata/kconfig"
	known := map[string]string{}
	if !*update {
		for line := range strings.Lines(read(t, list)) {
			f := strings.Fields(line)
			if len(f) != 3 {
				t.Fatalf("%s: %q", list, line)
			}
			known[f[0]+" "+f[1]] = f[2]
		}
	}
	var text strings.Builder
	used := map[string]bool{}
	for _, of := range []struct{ name, pattern, tree string }{
		{"linux", "board/*/linux.fragment", *linuxTree}, {"uboot", "board/common/uboot/*.fragment", *ubootTree},
	} {
		var declared map[string]string
		if of.tree != "" {
			declared = declarations(t, of.tree)
		}
		for _, symbol := range symbols(t, of.pattern) {
			key := of.name + " " + symbol
			used[key] = true
			where, listed := known[key]
			if *update {
				if where = declared[symbol]; where == "" {
					where = "-"
				}
				text.WriteString(key + " " + where + "\n")
				continue
			}
			if !listed {
				t.Errorf("CONFIG_%s of %s is not in %s: is it misspelt?", symbol, of.pattern, list)
			}
			if declared != nil && declared[symbol] != where && (where != "-" || declared[symbol] != "") {
				t.Errorf("CONFIG_%s is declared in %q, and %s says %q", symbol, declared[symbol], list, where)
			}
		}
	}
	for key := range known {
		if !used[key] {
			t.Errorf("%s has %s, which nothing sets", list, key)
		}
	}
	if *update {
		put(t, list, text.String())
	}
}

// declarations returns where symbols are declared in a tree's Kconfig files.
func declarations(t *testing.T, tree string) map[string]string {
	t.Helper()
	all := map[string]string{}
	config := regexp.MustCompile(`(?m)^\s*(?:menu)?config ([A-Z0-9_]+)$`)
	root := os.DirFS(tree)
	if err := fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), "Kconfig") {
			return err
		}
		b, err := fs.ReadFile(root, path)
		for _, found := range config.FindAllSubmatch(b, -1) {
			if _, twice := all[string(found[1])]; !twice {
				all[string(found[1])] = path
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
