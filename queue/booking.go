package queue

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

const (
	bookingLife = 60 * 24 * time.Hour // what a user token lives
	tokenSpare  = 7 * 24 * time.Hour  // life left below which a token is fetched anew
	clockSlack  = 24 * time.Hour      // a booking made further in the future was made by a wrong clock

	bookingWordMax = 256 // bytes of a correlation id, a user id and its type
	tokenMax       = 16 << 10
)

// A booking is what the file keeps of one: who is expected is sealed.
type booking struct {
	Format uint16    `json:"format"`
	Key    string    `json:"key"`    // fingerprint of the device key it is sealed for
	Slot   *uint32   `json:"slot"`   // of its epoch key
	Check  uint32    `json:"check"`  // of Slot
	Booked time.Time `json:"booked"` // wall clock; its life counts from then
	Sealed []byte    `json:"sealed"` // sealed part "booking", base64
}

func decodeBooking(b []byte) (booking, error) {
	var k booking
	if err := json.Unmarshal(b, &k); err != nil {
		return booking{}, fmt.Errorf("booking: %w", err)
	}
	if k.Format != Format {
		return booking{}, fmt.Errorf("booking: format %d", k.Format)
	}
	if k.Check != check(k.Slot, k.Key) {
		return booking{}, errors.New("booking: epoch key does not read")
	}
	return k, nil
}

func (k booking) binding(tag []byte) seal.Binding {
	name := hex.EncodeToString(tag)
	return seal.Binding{Format: k.Format, Record: name, Correlation: name, Device: k.Key, Part: bookingPart, Key: k.Key}
}

// A person is the sealed part "booking".
type person struct {
	CorrelationID string       `json:"correlation_id"`
	UserID        string       `json:"user_id"`
	UserIDType    string       `json:"user_id_type,omitempty"`
	Locale        kiosk.Locale `json:"locale,omitempty"`
	Token         string       `json:"token,omitempty"`
	Expires       time.Time    `json:"expires,omitzero"`
}

func decodePerson(b []byte) (person, error) {
	var p person
	if err := json.Unmarshal(b, &p); err != nil {
		return person{}, errors.New("booking: is not JSON of its kind") // the cause could quote it
	}
	return p, nil
}

// sealBooking returns the value under b's tag.
func (q *Queue) sealBooking(b kiosk.Booking, tag []byte, epoch *seal.Epoch) ([]byte, error) {
	plain, err := json.Marshal(person{
		CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: b.Locale,
		Token: b.Token.Value, Expires: b.Token.Expires.UTC().Round(0),
	})
	if err != nil {
		return nil, errors.New("booking cannot be written as JSON") // the cause could quote it
	}
	defer clear(plain)
	slot, key := epoch.Slot(), q.o.Keys.Current()
	k := booking{Format: Format, Key: key.Fingerprint(), Slot: &slot, Check: check(&slot, key.Fingerprint()), Booked: b.Booked.UTC().Round(0)}
	if k.Sealed, err = (layers{key, epoch}).keep(k.binding(tag), plain); err != nil {
		return nil, err
	}
	return json.Marshal(k)
}

