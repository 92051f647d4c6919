package crashtest

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"livekiosk/queue/seal"
)

// A vault knows every wrapped part and every epoch key of a run, and which key
// opens parts of whom. It tries every key with every part, as a thief would who
// has all of it: what it knows does not rest on what the outbox says.
type vault struct {
	parts, keys int

	owners map[[epochKey]byte][]string // of a key: whose parts it opens
	starts map[uint64][]start          // of parts, by their first eight bytes
	tags   [][]byte                    // keys of the correlation tags
}

// A start is how a part begins in the file.
type start struct {
	bytes []byte
	owner string
}

// A remains is what a block holds that matters to the vault.
type remains struct {
	keys  []string // owners whose parts a key in it opens
	parts []string // owners of parts that begin in it
}

// openVault reads what an archive kept, and tries it in dir. device is the
// directory of the device keys, with which people's tags were made.
func openVault(path, dir, device string) (*vault, error) {
	v := &vault{owners: map[[epochKey]byte][]string{}, starts: map[uint64][]start{}}
	keys, parts, header, name, err := readArchive(path)
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if v.tags, err = tagKeys(device); err != nil {
		return nil, err
	}
	v.parts, v.keys = len(parts), len(keys)
	if len(keys) == 0 {
		return nil, errors.New("read archive: the outbox never had an epoch key")
	}
	owners, opened, err := tryAll(dir, name, header, keys, parts)
	if err != nil {
		return nil, fmt.Errorf("try archived keys: %w", err)
	}
	v.learn(keys, owners, parts)
	if opened < len(parts) {
		return nil, fmt.Errorf("archive: %d of %d parts open with no key that ever was in the file", len(parts)-opened, len(parts))
	}
	return v, nil
}

// learn takes over what was tried.
func (v *vault) learn(keys [][]byte, owners [][]string, parts []archived) {
	for i, key := range keys {
		v.owners[[epochKey]byte(key)] = owners[i]
	}
	for _, p := range parts {
		first := binary.LittleEndian.Uint64(p.Start)
		v.starts[first] = append(v.starts[first], start{p.Start, p.Owner})
	}
}

func readArchive(path string) (keys [][]byte, parts []archived, header []byte, name string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, "", err
	}
	defer file.Close()
	for in := json.NewDecoder(bufio.NewReader(file)); ; {
		var one archived
		err := in.Decode(&one)
		switch {
		case errors.Is(err, io.EOF):
			return keys, parts, header, name, nil
		case err != nil:
			return nil, nil, nil, "", err
		case one.Key != nil:
			keys = append(keys, one.Key)
		case one.Part != nil:
			parts = append(parts, one)
		case one.Header != nil:
			header, name = one.Header, one.Name
		}
	}
}

// tryAll tries every key with every part, with the product's own code: in an
// epoch file that has all keys that there ever were. It returns whose parts
// each key opens, and how many parts open at all.
func tryAll(dir, name string, header []byte, keys [][]byte, parts []archived) (owners [][]string, opened int, err error) {
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, err
	}
	text := slices.Concat(append([][]byte{header}, keys...)...)
	if err = os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		return nil, 0, err
	}
	base, id, err := epochName(name)
	if err != nil {
		return nil, 0, err
	}
	epochs, err := seal.OpenEpochs(dir, base, id)
	if err != nil {
		return nil, 0, err
	}
	defer epochs.Close() //nolint:errcheck // only read from
	owners = make([][]string, len(keys))
	opens := make([][]bool, len(keys))
	var g errgroup.Group
	g.SetLimit(2)
	for i := range keys {
		g.Go(func() error {
			epoch, failed := epochs.At(uint32(i))
			if failed != nil {
				return failed
			}
			opens[i] = make([]bool, len(parts))
			var work []byte
			for n, p := range parts {
				work = append(work[:0], p.Part...)
				if _, closed := epoch.Unwrap(p.AAD, work); closed != nil {
					continue
				}
				opens[i][n] = true
				if !slices.Contains(owners[i], p.Owner) {
					owners[i] = append(owners[i], p.Owner)
				}
			}
			return nil
		})
	}
	if err = g.Wait(); err != nil {
		return nil, 0, err
	}
	for n := range parts {
		if slices.ContainsFunc(opens, func(of []bool) bool { return of[n] }) {
			opened++
		}
	}
	return owners, opened, nil
}

// booking returns the owners of a person's booking: it has another tag under
// each device key.
func (v *vault) booking(person string) (owners []string) {
	for _, key := range v.tags {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(person))
		owners = append(owners, ownerOfBooking(mac.Sum(nil)[:tagSize]))
	}
	return owners
}

// look returns what a block holds: keys, which never lie across the blocks or
// the slots of a file, and the starts of parts, wherever they lie in it.
func (v *vault) look(b *block) *remains {
	if seen := b.seen.Load(); seen != nil {
		return seen
	}
	r := &remains{}
	for at := 0; at < blockSize; at += epochKey {
		r.keys = append(r.keys, v.owners[[epochKey]byte(b.data[at:])]...)
	}
	for at := 0; at+startSize <= blockSize; at++ {
		for _, s := range v.starts[binary.LittleEndian.Uint64(b.data[at:])] {
			if bytes.HasPrefix(b.data[at:], s.bytes) {
				r.parts = append(r.parts, s.owner)
			}
		}
	}
	b.seen.Store(r)
	return r
}

// check holds all bytes of an image against what was erased before it: its free
// pages, its journal, and the key file. No key in it opens anything of that.
// It reports whether some of that is still in the image, which nothing opens.
func (v *vault) check(image *disk, ledger *Ledger) (problems []string, ciphertext bool) {
	gone := ledger.Erased(v.booking)
	if len(gone) == 0 {
		return nil, false
	}
	for _, b := range image.blocks {
		seen := v.look(b)
		for _, owner := range seen.keys {
			if gone[owner] {
				problems = append(problems, fmt.Sprintf("exposed: the key of %s is in the image, and it was erased", owner))
			}
		}
		for _, owner := range seen.parts {
			ciphertext = ciphertext || gone[owner]
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems), ciphertext
}

// checkFile holds the key file of an outbox from which everything was delivered
// against what may still open: the bookings that are left.
func (v *vault) checkFile(dir string, f finding) ([]string, error) {
	if f.Failed != "" {
		return nil, nil
	}
	names, err := epochFiles(dir)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, b := range f.After.Bookings {
		for _, owner := range v.booking(b.Person) {
			left[owner] = true
		}
	}
	var problems []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read epoch file: %w", err)
		}
		for key := text[min(epochHeader, len(text)):]; len(key) >= epochKey; key = key[epochKey:] {
			for _, owner := range v.owners[[epochKey]byte(key)] {
				if !left[owner] {
					problems = append(problems, fmt.Sprintf("exposed: the key of %s is left after it was delivered", owner))
				}
			}
		}
	}
	return problems, nil
}

// isExposed reports whether a problem is one of the vault's.
func isExposed(problem string) bool { return strings.HasPrefix(problem, "exposed:") }
