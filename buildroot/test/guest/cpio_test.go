package guest_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest"
)

// unpack reads an archive as buffer-format.rst describes it: each header has
// six characters of magic and 13 numbers of eight, then the name and the data,
// both filled up to four bytes. It returns each entry's mode and data.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	entries := map[string]string{}
	numbers := map[uint64]bool{}
	for at := 0; ; {
		if at%4 != 0 || len(data)-at < 110 || string(data[at:at+6]) != "070701" {
			t.Fatalf("no header at byte %d of %d", at, len(data))
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(data[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		size, nameSize := field(6), field(11)
		begin := (at + 110 + nameSize + 3) &^ 3
		name := string(data[at+110 : at+110+nameSize])
		name, terminated := strings.CutSuffix(name, "\x00")
		if !terminated || strings.Contains(name, "\x00") || begin+size > len(data) {
			t.Fatalf("entry %q of %d bytes at byte %d", name, size, at)
		}
		if ino := uint64(field(0)); numbers[ino] {
			t.Errorf("two entries have the number %d: they would be taken for links", ino)
		} else {
			numbers[ino] = true
		}
		next := (begin + size + 3) &^ 3
		if name == "TRAILER!!!" {
			if next != len(data) {
				t.Errorf("%d bytes after the end", len(data)-next)
			}
			return entries
		}
		if _, twice := entries[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		if parent := filepath.Dir(name); parent != "." && entries[parent] == "" {
			t.Errorf("%s comes before its folder", name)
		}
		entries[name] = fmt.Sprintf("%o %s", field(1), data[begin:begin+size])
		at = next
	}
}

func TestArchiveIsWhatTheKernelReads(t *testing.T) {
	parent := t.TempDir()
	tree := map[string]string{"testdata/a": "x", "testdata/deep/down/b": "12345", "testdata/deep/empty": ""}
	for name, text := range tree {
		file := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(parent, "program")
	if err := os.WriteFile(program, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := guest.NewArchive(&out)
	for _, err := range []error{
		a.Data("/lab/one", "1"), a.Data("/lab/four", "1234"), a.CopyFile("/init", program),
		a.CopyTree("/src/p", parent, "testdata"), a.CopyTree("/src/p", parent, "nothing there"), a.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"init": "100755 #!", "lab": "40755 ", "lab/one": "100644 1", "lab/four": "100644 1234",
		"src": "40755 ", "src/p": "40755 ", "src/p/testdata": "40755 ", "src/p/testdata/a": "100640 x", "src/p/testdata/deep": "40755 ",
		"src/p/testdata/deep/down": "40755 ", "src/p/testdata/deep/down/b": "100640 12345", "src/p/testdata/deep/empty": "100640 ",
	}
	if got := unpack(t, out.Bytes()); !maps.Equal(got, want) {
		for _, name := range slices.Sorted(maps.Keys(got)) {
			t.Logf("%s: %q", name, got[name])
		}
		t.Errorf("%d entries, want %q", len(got), want)
	}
}
