package crashtest

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// The layout of an epoch file, which queue/FORMAT.md has.
const (
	epochHeader = 4096
	epochKey    = 32
)

// An archived is one thing that the archive keeps: a part as it lay in the
// outbox, an epoch key, or the header of the epoch file.
type archived struct {
	Owner  string `json:"owner,omitempty"` // of a part: a record's id, or ownerOfBooking
	AAD    []byte `json:"aad,omitempty"`
	Part   []byte `json:"part,omitempty"`
	Start  []byte `json:"start,omitempty"` // how the part begins in the file
	Key    []byte `json:"key,omitempty"`
	Header []byte `json:"header,omitempty"`
	Name   string `json:"name,omitempty"` // of the epoch file
}

// startSize is how much of a part tells it from all others: its suite, a random
// nonce and some of its ciphertext, or base64 of them.
const startSize = 20

// ownerOfBooking is the owner of a booking's parts, by its tag.
func ownerOfBooking(tag []byte) string { return "booking " + hex.EncodeToString(tag) }

// An archive keeps every wrapped part and every epoch key that an outbox ever
// had, outside of its disk: what somebody would have who copied the storage at
// every moment.
type archive struct {
	queue string
	copy  string
	out   *bufio.Writer
	file  *os.File
	known map[string]bool
}

// newArchive makes an archive of the outbox at queue, in a file at path.
func newArchive(path, queue string) (*archive, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return &archive{queue: queue, copy: path + ".db", out: bufio.NewWriter(file), file: file, known: map[string]bool{}}, nil
}

func (a *archive) close() error { return errors.Join(a.out.Flush(), a.file.Close()) }

// take keeps what is new. Nobody may write to the outbox meanwhile.
func (a *archive) take() error {
	if err := a.takeKeys(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if err := a.takeParts(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

func (a *archive) keep(id string, one archived) error {
	if a.known[id] {
		return nil
	}
	a.known[id] = true
	b, err := json.Marshal(one)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(b, '\n'))
	return err
}

func (a *archive) takeKeys() error {
	names, err := filepath.Glob(a.queue + ".epochs-*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if len(text) < epochHeader {
			return fmt.Errorf("%s is too short", name)
		}
		if err := a.keep(name, archived{Name: filepath.Base(name), Header: text[:epochHeader]}); err != nil {
			return err
		}
		for key := text[epochHeader:]; len(key) >= epochKey; key = key[epochKey:] {
			if err := a.keep(string(key[:epochKey]), archived{Key: key[:epochKey]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archive) takeParts() error {
	text, err := os.ReadFile(a.queue)
	if err != nil {
		return err
	}
	if err = os.WriteFile(a.copy, text, 0o600); err != nil {
		return err
	}
	db, err := bbolt.Open(a.copy, 0o600, &bbolt.Options{ReadOnly: true, PageSize: blockSize})
	if err != nil {
		return err
	}
	return errors.Join(db.View(a.walk), db.Close())
}

func (a *archive) walk(tx *bbolt.Tx) error {
	for _, name := range []string{"pending", "dead"} {
		bucket := tx.Bucket([]byte(name))
		err := bucket.ForEachBucket(func(k []byte) error { return a.takeRecord(bucket.Bucket(k), k) })
		if err != nil {
			return err
		}
	}
	bookings := tx.Bucket([]byte("bookings"))
	if bookings == nil {
		return nil
	}
	return bookings.ForEach(a.takeBooking)
}

// tagAt is where the tag of the correlation id lies in a record's key.
const tagAt, tagSize = 8, 16

func (a *archive) takeRecord(record *bbolt.Bucket, k []byte) error {
	var head struct {
		Format  uint16
		Record  string
		Attempt uint32
		Key     string
	}
	if err := json.Unmarshal(record.Get([]byte("head")), &head); err != nil {
		return err
	}
	part := func(name string, wrapped []byte) error {
		if wrapped == nil {
			return nil
		}
		b := seal.Binding{
			Format: head.Format, Attempt: head.Attempt, Record: head.Record,
			Correlation: hex.EncodeToString(k[tagAt:][:tagSize]), Device: head.Key, Part: name, Key: head.Key,
		}
		return a.keep(string(wrapped[:startSize]), archived{Owner: head.Record, AAD: b.AAD(), Part: wrapped, Start: wrapped[:startSize]})
	}
	for _, name := range []string{"meta", "marks"} {
		if err := part(name, record.Get([]byte(name))); err != nil {
			return err
		}
	}
	for _, document := range kiosk.Documents() {
		name := "image/" + string(document)
		if image := record.Bucket([]byte(name)); image != nil {
			if err := part(name, image.Get([]byte("sealed"))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archive) takeBooking(tag, value []byte) error {
	var booking struct {
		Format uint16
		Key    string
		Sealed []byte
	}
	if err := json.Unmarshal(value, &booking); err != nil {
		return err
	}
	name := hex.EncodeToString(tag)
	b := seal.Binding{Format: booking.Format, Record: name, Correlation: name, Device: booking.Key, Part: "booking", Key: booking.Key}
	return a.keep(string(booking.Sealed[:startSize]), archived{
		Owner: ownerOfBooking(tag), AAD: b.AAD(), Part: booking.Sealed,
		Start: []byte(base64.StdEncoding.EncodeToString(booking.Sealed)[:startSize]),
	})
}

// epochName splits the name of an epoch file.
func epochName(name string) (base, id string, err error) {
	base, id, is := strings.Cut(name, ".epochs-")
	if !is {
		return "", "", fmt.Errorf("%q is not the name of an epoch file", name)
	}
	return base, id, nil
}
