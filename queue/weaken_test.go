//go:build !weaken

package queue_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestNothingCanBeWeakenedHere holds that this binary, which has all of the
// package, has no way to break a promise: the words that ask for it are in a
// build of their own.
func TestNothingCanBeWeakenedHere(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := read(t, exe)
	if !bytes.Contains(binary, []byte("outbox must be opened anew")) {
		t.Fatal("the package is not found in the binary: the test tests nothing")
	}
	// Put together here, so that the test itself does not bring them along.
	for _, word := range []string{
		strings.Join([]string{"LIVEKIOSK", "WEAKEN"}, "_"),
		strings.Join([]string{"settle", "early"}, ""),
		strings.Join([]string{"keep", "epochs"}, ""),
	} {
		if bytes.Contains(binary, []byte(word)) {
			t.Errorf("%q is in the binary", word)
		}
	}
}
