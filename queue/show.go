package queue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// A copied record is one as it lay in the file, its parts still wrapped.
type copied struct {
	found

	past  kiosk.Detail // of one in history, which has nothing else
	bytes int64
	parts []copiedPart
	wrong error // why no part opens; nil: they may
}

type copiedPart struct {
	name    string
	wrapped []byte
}

// look returns the record at a spot, in a read transaction of its own. It
// returns kiosk.ErrNoRecord if none is there any more.
func (q *Queue) look(ctx context.Context, at spot) (copied, error) {
	var c copied
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		if at == (spot{}) {
			return kiosk.ErrNoRecord
		}
		bucket := tx.Bucket([]byte(at.bucket))
		if at.bucket == historyBucket {
			value := bucket.Get([]byte(at.key))
			if value == nil {
				return kiosk.ErrNoRecord
			}
			c.past = pastDetail([]byte(at.key), value)
			return nil
		}
		record := bucket.Bucket([]byte(at.key))
		if record == nil {
			return kiosk.ErrNoRecord
		}
		c = q.copy(record, at)
		return nil
	})
	return c, err
}

func (q *Queue) copy(record *bbolt.Bucket, at spot) copied {
	_, id := splitKey([]byte(at.key))
	c := copied{found: found{id: id, at: at}, bytes: weigh(record)}
	if c.wrong = q.find(&c.found, record, []byte(at.key)); c.head.Record == "" {
		c.head = head{Record: id, State: stateQueued, Reason: "its head does not read"}
		if at.bucket == deadBucket {
			c.head.State = stateDead
		}
	}
	for _, name := range []string{metaKey, marksKey} {
		if value := record.Get([]byte(name)); value != nil {
			c.parts = append(c.parts, copiedPart{name, bytes.Clone(value)})
		}
	}
	cursor := record.Cursor()
	for k, _ := cursor.Seek([]byte(imagePrefix)); bytes.HasPrefix(k, []byte(imagePrefix)); k, _ = cursor.Next() {
		if image := record.Bucket(k); image != nil {
			c.parts = append(c.parts, copiedPart{string(k), bytes.Clone(image.Get([]byte(sealedKey)))})
		}
	}
	return c
}

// try opens a part, which is lost with that. What it returns is in "meta" and
// in "marks".
func (c copied) try(p copiedPart) (body, progress, error) {
	if c.wrong != nil {
		return body{}, progress{}, c.wrong
	}
	switch p.name {
	case metaKey:
		return c.open(p.wrapped, nil)
	case marksKey:
		m, err := c.openMarks(p.wrapped)
		return body{}, m, err
	}
	image, err := c.openImage(p.name, p.wrapped)
	if err == nil && c.head.Relay != "" && !seal.IsEnvelope(image) {
		err = fmt.Errorf("%s: is sealed for no relay: %w", p.name, kiosk.ErrSealBroken)
	}
	clear(image)
	return body{}, progress{}, err
}

// sound reports whether every part is there and opens. They are lost with that.
func (c copied) sound() bool {
	if c.head.letter(c.bytes) {
		return len(c.parts) == 0
	}
	var images map[kiosk.Document]int64
	there := map[string]bool{}
	for _, part := range c.parts {
		b, _, err := c.try(part)
		if err != nil {
			return false
		}
		if there[part.name] = true; part.name == metaKey {
			images = b.Images
		}
	}
	for document := range images {
		if !there[imagePrefix+string(document)] {
			return false
		}
	}
	return len(images) > 0
}

// detail returns what staff may see of it, which costs its parts.
func (c copied) detail(now clock, most time.Duration) kiosk.Detail {
	h := c.head
	d := kiosk.Detail{Entry: h.entry(c.bytes), Key: h.Key, Relay: h.Relay, Changed: h.Changed}
	age, _ := now.age(h.Stamp)
	d.Age, d.Expires = int64(age/time.Second), int64(max(most-age, 0)/time.Second)
	for _, part := range c.parts {
		size := int64(len(part.wrapped))
		_, p, err := c.try(part)
		d.Parts = append(d.Parts, kiosk.Part{Name: part.name, Bytes: size, Opens: err == nil})
		if part.name != marksKey || err != nil {
			continue
		}
		d.Confirmed, d.Failures, d.NotBefore = p.Confirmed, p.Pace.Failures, p.Pace.NotBefore
		for _, document := range kiosk.Documents() {
			if p.Uploaded[document] {
				d.Uploaded = append(d.Uploaded, document)
			}
		}
	}
	return d
}

// Show returns what staff may see of one record, also of one in history. It
// opens every part that the device can open, to say whether it opens. It
// returns kiosk.ErrNoRecord if id is unknown.
func (q *Queue) Show(ctx context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	d, err := q.show(ctx, id)
	if err != nil {
		return kiosk.Detail{}, fmt.Errorf("show %s: %w", id, err)
	}
	return d, nil
}

func (q *Queue) show(ctx context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	for {
		var d kiosk.Detail
		at := q.spot(id)
		c, err := q.look(ctx, at)
		switch {
		case err == nil && at.bucket == historyBucket:
			d = c.past
		case err == nil:
			d = c.detail(q.tick(), q.o.MaxAge)
		}
		// Where it is still there its key was there all the time.
		if err != nil && !errors.Is(err, kiosk.ErrNoRecord) || at == q.spot(id) {
			return d, err
		}
	}
}

func (q *Queue) spot(id kiosk.RecordID) spot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.spots[id]
}

func pastDetail(k, value []byte) kiosk.Detail {
	r, err := decodeReceipt(value)
	if err != nil {
		_, id := splitKey(k)
		r = receipt{Record: id, Reason: "its history does not read"}
	}
	return kiosk.Detail{Entry: r.entry(), Changed: r.Settled, By: r.By}
}

// KeyUses returns what depends on which device key: the current one first, then
// the others that are here, then those that are not and that something is
// sealed for. What waits for a new capture depends on none.
func (q *Queue) KeyUses(ctx context.Context) ([]kiosk.KeyUse, error) {
	var uses []kiosk.KeyUse
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		uses = nil
		for i, key := range q.o.Keys.All() {
			uses = append(uses, kiosk.KeyUse{Fingerprint: key.Fingerprint(), KEM: string(key.KEM()), Current: i == 0})
		}
		here := len(uses)
		of := func(fingerprint string) *kiosk.KeyUse {
			i := slices.IndexFunc(uses, func(u kiosk.KeyUse) bool { return u.Fingerprint == fingerprint })
			if i < 0 {
				uses = append(uses, kiosk.KeyUse{Fingerprint: fingerprint})
				i = len(uses) - 1
			}
			return &uses[i]
		}
		for _, name := range []string{pendingBucket, deadBucket} {
			bucket := tx.Bucket([]byte(name))
			err := bucket.ForEachBucket(func(k []byte) error {
				record := bucket.Bucket(k)
				if h, err := readHead(record, k); err == nil && record.Get([]byte(metaKey)) != nil {
					of(h.Key).Records++
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if bookings := tx.Bucket([]byte(bookingsBucket)); bookings != nil {
			err := bookings.ForEach(func(_, value []byte) error {
				if k, err := decodeBooking(value); err == nil {
					of(k.Key).Bookings++
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		slices.SortFunc(uses[here:], func(a, b kiosk.KeyUse) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list uses of keys: %w", err)
	}
	return uses, nil
}