// openBooking opens the value under tag. Whatever is wrong with it is
// kiosk.ErrSealBroken.
func (q *Queue) openBooking(tag, value []byte) (kiosk.Booking, error) {
	k, err := decodeBooking(value)
	if err != nil {
		return kiosk.Booking{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	l, err := q.layers(k.Key, k.Slot)
	if err != nil {
		return kiosk.Booking{}, err
	}
	plain, err := l.recall(k.binding(tag), k.Sealed)
	if err != nil {
		return kiosk.Booking{}, err
	}
	defer clear(plain)
	p, err := decodePerson(plain)
	if err != nil {
		return kiosk.Booking{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	if !slices.ContainsFunc(q.tags(p.CorrelationID), func(own []byte) bool { return bytes.Equal(own, tag) }) {
		return kiosk.Booking{}, fmt.Errorf("booking: is another correlation id's: %w", kiosk.ErrSealBroken)
	}
	return kiosk.Booking{
		CorrelationID: p.CorrelationID, UserID: p.UserID, UserIDType: p.UserIDType, Locale: p.Locale,
		Token: kiosk.UserToken{Value: p.Token, Expires: p.Expires}, Booked: k.Booked,
	}, nil
}

// removeBooking removes the value under tag.
func (w *writing) removeBooking(bookings *bbolt.Bucket, tag, value []byte, why string) error {
	if k, err := decodeBooking(value); err == nil {
		w.erase(k.Slot, erasure{booking: hex.EncodeToString(tag), why: why})
	}
	w.counts.bookings--
	return bookings.Delete(tag)
}

// putBooking keeps b in the place of the value that was under a tag before, if
// there was one. Each time it is under a new epoch key, so that the token which
// it had cannot be read any more.
func (q *Queue) putBooking(w *writing, bookings *bbolt.Bucket, b kiosk.Booking, before placed, l *lease) error {
	if before.value != nil {
		if err := w.removeBooking(bookings, before.tag, before.value, whyRenewed); err != nil {
			return err
		}
	}
	tag := q.tags(b.CorrelationID)[0]
	value, err := q.sealBooking(b, tag, l.epoch)
	if err != nil {
		return err
	}
	w.counts.bookings++
	l.keep(w)
	return bookings.Put(tag, value)
}

// Book keeps b, so that a token can be fetched before the person comes. It is
// durable when Book returns nil. Booking the same user again renews the
// booking, and keeps its token unless b has one. A zero b.Booked is now, and a
// token that does not say when it expires is taken to live 60 days.
//
// Book returns kiosk.ErrBooked if the correlation id is booked for another
// user or a record has it, and kiosk.ErrQueueFull if there are too many
// bookings.
func (q *Queue) Book(ctx context.Context, b kiosk.Booking) error {
	if err := q.book(ctx, b); err != nil {
		return fmt.Errorf("book: %w", err)
	}
	return nil
}

func validateBooking(b kiosk.Booking) error {
	for what, word := range map[string]string{
		"correlation id": b.CorrelationID, "user id": b.UserID, "type of the user id": b.UserIDType, "locale": string(b.Locale),
	} {
		if len(word) > bookingWordMax {
			return fmt.Errorf("%s of %d bytes, at most %d are taken", what, len(word), bookingWordMax)
		}
	}
	switch {
	case b.CorrelationID == "":
		return errors.New("no correlation id")
	case b.UserID == "":
		return errors.New("no user id")
	case len(b.Token.Value) > tokenMax:
		return fmt.Errorf("token of %d bytes, at most %d are taken", len(b.Token.Value), tokenMax)
	}
	return nil
}

func (q *Queue) book(ctx context.Context, b kiosk.Booking) error {
	if err := validateBooking(b); err != nil {
		return err
	}
	if b.Booked.IsZero() {
		b.Booked = time.Now()
	}
	b.Token = dated(b.Token)
	tags := q.tags(b.CorrelationID)
	return q.withLease(ctx, func(w *writing, l *lease) error {
		if len(w.tagged(tags)) > 0 {
			return kiosk.ErrBooked
		}
		bookings, err := w.tx.CreateBucketIfNotExists([]byte(bookingsBucket))
		if err != nil {
			return err
		}
		before := booked(w.tx, tags)
		renewed := b
		if renewed.Token, err = q.reserve(w, bookings, before, b); err != nil {
			return err
		}
		return q.putBooking(w, bookings, renewed, before, l)
	})
}

// reserve makes sure that b may have its place, where before is. It returns the
// token that b has from now on.
func (q *Queue) reserve(w *writing, bookings *bbolt.Bucket, before placed, b kiosk.Booking) (kiosk.UserToken, error) {
	if before.value != nil {
		old, err := q.openBooking(before.tag, before.value)
		switch {
		case err != nil: // nobody can use it: this one takes its place
			return b.Token, nil //nolint:nilerr // as said
		case !same(old, b.UserID, b.UserIDType):
			return kiosk.UserToken{}, kiosk.ErrBooked
		case b.Token.Value == "":
			return old.Token, nil
		}
		return b.Token, nil
	}
	if w.counts.bookings >= q.o.MaxBookings {
		if err := q.pruneBookings(w, bookings); err != nil {
			return kiosk.UserToken{}, err
		}
	}
	if w.counts.bookings >= q.o.MaxBookings {
		return kiosk.UserToken{}, fmt.Errorf("%d of %d bookings: %w", w.counts.bookings, q.o.MaxBookings, kiosk.ErrQueueFull)
	}
	return b.Token, nil
}

// dated returns token with an end to its life.
func dated(token kiosk.UserToken) kiosk.UserToken {
	if token.Value != "" && token.Expires.IsZero() {
		token.Expires = time.Now().Add(bookingLife)
	}
	return token
}

func same(b kiosk.Booking, userID, userIDType string) bool {
	return b.UserID == userID && b.UserIDType == userIDType
}

// Unbook removes a booking. It returns kiosk.ErrNoBooking if there is none of
// the correlation id.
func (q *Queue) Unbook(ctx context.Context, correlationID string) error {
	tags := q.tags(correlationID)
	err := q.update(ctx, func(w *writing) error {
		was := booked(w.tx, tags)
		if was.value == nil {
			return kiosk.ErrNoBooking
		}
		return w.removeBooking(was.bookings, was.tag, was.value, whyUnbooked)
	})
	if err != nil {
		return fmt.Errorf("unbook: %w", err)
	}
	return nil
}

// placed is where a booking is.
type placed struct {
	bookings   *bbolt.Bucket // nil: none was ever made
	tag, value []byte        // nil: there is none
}

// booked returns the booking under one of the tags.
func booked(tx *bbolt.Tx, tags [][]byte) placed {
	out := placed{bookings: tx.Bucket([]byte(bookingsBucket))}
	if out.bookings == nil {
		return out
	}
	for _, tag := range tags {
		if value := out.bookings.Get(tag); value != nil {
			out.tag, out.value = tag, value
			return out
		}
	}
	return out
}

// Bookings returns who is expected, the oldest booking first, for staff. It
// tells when their tokens expire and not the tokens. A booking that does not
// open is left out; which ones these are is logged when it changes, as a count.
func (q *Queue) Bookings(ctx context.Context) ([]kiosk.Booking, error) {
	all, err := q.bookings(ctx)
	if err != nil {
		return nil, fmt.Errorf("list bookings: %w", err)
	}
	for i := range all {
		all[i].Token.Value = ""
	}
	return all, nil
}

func (q *Queue) bookings(ctx context.Context) ([]kiosk.Booking, error) {
	type kept struct{ tag, value []byte }
	var found []kept
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		found = nil
		bookings := tx.Bucket([]byte(bookingsBucket))
		if bookings == nil {
			return nil
		}
		return bookings.ForEach(func(k, v []byte) error {
			found = append(found, kept{tag: bytes.Clone(k), value: bytes.Clone(v)})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	var all []kiosk.Booking
	var broken [][]byte
	for _, one := range found {
		b, value, err := q.reopenBooking(ctx, one.tag, one.value)
		switch {
		case err == nil:
			all = append(all, b)
		case !errors.Is(err, kiosk.ErrSealBroken):
			return nil, err
		case value != nil:
			broken = append(broken, one.tag)
		}
	}
	q.mu.Lock()
	told := slices.EqualFunc(q.broken, broken, bytes.Equal)
	q.broken = broken
	q.mu.Unlock()
	if !told {
		q.o.Log.WarnContext(ctx, "bookings that do not open with this device's key", slog.Int("bookings", len(broken)))
	}
	slices.SortFunc(all, func(a, b kiosk.Booking) int {
		return cmp.Or(a.Booked.Compare(b.Booked), cmp.Compare(a.CorrelationID, b.CorrelationID))
	})
	return all, nil
}

// reopenBooking opens the value under tag, or what took its place since it was
// read, whose key is destroyed by then. It returns the value that it opened
// last, nil if the booking is gone.
func (q *Queue) reopenBooking(ctx context.Context, tag, value []byte) (kiosk.Booking, []byte, error) {
	for {
		b, err := q.openBooking(tag, value)
		if err == nil {
			return b, value, nil
		}
		var now []byte
		read := q.view(ctx, func(tx *bbolt.Tx) error {
			now = bytes.Clone(booked(tx, [][]byte{tag}).value)
			return nil
		})
		if read != nil {
			return kiosk.Booking{}, nil, read
		}
		if now == nil || bytes.Equal(now, value) {
			return kiosk.Booking{}, now, err
		}
		value = now
	}
}

// Unfetched returns the bookings, the oldest first, that have no token or one
// with less than seven days to live, without it. Whose correlation id a record
// has is not among them.
func (q *Queue) Unfetched(ctx context.Context) ([]kiosk.Booking, error) {
	all, err := q.bookings(ctx)
	if err != nil {
		return nil, fmt.Errorf("list bookings without a token: %w", err)
	}
	soon := time.Now().Add(tokenSpare)
	q.mu.Lock()
	defer q.mu.Unlock()
	all = slices.DeleteFunc(all, func(b kiosk.Booking) bool {
		return b.Token.Value != "" && b.Token.Expires.After(soon) || q.index.used(q.tags(b.CorrelationID))
	})
	for i := range all {
		all[i].Token.Value = ""
	}
	return all, nil
}

// Fetched keeps the token that was fetched for the user of b, whose own token
// does not count. It is durable when Fetched returns nil. A token that does not
// say when it expires is taken to live 60 days. Fetched returns
// kiosk.ErrNoBooking if b's correlation id is not booked, or is booked for
// another user by now: the token is then for somebody who is not expected any
// more.
func (q *Queue) Fetched(ctx context.Context, b kiosk.Booking, token kiosk.UserToken) error {
	if err := q.fetched(ctx, b, token); err != nil {
		return fmt.Errorf("keep a booked person's token: %w", err)
	}
	return nil
}

func (q *Queue) fetched(ctx context.Context, b kiosk.Booking, token kiosk.UserToken) error {
	if n := len(token.Value); n == 0 || n > tokenMax {
		return fmt.Errorf("token of %d bytes, want 1 to %d", n, tokenMax)
	}
	token = dated(token)
	tags := q.tags(b.CorrelationID)
	return q.withLease(ctx, func(w *writing, l *lease) error {
		was := booked(w.tx, tags)
		if was.value == nil {
			return kiosk.ErrNoBooking
		}
		kept, err := q.openBooking(was.tag, was.value)
		if err != nil {
			return err
		}
		if !same(kept, b.UserID, b.UserIDType) {
			return kiosk.ErrNoBooking
		}
		kept.Token = token
		return q.putBooking(w, was.bookings, kept, was, l)
	})
}

// redeem ends the booking of the person who came, if there is one, and returns
// parts with its token if s has none.
func (q *Queue) redeem(ctx context.Context, w *writing, s *kiosk.Submission, parts *sealing, tags [][]byte) (*sealing, error) {
	was := booked(w.tx, tags)
	if was.value == nil {
		return parts, nil
	}
	b, err := q.openBooking(was.tag, was.value)
	if err != nil {
		q.o.Log.WarnContext(ctx, "booking does not open", slog.String("record", string(s.Record)), slog.Any("err", err))
		return parts, nil
	}
	if !same(b, s.UserID, s.UserIDType) {
		q.o.Log.WarnContext(ctx, "correlation id is booked for another user", slog.String("record", string(s.Record)))
		return parts, nil
	}
	if err = w.removeBooking(was.bookings, was.tag, was.value, whyRedeemed); err != nil {
		return nil, err
	}
	if s.Token != "" || b.Token.Value == "" || !time.Now().Before(b.Token.Expires) {
		return parts, nil
	}
	with := *parts
	if with.meta, err = parts.sealMeta(b.Token.Value); err != nil {
		return nil, err
	}
	with.size += int64(len(with.meta) - len(parts.meta))
	return &with, nil
}

// pruneBookings removes the bookings that are over.
func (q *Queue) pruneBookings(w *writing, bookings *bbolt.Bucket) error {
	now := time.Now().UTC().Round(0)
	if now.Before(q.o.Floor) || !q.o.Trusted() {
		return nil
	}
	old, renewed := map[string][]byte{}, map[string][]byte{}
	err := bookings.ForEach(func(tag, value []byte) error {
		if value == nil { // a bucket, which nothing here made
			return nil
		}
		k, broken := decodeBooking(value)
		wrong := k.Booked.Before(q.o.Floor) || k.Booked.After(now.Add(clockSlack))
		switch {
		case broken != nil || !wrong && now.Sub(k.Booked) > bookingLife:
			old[string(tag)] = bytes.Clone(value)
		case wrong:
			k.Booked = now
			value, err := json.Marshal(k)
			if err != nil {
				return err
			}
			renewed[string(tag)] = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	for tag, value := range old {
		if err := w.removeBooking(bookings, []byte(tag), value, whyExpired); err != nil {
			return err
		}
	}
	for tag, value := range renewed {
		if err := bookings.Put([]byte(tag), value); err != nil {
			return err
		}
	}
	return nil
}
