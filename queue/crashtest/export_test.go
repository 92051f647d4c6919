package crashtest

import (
	"slices"

	"livekiosk/kiosk"
)

// An Image is what a replay would leave on a disk.
type Image struct {
	Kind    Kind
	At      int
	Content []byte
	Sum     uint64
}

// Replay returns every image of a run, in the order in which it is made.
func Replay(base []byte, events []Event, more int, seed uint64) []Image {
	var all []Image
	replay(newDisk(base), events, more, seed, func(kind Kind, at int, image func() *disk) {
		d := image()
		content := make([]byte, len(base))
		d.read(0, content)
		all = append(all, Image{kind, at, content, d.sum})
	})
	return all
}

// Distinct returns of each different image of a run the kind, and at which
// events it can be on the disk; and which of n of them are chosen.
func Distinct(base []byte, events []Event, more, n int) (kinds []Kind, at [][]int, chosen []bool) {
	all := distinct(newDisk(base), events, more, 1)
	of := choose(all, n)
	for _, c := range all {
		kinds, at, chosen = append(kinds, c.Kind), append(at, c.At), append(chosen, of[c.key] == c)
	}
	return kinds, at, chosen
}

// Leaks is leaks.
func Leaks(secret, write []byte) int {
	return leaks([][]byte{secret}, []Event{{Kind: Write, Data: write}})
}

// Opens tries keys of an epoch file with parts as a vault does. It returns what
// is wrong with a disk that has this content, if everything of the owners in
// gone was erased, and whether parts of that are in it.
func Opens(dir, name string, header []byte, keys [][]byte, owner string, aad, part, content []byte, gone []string) (problems []string, ciphertext bool, err error) {
	v := &vault{owners: map[[epochKey]byte][]string{}, starts: map[uint64][]start{}}
	parts := []archived{{Owner: owner, AAD: aad, Part: part, Start: part[:startSize]}}
	owners, _, err := tryAll(dir, name, header, keys, parts)
	if err != nil {
		return nil, false, err
	}
	v.learn(keys, owners, parts)
	ledger := NewLedger()
	for _, id := range gone {
		ledger.records[kiosk.RecordID(id)] = &record{erased: true}
	}
	problems, ciphertext = v.check(newDisk(content), ledger)
	return slices.Clone(problems), ciphertext, nil
}

// NoMark is of a record without marks.
func NoMark() Mark { return markOf(kiosk.Marks{}) }
