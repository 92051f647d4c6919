package crashtest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"testing"

	"livekiosk/queue/crashtest"
)

const (
	sector = 512
	page   = 4096
)

func write(off int64, fill byte, n int) crashtest.Event {
	return crashtest.Event{Kind: crashtest.Write, Off: off, Data: bytes.Repeat([]byte{fill}, n)}
}

// sample is a run on a disk of eight blocks: two writes, a flush, three writes,
// one of them over an earlier one, and a flush.
func sample() (base []byte, events []crashtest.Event) {
	return make([]byte, 8*page), []crashtest.Event{
		write(0, 1, page),
		{Kind: crashtest.Tell, Data: []byte("{}")},
		write(2*page, 2, 2*page),
		{Kind: crashtest.Flush},
		write(2*page, 3, page),
		write(6*page, 4, 2*page),
		write(0, 5, page),
		{Kind: crashtest.Flush},
	}
}

// upTo returns the disk with the events before one, as a slow and simple reader
// of them would make it.
func upTo(base []byte, events []crashtest.Event) []byte {
	d := bytes.Clone(base)
	for _, e := range events {
		if e.Kind == crashtest.Write {
			copy(d[e.Off:], e.Data)
		}
	}
	return d
}

// flushed is how many of the events before one are safe.
func flushed(events []crashtest.Event) int {
	n := 0
	for i, e := range events {
		if e.Kind == crashtest.Flush {
			n = i + 1
		}
	}
	return n
}

func TestAnImageHoldsWhatWasFlushedAndOnlyWhatWasWritten(t *testing.T) {
	t.Parallel()
	base, events := sample()
	seen := map[crashtest.Kind]int{}
	for _, image := range crashtest.Replay(base, events, 20, 1) {
		seen[image.Kind]++
		before := events[:image.At]
		safe := flushed(before)
		switch image.Kind {
		case crashtest.Prefix:
			if !bytes.Equal(image.Content, upTo(base, before)) {
				t.Errorf("prefix before event %d is not what was written", image.At)
			}
			continue
		case crashtest.Dropped:
			if !bytes.Equal(image.Content, upTo(base, before[:safe])) {
				t.Errorf("image without the writes since the flush before event %d is not what was flushed", image.At)
			}
			continue
		case crashtest.Subset, crashtest.Torn:
		case crashtest.Double:
			t.Fatal("a replay makes no images of recoveries")
		}
		// Every sector is as it was flushed, or as one of the writes since left it.
		torn := map[int64]bool{}
		for at := 0; at < len(base); at += sector {
			got := image.Content[at : at+sector]
			want := [][]byte{upTo(base, before[:safe])[at : at+sector]}
			for _, e := range before[safe:] {
				if e.Kind == crashtest.Write && int64(at) >= e.Off && int64(at) < e.Off+int64(len(e.Data)) {
					want = append(want, e.Data[:sector])
				}
			}
			if !slices.ContainsFunc(want, func(w []byte) bool { return bytes.Equal(got, w) }) {
				t.Fatalf("%s before event %d: sector at %d is of no write", image.Kind, image.At, at)
			}
		}
		for _, e := range before[safe:] {
			if e.Kind != crashtest.Write {
				continue
			}
			first, last := image.Content[e.Off], image.Content[e.Off+int64(len(e.Data))-1]
			torn[e.Off] = (first == e.Data[0]) != (last == e.Data[0])
			if torn[e.Off] && image.Kind == crashtest.Subset && e.Off != 2*page {
				t.Errorf("%s before event %d: the write to %d is torn", image.Kind, image.At, e.Off)
			}
		}
	}
	for _, kind := range []crashtest.Kind{crashtest.Prefix, crashtest.Dropped, crashtest.Subset, crashtest.Torn} {
		if seen[kind] == 0 {
			t.Errorf("no image is of the kind %s", kind)
		}
	}
}

func TestTornImagesTearAtEverySectorInTheEnd(t *testing.T) {
	t.Parallel()
	base := make([]byte, 2*page)
	events := []crashtest.Event{write(0, 7, page)}
	cuts := map[int]bool{}
	for _, image := range crashtest.Replay(base, events, 400, 1) {
		if image.Kind == crashtest.Torn {
			cuts[bytes.Count(image.Content[:page], []byte{7})/sector] = true
		}
	}
	for n := 1; n < page/sector; n++ {
		// The superblock of ext4 is the sectors 2 and 3.
		if want := n != 3 && n != 5; cuts[n] != want && want {
			t.Errorf("no image has %d sectors of the write", n)
		}
	}
	for _, image := range crashtest.Replay(base, events, 400, 1) {
		if image.Content[1024] != image.Content[1024+sector] {
			t.Fatal("the superblock of ext4 is torn")
		}
	}
}

