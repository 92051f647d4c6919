package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// ExportPart is the part that the envelope of an export names.
const ExportPart = "export"

// An export is what support gets to see of an outbox: no image, token, user id,
// correlation id or metadata.
type export struct {
	Format   uint16          `json:"format"`
	Written  time.Time       `json:"written"` // wall clock
	Device   string          `json:"device"`  // fingerprint of the current key
	Epochs   string          `json:"epochs"`  // id of the epoch file
	Entries  []kiosk.Detail  `json:"entries"` // pending and dead in their order, then history, newest first
	Erasures []kiosk.Erasure `json:"erasures"`
	Proof    exportProof     `json:"proof"` // of the erasures
	Outages  []outage        `json:"outages"`
	Keys     []kiosk.KeyUse  `json:"keys"`
	Clock    clock           `json:"clock"`
	Counts   exportCounts    `json:"counts"`
	Limits   exportLimits    `json:"limits"`
	Bolt     exportBolt      `json:"bolt"`
	Files    []exportFile    `json:"files"`
	Damaged  string          `json:"damaged,omitempty"` // where the file was moved that was found damaged at the start
	Orphans  int             `json:"orphans"`
}

type exportProof struct {
	Lines    int  `json:"lines"`
	Unproven int  `json:"unproven"`
	Holds    bool `json:"holds"`
}

type exportCounts struct {
	Records  int   `json:"records"`
	Bytes    int64 `json:"bytes"`
	Letters  int   `json:"letters"`
	History  int   `json:"history"`
	Bookings int   `json:"bookings"`
}

type exportLimits struct {
	Records  int   `json:"records"`
	Bytes    int64 `json:"bytes"`
	Reserve  int64 `json:"reserve"`
	History  int   `json:"history"`
	Bookings int   `json:"bookings"`
	MaxAge   int64 `json:"maxAge"` // seconds
}

type exportBolt struct {
	Size         int64 `json:"size"`         // of what is mapped, bytes
	FreePages    int   `json:"freePages"`    // of 4096 bytes
	PendingPages int   `json:"pendingPages"` // free once readers are done
	OpenReads    int   `json:"openReads"`
	Writes       int64 `json:"writes"`    // since it was opened
	WriteTime    int64 `json:"writeTime"` // ns of them
}

type exportFile struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Export writes what support needs to know of the outbox to w, as JSON that is
// sealed for the given key: an envelope as seal.OpenEnvelope opens it, with no
// correlation id and the part ExportPart. It tells of every record what Show
// does, of every erasure, outage and use of a key, and sizes, limits and
// numbers of the file. No image, token, user id, correlation id or metadata is
// in it; reasons that staff gave are.
func (q *Queue) Export(ctx context.Context, w io.Writer, to *seal.Public) error {
	if err := q.export(ctx, w, to); err != nil {
		return fmt.Errorf("export outbox: %w", err)
	}
	return nil
}

func (q *Queue) export(ctx context.Context, w io.Writer, to *seal.Public) error {
	if to == nil {
		return errors.New("no key to seal it for")
	}
	out, err := q.describe(ctx)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return err
	}
	defer clear(text)
	sealed, err := seal.SealEnvelope(to, seal.Binding{Format: Format, Device: out.Device, Part: ExportPart}, text)
	if err != nil {
		return err
	}
	_, err = w.Write(sealed)
	return err
}

func (q *Queue) describe(ctx context.Context) (export, error) {
	out := export{
		Format: Format, Written: time.Now().UTC().Round(0), Device: q.o.Keys.Current().Fingerprint(), Epochs: q.epochs.ID(),
		Entries: []kiosk.Detail{}, Outages: []outage{}, Clock: q.tick(), Orphans: q.Orphans,
		Limits: exportLimits{
			Records: q.o.MaxRecords, Bytes: q.o.MaxBytes, Reserve: q.o.Reserve, History: q.o.HistoryMax,
			Bookings: q.o.MaxBookings, MaxAge: int64(q.o.MaxAge / time.Second),
		},
	}
	if q.Quarantined != "" {
		out.Damaged = filepath.Base(q.Quarantined)
	}
	ids, err := q.kept(ctx)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		d, broken := q.show(ctx, id)
		switch {
		case broken == nil && d.State != stateDone: // and did not end meanwhile
			out.Entries = append(out.Entries, d)
		case broken != nil && !errors.Is(broken, kiosk.ErrNoRecord):
			return out, broken
		}
	}
	err = q.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(historyBucket)).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			out.Entries = append(out.Entries, pastDetail(k, v))
		}
		out.Bolt.Size = tx.Size()
		return nil
	})
	if err != nil {
		return out, err
	}
	h, err := q.proves(ctx)
	if err != nil {
		return out, err
	}
	out.Proof = exportProof{Lines: h.lines, Unproven: h.unproven, Holds: h.holds}
	if out.Erasures, err = q.Erasures(ctx); err != nil {
		return out, err
	}
	if out.Keys, err = q.KeyUses(ctx); err != nil {
		return out, err
	}
	outages, err := q.Outages(ctx)
	if err != nil {
		return out, err
	}
	for _, one := range outages {
		out.Outages = append(out.Outages, outage(one))
	}
	stats := q.db.Stats()
	out.Bolt.FreePages, out.Bolt.PendingPages, out.Bolt.OpenReads = stats.FreePageN, stats.PendingPageN, stats.OpenTxN
	out.Bolt.Writes, out.Bolt.WriteTime = stats.TxStats.GetWrite(), int64(stats.TxStats.GetWriteTime())
	err = q.peek(ctx, func() {
		c := q.counts
		out.Counts = exportCounts{Records: c.records, Bytes: c.bytes, Letters: c.letters, History: c.history, Bookings: c.bookings}
	})
	if err == nil {
		out.Files, err = q.files()
	}
	return out, err
}

// files returns the files of the outbox and their sizes.
func (q *Queue) files() ([]exportFile, error) {
	base := filepath.Base(q.o.Path)
	var out []exportFile
	for _, pattern := range []string{globEscape(q.o.Path) + "*", filepath.Join(globEscape(q.o.Epochs), globEscape(base)+".epochs-*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			info, err := os.Lstat(path)
			if err != nil {
				continue // gone since then
			}
			one := exportFile{Name: filepath.Base(path), Bytes: info.Size()}
			if !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	return out, nil
}
