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
	entries, err := o.Entries(ctx)
	if err != nil {
		return kiosk.Detail{}, err
	}
	for _, e := range entries {
		if e.Record == id {
			return kiosk.Detail{Entry: e}, nil
		}
	}
	return kiosk.Detail{}, kiosk.ErrNoRecord
}

// Drop implements api.Letters.
func (o *outbox) Drop(ctx context.Context, id kiosk.RecordID, _, reason string) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.undecided(q.Dismiss(ctx, id, reason))
}

// undecided is doubt for decisions about dead letters: that a record is not of
// the kind is no trouble of the queue's.
func (o *outbox) undecided(err error) error {
	for _, ordinary := range []error{kiosk.ErrNoRecord, kiosk.ErrNoImages, kiosk.ErrNotDead, kiosk.ErrSealBroken} {
		if errors.Is(err, ordinary) {
			return err
		}
	}
	return o.doubt(err)
}
