package crashtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/queue/crashtest"
	"livekiosk/queue/seal"
)

func TestAKeyOfWhatWasErasedIsFoundWhereverItLies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	epochs, err := seal.CreateEpochs(dir, "queue.db", 8)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := epochs.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err = epochs.Take(); err != nil { // so that the next one lies at an odd place
		t.Fatal(err)
	}
	epoch, err := epochs.Take()
	if err != nil {
		t.Fatal(err)
	}
	aad := []byte("where it belongs")
	part, err := epoch.Wrap(aad, bytes.Repeat([]byte("sealed "), 100))
	if err != nil {
		t.Fatal(err)
	}
	name := "queue.db.epochs-" + epochs.ID()
	before, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := epochs.Destroy([]uint32{epoch.Slot()}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	const slots = 4096
	var keys [][]byte
	for _, text := range [][]byte{before, after} {
		for at := slots; at < len(text); at += 32 {
			keys = append(keys, text[at:at+32])
		}
	}
	disk := func(parts ...[]byte) []byte {
		d := make([]byte, 16*page)
		for i, p := range parts {
			copy(d[(1+4*i)*page:], p)
		}
		return d
	}
	for _, tt := range []struct {
		name       string
		content    []byte
		gone       []string
		exposed    bool
		ciphertext bool
	}{
		{"a key in its file before it was destroyed", disk(before), []string{"r1"}, true, false},
		{"the file after it was destroyed", disk(after), []string{"r1"}, false, false},
		{"the file after, and the part in a free page", disk(after, append(make([]byte, 1234), part...)), []string{"r1"}, false, true},
		{"an old copy of the key file's block in a journal", disk(after, before[slots:]), []string{"r1"}, true, false},
		{"a key and a part of what was not erased", disk(before, part), []string{"r2"}, false, false},
		{"nothing was erased", disk(before, part), nil, false, false},
	} {
		problems, ciphertext, err := crashtest.Opens(t.TempDir(), name, before[:slots], keys, "r1", aad, bytes.Clone(part), tt.content, tt.gone)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(problems) > 0 && strings.HasPrefix(problems[0], "exposed: "); got != tt.exposed || ciphertext != tt.ciphertext {
			t.Errorf("%s: exposed %t (%v), parts found %t; want %t, %t", tt.name, got, problems, ciphertext, tt.exposed, tt.ciphertext)
		}
	}
}