func TestTheSameSeedMakesTheSameImages(t *testing.T) {
	t.Parallel()
	base, events := sample()
	sums := func(seed uint64) (all []uint64) {
		for _, image := range crashtest.Replay(base, events, 5, seed) {
			all = append(all, image.Sum)
		}
		return all
	}
	if !slices.Equal(sums(1), sums(1)) {
		t.Error("a seed makes other images the second time")
	}
	if slices.Equal(sums(1), sums(2)) {
		t.Error("two seeds make the same images")
	}
}

func TestImagesWithTheSameBytesCountOnce(t *testing.T) {
	t.Parallel()
	base, events := sample()
	bytesOf := map[uint64][]byte{}
	for _, image := range crashtest.Replay(base, events, 20, 1) {
		if known, is := bytesOf[image.Sum]; is && !bytes.Equal(known, image.Content) {
			t.Fatal("different images have the same sum")
		}
		bytesOf[image.Sum] = image.Content
	}
	contents := map[string]bool{}
	for _, content := range bytesOf {
		if contents[string(content)] {
			t.Error("an image has two sums")
		}
		contents[string(content)] = true
	}
	kinds, at, _ := crashtest.Distinct(base, events, 20, 1)
	if len(kinds) != len(bytesOf) {
		t.Errorf("%d different images, want %d", len(kinds), len(bytesOf))
	}
	for i := range kinds {
		if !slices.IsSorted(at[i]) || len(slices.Compact(slices.Clone(at[i]))) != len(at[i]) {
			t.Errorf("image %d is on the disk at %v: not ascending, or an event twice", i, at[i])
		}
	}
}

func TestChosenImagesAreSpreadAndOfAllKinds(t *testing.T) {
	t.Parallel()
	base := make([]byte, 64*page)
	var events []crashtest.Event
	for i := range 200 {
		events = append(events, write(int64(i%64)*page, byte(i+1), page))
		if i%5 == 4 {
			events = append(events, crashtest.Event{Kind: crashtest.Flush})
		}
	}
	const n = 80
	kinds, at, chosen := crashtest.Distinct(base, events, 3, n)
	count, late, of := 0, 0, map[crashtest.Kind]int{}
	for i := range kinds {
		if !chosen[i] {
			continue
		}
		count++
		of[kinds[i]]++
		if at[i][0] > len(events)/2 {
			late++
		}
	}
	if count != n {
		t.Errorf("%d images are chosen, want %d", count, n)
	}
	if late < n/3 || late > 2*n/3 {
		t.Errorf("%d of %d images are of the second half", late, n)
	}
	for _, kind := range []crashtest.Kind{crashtest.Prefix, crashtest.Dropped, crashtest.Subset, crashtest.Torn} {
		if of[kind] < n/8 {
			t.Errorf("%d of %d images are of the kind %s", of[kind], n, kind)
		}
	}
	_, _, all := crashtest.Distinct(base, events, 3, len(kinds)+100)
	if slices.Contains(all, false) {
		t.Error("not all images are chosen though more were asked for")
	}
}

func TestASecretIsFoundHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	secret := []byte("a-secret-that-must-not-be-there")
	around := func(b []byte) []byte {
		return slices.Concat(bytes.Repeat([]byte{0xAA}, 77), b, bytes.Repeat([]byte{0x55}, 99))
	}
	for name, b := range map[string][]byte{
		"as it is":                              secret,
		"in hexadecimal digits":                 []byte(hex.EncodeToString(secret)),
		"in base64":                             []byte(base64.StdEncoding.EncodeToString(secret)),
		"in base64 of more, at the second byte": []byte(base64.StdEncoding.EncodeToString(append([]byte("x"), secret...))),
		"in base64 of more, at the third byte":  []byte(base64.StdEncoding.EncodeToString(append([]byte("xy"), secret...))),
		"in base64 of more, further on":         []byte(base64.StdEncoding.EncodeToString(slices.Concat([]byte("before "), secret, []byte(" after")))),
	} {
		if crashtest.Leaks(secret, around(b)) == 0 {
			t.Errorf("%s: it is not found", name)
		}
	}
	if crashtest.Leaks(secret, around(secret[:len(secret)-1])) != 0 {
		t.Error("something else is taken for the secret")
	}
}
