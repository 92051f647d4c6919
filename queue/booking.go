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
	Key    string    `json:"key"`    // fingerprint of the key it is sealed for
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
	return k, nil
}

func (k booking) binding(tag []byte) seal.Binding {
	return seal.Binding{Format: k.Format, Record: hex.EncodeToString(tag), Part: bookingPart, Key: k.Key}
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
func (q *Queue) sealBooking(b kiosk.Booking) ([]byte, error) {
	plain, err := json.Marshal(person{
		CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: b.Locale,
		Token: b.Token.Value, Expires: b.Token.Expires.UTC().Round(0),
	})
	if err != nil {
		return nil, errors.New("booking cannot be written as JSON") // the cause could quote it
	}
	defer clear(plain)
	k := booking{Format: Format, Key: q.o.Key.Fingerprint(), Booked: b.Booked.UTC().Round(0)}
	if k.Sealed, err = q.o.Key.Keep(k.binding(q.tag(b.CorrelationID)).AAD(), plain); err != nil {
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
	plain, err := q.o.Key.Recall(k.binding(tag).AAD(), k.Sealed)
	if err != nil {
		return kiosk.Booking{}, fmt.Errorf("booking: %w: %w", kiosk.ErrSealBroken, err)
	}
	defer clear(plain)
	p, err := decodePerson(plain)
	if err != nil {
		return kiosk.Booking{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	if !bytes.Equal(q.tag(p.CorrelationID), tag) {
		return kiosk.Booking{}, fmt.Errorf("booking: is another correlation id's: %w", kiosk.ErrSealBroken)
	}
	return kiosk.Booking{
		CorrelationID: p.CorrelationID, UserID: p.UserID, UserIDType: p.UserIDType, Locale: p.Locale,
		Token: kiosk.UserToken{Value: p.Token, Expires: p.Expires}, Booked: k.Booked,
	}, nil
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
	tag := q.tag(b.CorrelationID)
	return q.update(ctx, func(w *writing) error {
		if len(w.tagged(tag)) > 0 {
			return kiosk.ErrBooked
		}
		bookings, err := w.tx.CreateBucketIfNotExists([]byte(bookingsBucket))
		if err != nil {
			return err
		}
		token, err := q.reserve(w, bookings, tag, b)
		if err != nil {
			return err
		}
		renewed := b
		renewed.Token = token
		value, err := q.sealBooking(renewed)
		if err != nil {
			return err
		}
		return bookings.Put(tag, value)
	})
}

// reserve makes sure that b may have its place under tag. It returns the token
// that b has from now on.
func (q *Queue) reserve(w *writing, bookings *bbolt.Bucket, tag []byte, b kiosk.Booking) (kiosk.UserToken, error) {
	if value := bookings.Get(tag); value != nil {
		old, err := q.openBooking(tag, value)
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
		if _, err := q.prune(w, bookings); err != nil {
			return kiosk.UserToken{}, err
		}
	}
	if w.counts.bookings >= q.o.MaxBookings {
		return kiosk.UserToken{}, fmt.Errorf("%d of %d bookings: %w", w.counts.bookings, q.o.MaxBookings, kiosk.ErrQueueFull)
	}
	w.counts.bookings++
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
	tag := q.tag(correlationID)
	err := q.update(ctx, func(w *writing) error {
		bookings, value := booked(w.tx, tag)
		if value == nil {
			return kiosk.ErrNoBooking
		}
		w.counts.bookings--
		return bookings.Delete(tag)
	})
	if err != nil {
		return fmt.Errorf("unbook: %w", err)
	}
	return nil
}

// booked returns the bucket of bookings, nil if none was ever made, and the
// value under tag, nil if there is none.
func booked(tx *bbolt.Tx, tag []byte) (bookings *bbolt.Bucket, value []byte) {
	if bookings = tx.Bucket([]byte(bookingsBucket)); bookings != nil {
		value = bookings.Get(tag)
	}
	return bookings, value
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
		if b, err := q.openBooking(one.tag, one.value); err == nil {
			all = append(all, b)
		} else {
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
		return b.Token.Value != "" && b.Token.Expires.After(soon) || len(q.index.tags[string(q.tag(b.CorrelationID))]) > 0
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
	tag := q.tag(b.CorrelationID)
	return q.update(ctx, func(w *writing) error {
		bookings, value := booked(w.tx, tag)
		if value == nil {
			return kiosk.ErrNoBooking
		}
		kept, err := q.openBooking(tag, value)
		if err != nil {
			return err
		}
		if !same(kept, b.UserID, b.UserIDType) {
			return kiosk.ErrNoBooking
		}
		kept.Token = token
		if value, err = q.sealBooking(kept); err != nil {
			return err
		}
		return bookings.Put(tag, value)
	})
}

// redeem ends the booking of the person who came, if there is one, and returns
// parts with its token if s has none.
func (q *Queue) redeem(ctx context.Context, w *writing, s *kiosk.Submission, parts *sealing, tag []byte) (*sealing, error) {
	bookings, value := booked(w.tx, tag)
	if value == nil {
		return parts, nil
	}
	b, err := q.openBooking(tag, value)
	if err != nil {
		q.o.Log.WarnContext(ctx, "booking does not open", slog.String("record", string(s.Record)), slog.Any("err", err))
		return parts, nil
	}
	if !same(b, s.UserID, s.UserIDType) {
		q.o.Log.WarnContext(ctx, "correlation id is booked for another user", slog.String("record", string(s.Record)))
		return parts, nil
	}
	w.counts.bookings--
	if err = bookings.Delete(tag); err != nil {
		return nil, err
	}
	if s.Token != "" || b.Token.Value == "" || !time.Now().Before(b.Token.Expires) {
		return parts, nil
	}
	meta, err := sealMeta(parts.sealer, parts.head, s, b.Token.Value)
	if err != nil {
		return nil, err
	}
	with := *parts
	with.meta = meta
	with.size += int64(len(meta) - len(parts.meta))
	return &with, nil
}

// Prune removes the bookings that are older than 60 days, which is what a
// token lives. One is enough each hour or day. A wall clock before
// Options.Floor, or one that Options.Trusted does not trust, removes and dates
// nothing, and a booking made under a clock that was wrong counts from the
// first Prune under one that may be right.
func (q *Queue) Prune(ctx context.Context) error {
	removed := 0
	err := q.update(ctx, func(w *writing) error {
		removed = 0
		bookings := w.tx.Bucket([]byte(bookingsBucket))
		if bookings == nil {
			return errUnchanged
		}
		before := w.counts.bookings
		changed, err := q.prune(w, bookings)
		removed = before - w.counts.bookings
		if err == nil && !changed {
			err = errUnchanged
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("prune bookings: %w", err)
	}
	if removed > 0 {
		q.o.Log.InfoContext(ctx, "old bookings removed", slog.Int("bookings", removed))
	}
	return nil
}

// prune reports whether it changed anything.
func (q *Queue) prune(w *writing, bookings *bbolt.Bucket) (bool, error) {
	now := time.Now().UTC().Round(0)
	if now.Before(q.o.Floor) || !q.o.Trusted() {
		return false, nil
	}
	var old [][]byte
	renewed := map[string][]byte{}
	err := bookings.ForEach(func(tag, value []byte) error {
		if value == nil { // a bucket, which nothing here made
			return nil
		}
		k, broken := decodeBooking(value)
		wrong := k.Booked.Before(q.o.Floor) || k.Booked.After(now.Add(clockSlack))
		switch {
		case broken != nil || !wrong && now.Sub(k.Booked) > bookingLife:
			old = append(old, bytes.Clone(tag))
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
		return false, err
	}
	for _, tag := range old {
		w.counts.bookings--
		if err := bookings.Delete(tag); err != nil {
			return false, err
		}
	}
	for tag, value := range renewed {
		if err := bookings.Put([]byte(tag), value); err != nil {
			return false, err
		}
	}
	return len(old)+len(renewed) > 0, nil
}
