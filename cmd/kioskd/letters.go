package main

import (
	"context"
	"errors"

	"livekiosk/kiosk"
)

// Revive implements api.Letters.
func (o *outbox) Revive(ctx context.Context, id kiosk.RecordID) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.undecided(q.Revive(ctx, id))
}

// Show implements api.Letters.
func (o *outbox) Show(ctx context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	q, err := o.get()
	if err != nil {
		return kiosk.Detail{}, err
	}
	d, err := q.Show(ctx, id)
	return d, o.undecided(err)
}

// Drop implements api.Letters.
func (o *outbox) Drop(ctx context.Context, id kiosk.RecordID, by, reason string) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.undecided(q.Drop(ctx, id, by, reason))
}

// letters are the outbox's, and what becomes of a record is told to whoever
// waits for it: the visitor, should they stand there yet, and the partner.
type letters struct {
	*outbox

	tell func(context.Context, kiosk.Receipt)
}

// Drop implements api.Letters.
func (l letters) Drop(ctx context.Context, id kiosk.RecordID, by, reason string) error {
	of, err := l.Show(ctx, id) // before nobody can tell any more
	if err == nil {
		err = l.outbox.Drop(ctx, id, by, reason)
	}
	if err == nil {
		l.tell(ctx, kiosk.Receipt{Record: id, Session: of.Session, SubmissionID: of.SubmissionID, Action: kiosk.ExitError, Reason: "dropped"})
	}
	return err
}

// undecided is doubt for decisions about records: that a record is not of the
// kind is no trouble of the queue's.
func (o *outbox) undecided(err error) error {
	for _, ordinary := range []error{kiosk.ErrNoRecord, kiosk.ErrNoImages, kiosk.ErrSealBroken} {
		if errors.Is(err, ordinary) {
			return err
		}
	}
	return o.doubt(err)
}
