package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// What is kept of outages at most.
const (
	outagesMax     = 16
	outageWordMax  = 64
	outagesSizeMax = 8 << 10 // bytes of JSON: a longer value is not read
)

// outages are what the file keeps of outages, in the clear.
type outages struct {
	Format  uint16   `json:"format"`
	Outages []outage `json:"outages"`
}

type outage struct {
	Service   kiosk.Service `json:"service"`
	Trouble   kiosk.Trouble `json:"trouble,omitempty"`
	Failures  int           `json:"failures"`
	Since     time.Time     `json:"since,omitzero"`
	NotBefore time.Time     `json:"not_before,omitzero"`
}

func decodeOutages(b []byte) (outages, error) {
	var o outages
	if len(b) > outagesSizeMax {
		return outages{}, fmt.Errorf("outages: %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return outages{}, fmt.Errorf("outages: %w", err)
	}
	switch {
	case o.Format != Format:
		return outages{}, fmt.Errorf("outages: format %d", o.Format)
	case len(o.Outages) > outagesMax:
		return outages{}, fmt.Errorf("outages: %d of them", len(o.Outages))
	}
	return o, nil
}

// Outages returns what SetOutages kept, none if it never did. What does not
// read is none too, and logged: it makes a restart less polite and nothing
// worse.
func (q *Queue) Outages(ctx context.Context) ([]kiosk.Outage, error) {
	var kept []byte
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		kept = bytes.Clone(tx.Bucket([]byte(outboxBucket)).Get([]byte(outagesKey)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read outages: %w", err)
	}
	if kept == nil {
		return nil, nil
	}
	o, err := decodeOutages(kept)
	if err != nil {
		q.o.Log.WarnContext(ctx, "outages in the outbox do not read", slog.Any("err", err))
		return nil, nil
	}
	out := make([]kiosk.Outage, len(o.Outages))
	for i, one := range o.Outages {
		out[i] = kiosk.Outage(one)
	}
	return out, nil
}

// SetOutages replaces the outages that are kept, at most 16. They are durable
// when it returns nil. Keeping the same again writes nothing.
func (q *Queue) SetOutages(ctx context.Context, all []kiosk.Outage) error {
	if err := q.setOutages(ctx, all); err != nil {
		return fmt.Errorf("keep outages: %w", err)
	}
	return nil
}

func (q *Queue) setOutages(ctx context.Context, all []kiosk.Outage) error {
	if len(all) > outagesMax {
		return fmt.Errorf("%d of them, at most %d are kept", len(all), outagesMax)
	}
	o := outages{Format: Format, Outages: []outage{}}
	for _, one := range all {
		if len(one.Service) > outageWordMax || len(one.Trouble) > outageWordMax {
			return errors.New("service or trouble is no word of its kind")
		}
		one.Since, one.NotBefore = one.Since.UTC().Round(0), one.NotBefore.UTC().Round(0)
		o.Outages = append(o.Outages, outage(one))
	}
	kept, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return q.update(ctx, func(w *writing) error {
		bucket := w.tx.Bucket([]byte(outboxBucket))
		before := bucket.Get([]byte(outagesKey))
		if bytes.Equal(before, kept) || before == nil && len(all) == 0 {
			return errUnchanged
		}
		return bucket.Put([]byte(outagesKey), kept)
	})
}
