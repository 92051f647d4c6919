package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// Put stores s, sealed. It is durable when Put returns nil. A record that was
// put before, in whatever state it is now, is left as it is and is no error.
//
// In the same transaction it settles what the capture makes good: an earlier
// attempt of the same session and correlation id that NeedsRecapture goes to
// history with kiosk.Retry, and a booking of the same correlation id and user
// ends. Where s has no token, the booking's is stored with it unless that
// expired. A booking of another user is left alone.
//
// With Options.Relay, images and metadata are sealed so that only the relay
// opens them; what else there is of s stays the device's to read.
//
// Put returns kiosk.ErrQueueFull when a limit or the disk is reached: after
// Admit that happens only if something else filled the disk. s and its images
// stay the caller's, who erases them.
func (q *Queue) Put(ctx context.Context, s *kiosk.Submission) error {
	if err := validate(s); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := q.put(ctx, s); err != nil {
		return fmt.Errorf("put %s: %w", s.Record, err)
	}
	q.signal()
	return nil
}

func (q *Queue) put(ctx context.Context, s *kiosk.Submission) error {
	lease, err := q.lease()
	if err != nil {
		return err
	}
	tags := q.tags(s.CorrelationID)
	parts, err := q.seal(s, tags[0], lease.epoch)
	if err == nil {
		err = q.update(ctx, func(w *writing) error {
			lease.kept = false
			if _, k := w.find(s.Record, pendingBucket, deadBucket, historyBucket); k != nil {
				return errUnchanged
			}
			said := q.add(ctx, w, s, parts, tags)
			if said == nil {
				lease.keep(w)
				w.hurry = true
			}
			return said
		})
	}
	q.end(lease, err)
	if err == nil {
		q.recycle(parts) // the transaction that referred to them is over
	}
	return err
}

// add stores the parts of s, which is no record yet.
func (q *Queue) add(ctx context.Context, w *writing, s *kiosk.Submission, parts *sealing, tags [][]byte) error {
	if err := q.succeed(w, s, tags); err != nil {
		return err
	}
	parts, err := q.redeem(ctx, w, s, parts, tags)
	if err != nil {
		return err
	}
	if w.counts.records+1 > q.o.MaxRecords || w.counts.bytes+parts.size > q.o.MaxBytes {
		return fmt.Errorf("%d of %d records, %d of %d bytes: %w",
			w.counts.records, q.o.MaxRecords, w.counts.bytes, q.o.MaxBytes, kiosk.ErrQueueFull)
	}
	return parts.store(w)
}

func validate(s *kiosk.Submission) error {
	switch {
	case s.Record == "" || len(s.Record) > idMax:
		return fmt.Errorf("record id of %d bytes, want 1 to %d", len(s.Record), idMax)
	case s.Attempt < 1 || s.Attempt > 1<<16:
		return fmt.Errorf("record %s: attempt %d", s.Record, s.Attempt)
	case s.CorrelationID == "":
		return fmt.Errorf("record %s: no correlation id", s.Record)
	case len(s.Metadata) > MetadataMax:
		return fmt.Errorf("record %s: metadata of %d bytes, at most %d are taken", s.Record, len(s.Metadata), MetadataMax)
	case len(s.Images) == 0:
		return fmt.Errorf("record %s: no images", s.Record)
	}
	for document, image := range s.Images {
		if !slices.Contains(kiosk.Documents(), document) {
			return fmt.Errorf("record %s: unknown document %q", s.Record, document)
		}
		if len(image) == 0 || len(image) > ImageMax {
			return fmt.Errorf("record %s: %s of %d bytes, want 1 to %d", s.Record, document, len(image), ImageMax)
		}
	}
	return nil
}

// A sealing is a submission ready to be stored.
type sealing struct {
	head   head
	tag    []byte
	epoch  *seal.Epoch
	sealer *seal.Sealer
	body   body // but for the token
	meta   []byte
	images map[kiosk.Document][]byte
	size   int64 // what weigh will say
}

// seal returns s ready to be stored under the epoch key, whose correlation id
// has the tag.
func (q *Queue) seal(s *kiosk.Submission, tag []byte, epoch *seal.Epoch) (*sealing, error) {
	slot, device := epoch.Slot(), q.o.Keys.Current()
	out := &sealing{
		head: head{
			Format: Format, Record: s.Record, Session: s.Session, Attempt: s.Attempt, Review: s.Review,
			// Wall clock without its monotonic reading, as it will be read back.
			Key: device.Fingerprint(), Slot: &slot, Queued: time.Now().UTC().Round(0), State: stateQueued,
			Stamp: q.tick().stamp(),
		},
		tag: tag, epoch: epoch, images: map[kiosk.Document][]byte{},
	}
	if q.o.Relay != nil {
		out.head.Relay = q.o.Relay.Fingerprint()
	}
	var err error
	if out.sealer, err = q.sealer(); err != nil {
		return nil, err
	}
	out.body = body{
		Session: s.Session, AttemptsLeft: s.AttemptsLeft, Review: s.Review, CorrelationID: s.CorrelationID,
		UserID: s.UserID, UserIDType: s.UserIDType, Locale: s.Locale, Queued: out.head.Queued,
		Images: map[kiosk.Document]int64{},
	}
	if out.body.Metadata, err = q.metadata(out.head, s); err != nil {
		return nil, err
	}
	if err = q.sealImages(out, s); err != nil {
		return nil, err
	}
	if out.meta, err = out.sealMeta(s.Token); err != nil {
		return nil, err
	}
	out.size += int64(len(out.meta))
	go q.prepare() // while this one is being flushed
	return out, nil
}

// sealer returns what seals the parts of one record for the device.
func (q *Queue) sealer() (*seal.Sealer, error) {
	select {
	case ready := <-q.ready:
		return ready, nil
	default:
		return seal.NewSealer(q.o.Keys.Current().Public())
	}
}

// prepare makes the sealer of the next record, which takes as long as sealing
// one of 300 KB.
func (q *Queue) prepare() {
	if len(q.ready) > 0 {
		return
	}
	next, err := seal.NewSealer(q.o.Keys.Current().Public())
	if err != nil {
		return // whoever needs one is told
	}
	select {
	case q.ready <- next:
	default:
	}
}

// buffer returns memory for a sealed image, nil if there is none to spare.
func (q *Queue) buffer() []byte {
	select {
	case b := <-q.buffers:
		return b
	default:
		return nil
	}
}

// recycle takes back the memory of what was stored. Fresh memory of that size
// costs more than filling it.
func (q *Queue) recycle(p *sealing) {
	for _, image := range p.images {
		select {
		case q.buffers <- image:
		default:
		}
	}
}

// metadata returns what is kept of the metadata of s: what the relay opens, if
// there is one.
func (q *Queue) metadata(h head, s *kiosk.Submission) (json.RawMessage, error) {
	if q.o.Relay == nil || len(s.Metadata) == 0 {
		return s.Metadata, nil
	}
	if !json.Valid(s.Metadata) {
		return nil, errors.New("metadata is not JSON")
	}
	envelope, err := seal.SealEnvelope(q.o.Relay, h.envelope(s.CorrelationID, metadataPart), s.Metadata)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return json.Marshal(map[string][]byte{sealedMetadata: envelope})
}

// sealImages seals the images of s, all at the same time: they are nearly all
// of a record.
func (q *Queue) sealImages(p *sealing, s *kiosk.Submission) error {
	var sealed [2][]byte // as many as there are documents
	var failed [len(sealed)]error
	var group sync.WaitGroup
	for i, document := range slices.Backward(kiosk.Documents()) {
		image, is := s.Images[document]
		one := func() { sealed[i], failed[i] = q.sealImage(p, s, imagePrefix+string(document), image) }
		switch {
		case !is:
		case i > 0:
			group.Go(one)
		default:
			one()
		}
	}
	group.Wait()
	for i, document := range kiosk.Documents() {
		switch {
		case failed[i] != nil:
			return fmt.Errorf("%s: %w", document, failed[i])
		case sealed[i] != nil:
			p.body.Images[document] = int64(len(s.Images[document]))
			p.images[document] = sealed[i]
			p.size += int64(len(sealed[i]))
		}
	}
	return nil
}

func (q *Queue) sealImage(p *sealing, s *kiosk.Submission, part string, image []byte) ([]byte, error) {
	aad := p.head.binding(p.tag, part).AAD()
	if q.o.Relay == nil {
		return p.sealer.SealUnder(p.epoch, q.buffer(), aad, image)
	}
	envelope, err := seal.SealEnvelope(q.o.Relay, p.head.envelope(s.CorrelationID, part), image)
	if err != nil {
		return nil, err
	}
	return p.epoch.Wrap(aad, envelope)
}

// sealMeta returns the part "meta" with the token.
func (s *sealing) sealMeta(token string) ([]byte, error) {
	b := s.body
	b.Token = token
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false) // six bytes for one: more than Admit makes room for
	err := enc.Encode(b)
	defer clear(plain.Bytes())
	if err != nil {
		return nil, errors.New("metadata is not JSON") // the cause could quote it
	}
	sealed, err := s.sealer.SealUnder(s.epoch, nil, s.head.binding(s.tag, metaKey).AAD(), plain.Bytes())
	if err != nil {
		return nil, fmt.Errorf("meta: %w", err)
	}
	return sealed, nil
}

// store writes a record. Each image has a bucket of its own: a bucket's values
// share pages, and pages are written whole, so marking a step would otherwise
// write the images again.
func (s *sealing) store(w *writing) error {
	pending := w.tx.Bucket([]byte(pendingBucket))
	pending.FillPercent = 0.9 // keys come in order
	n, err := pending.NextSequence()
	if err != nil {
		return err
	}
	k := recordKey(n, s.tag, s.head.Record)
	record, err := pending.CreateBucket(k)
	if err != nil {
		return err
	}
	if err := s.head.put(record); err != nil {
		return err
	}
	if err := record.Put([]byte(metaKey), s.meta); err != nil {
		return err
	}
	for document, sealed := range s.images {
		image, err := record.CreateBucket([]byte(imagePrefix + string(document)))
		if err != nil {
			return err
		}
		if err := image.Put([]byte(sealedKey), sealed); err != nil {
			return err
		}
	}
	w.counts.records++
	w.counts.bytes += s.size
	w.move(s.head.Record, pendingBucket, k)
	return nil
}

// succeed settles earlier attempts that waited for the capture s.
func (q *Queue) succeed(w *writing, s *kiosk.Submission, tags [][]byte) error {
	for _, id := range w.tagged(tags) {
		dead, k := w.find(id, deadBucket)
		if k == nil {
			continue
		}
		h, err := readHead(dead.Bucket(k), k)
		if err != nil || h.Reason != kiosk.NeedsRecapture || h.Session != s.Session || h.Attempt >= s.Attempt {
			continue
		}
		if err := q.settle(w, dead, k, h, end{why: whySettled, Receipt: kiosk.Receipt{Action: kiosk.Retry, Reason: h.Reason}}); err != nil {
			return err
		}
	}
	return nil
}

// Used reports whether a record pending, dead or in history has the
// correlation id. The file holds a keyed hash of it only. History is bounded:
// an id that fell out of it is no longer known.
func (q *Queue) Used(ctx context.Context, correlationID string) (bool, error) {
	tags := q.tags(correlationID)
	used := false
	err := q.peek(ctx, func() { used = q.index.used(tags) })
	if err != nil {
		return false, fmt.Errorf("look up correlation id: %w", err)
	}
	return used, nil
}

// Pending returns the records that wait for delivery, oldest first.
func (q *Queue) Pending(ctx context.Context) ([]kiosk.RecordID, error) {
	var ids []kiosk.RecordID
	err := q.peek(ctx, func() {
		ids = make([]kiosk.RecordID, len(q.index.pending))
		for i, k := range q.index.pending {
			ids[i] = kiosk.RecordID(k[sequenceSize+tagSize:])
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list pending: %w", err)
	}
	return ids, nil
}

// Job returns all of a pending record but its images. It returns
// kiosk.ErrNoRecord if none is pending under id, and kiosk.ErrSealBroken if
// the record does not open. Where images and metadata are sealed for a relay,
// Metadata is an object whose only member, "livekiosk_sealed", is the envelope
// of the metadata in base64.
func (q *Queue) Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error) {
	var meta, marks []byte
	f, err := q.read(ctx, id, func(record *bbolt.Bucket) {
		meta, marks = bytes.Clone(record.Get([]byte(metaKey))), bytes.Clone(record.Get([]byte(marksKey)))
	})
	if err != nil {
		return kiosk.Job{}, fmt.Errorf("job %s: %w", id, err)
	}
	b, p, err := f.open(meta, marks)
	if err != nil {
		return kiosk.Job{}, fmt.Errorf("job %s: %w", id, q.still(f, err))
	}
	return kiosk.Job{
		Record: id, Session: b.Session, Attempt: f.head.Attempt, AttemptsLeft: b.AttemptsLeft,
		CorrelationID: b.CorrelationID, Token: b.Token, UserID: b.UserID, UserIDType: b.UserIDType,
		Locale: b.Locale, Metadata: b.Metadata, Queued: b.Queued,
		Marks: p.marks(),
	}, nil
}

// Image returns one image of a pending record, which the caller owns and
// clears, or, of a record that is sealed for a relay, the envelope with it. It
// lies in the memory of into, which is replaced where it is too small, or
// elsewhere; nil: always elsewhere. It returns kiosk.ErrNoRecord if
// the record is not pending or was put without that document, and
// kiosk.ErrSealBroken if the image does not open.
func (q *Queue) Image(ctx context.Context, id kiosk.RecordID, document kiosk.Document, into *[]byte) ([]byte, error) {
	image, err := q.image(ctx, id, document, into)
	if err != nil {
		return nil, fmt.Errorf("image %s of %s: %w", document, id, err)
	}
	return image, nil
}

func (q *Queue) image(ctx context.Context, id kiosk.RecordID, document kiosk.Document, into *[]byte) ([]byte, error) {
	if into == nil {
		into = new([]byte)
	}
	part := imagePrefix + string(document)
	var meta, sealed []byte
	f, err := q.read(ctx, id, func(record *bbolt.Bucket) {
		if image := record.Bucket([]byte(part)); image != nil {
			if value := image.Get([]byte(sealedKey)); value != nil {
				*into = append((*into)[:0], value...)
				sealed = *into
			}
		}
		if sealed == nil {
			meta = bytes.Clone(record.Get([]byte(metaKey)))
		}
	})
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		var b body
		if b, _, err = f.open(meta, nil); err != nil {
			return nil, q.still(f, err)
		}
		if _, was := b.Images[document]; was {
			return nil, fmt.Errorf("is gone: %w", kiosk.ErrSealBroken)
		}
		return nil, fmt.Errorf("was not captured: %w", kiosk.ErrNoRecord)
	}
	image, err := f.openImage(part, sealed)
	if err != nil {
		return nil, q.still(f, err)
	}
	return image, nil
}

// A found record is one that was read, with what opens its parts.
type found struct {
	id     kiosk.RecordID
	at     spot
	head   head
	tag    []byte
	layers layers
}

// read calls fn with a pending record. Whatever cannot be read of the record
// is kiosk.ErrSealBroken: it is that record's trouble and not the file's,
// which was walked when it was opened.
func (q *Queue) read(ctx context.Context, id kiosk.RecordID, fn func(*bbolt.Bucket)) (found, error) {
	q.mu.Lock()
	at := q.index.spots[id]
	q.mu.Unlock()
	f := found{id: id, at: at}
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		if at.bucket != pendingBucket {
			return kiosk.ErrNoRecord
		}
		k := []byte(at.key)
		record := tx.Bucket([]byte(pendingBucket)).Bucket(k)
		if record == nil { // not pending any more since then
			return kiosk.ErrNoRecord
		}
		if err := q.find(&f, record, k); err != nil {
			return err
		}
		fn(record)
		return nil
	})
	switch {
	case panicked(err):
		return found{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	case errors.Is(err, kiosk.ErrSealBroken):
		return found{}, q.still(f, err)
	}
	return f, err
}

// find fills in the record under k.
func (q *Queue) find(f *found, record *bbolt.Bucket, k []byte) (err error) {
	if f.head, err = readHead(record, k); err != nil {
		return fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	f.tag, _ = splitKey(k)
	f.layers, err = q.layers(f.head.Key, f.head.Slot)
	return err
}

// still returns why a record did not open: its key was destroyed since it was
// read, if it is where it was no more, or the outbox closed.
func (q *Queue) still(f found, err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped != nil {
		return q.stopped
	}
	if q.index.spots[f.id] != f.at {
		return kiosk.ErrNoRecord
	}
	return err
}

// open opens "meta" and, unless they are nil, "marks".
func (f found) open(meta, marks []byte) (body, progress, error) {
	plain, err := f.layers.open(f.head.binding(f.tag, metaKey), meta)
	if err != nil {
		return body{}, progress{}, err
	}
	defer clear(plain)
	b, err := decodeBody(plain)
	if err != nil {
		return body{}, progress{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	if marks == nil {
		return b, progress{}, nil
	}
	p, err := f.openMarks(marks)
	return b, p, err
}

func (f found) openMarks(marks []byte) (progress, error) {
	plain, err := f.layers.recall(f.head.binding(f.tag, marksKey), marks)
	if err != nil {
		return progress{}, err
	}
	defer clear(plain)
	p, err := decodeProgress(plain)
	if err != nil {
		return progress{}, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
	}
	return p, nil
}

// openImage opens an image, or unwraps its envelope.
func (f found) openImage(part string, wrapped []byte) ([]byte, error) {
	b := f.head.binding(f.tag, part)
	if f.head.Relay == "" {
		return f.layers.open(b, wrapped)
	}
	return f.layers.unwrap(b, wrapped)
}

// Mark replaces a pending record's marks. They are durable when Mark returns
// nil. It returns kiosk.ErrNoRecord if none is pending under id.
func (q *Queue) Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	plain, err := json.Marshal(newProgress(m))
	if err == nil {
		err = q.mark(ctx, id, m, plain)
		clear(plain)
	}
	if err != nil {
		return fmt.Errorf("mark %s: %w", id, err)
	}
	return nil
}

func (q *Queue) mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks, plain []byte) error {
	return q.update(ctx, func(w *writing) error {
		pending, k := w.find(id, pendingBucket)
		if k == nil {
			return kiosk.ErrNoRecord
		}
		record := pending.Bucket(k)
		var f found
		if err := q.find(&f, record, k); err != nil {
			return err
		}
		h := f.head
		sealed, err := f.layers.keep(h.binding(f.tag, marksKey), plain)
		if err != nil {
			return err
		}
		weakMark(q.db)
		h.State, h.SubmissionID, h.Changed = state(record, m), m.SubmissionID, time.Now().UTC().Round(0)
		if err := h.put(record); err != nil {
			return err
		}
		return record.Put([]byte(marksKey), sealed)
	})
}

// state is how far a record is, in the words of its head.
func state(record *bbolt.Bucket, m kiosk.Marks) string {
	uploaded := true
	c := record.Cursor()
	for k, _ := c.Seek([]byte(imagePrefix)); k != nil; k, _ = c.Next() {
		document, is := strings.CutPrefix(string(k), imagePrefix)
		if !is {
			break
		}
		uploaded = uploaded && m.Uploaded[kiosk.Document(document)]
	}
	switch {
	case m.Confirmed:
		return stateConfirmed
	case uploaded:
		return stateUploaded
	case m.SubmissionID != "":
		return stateSubmitted
	default:
		return stateQueued
	}
}

// Settle removes a record's images and metadata and keeps a line of history.
// A record settled before is left as it is and is no error; a dead letter can
// still be settled. It returns kiosk.ErrNoRecord if id is unknown.
func (q *Queue) Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	switch r.Action {
	case kiosk.Retry, kiosk.ExitSuccess, kiosk.ExitFailure, kiosk.ExitError:
	case kiosk.PollAgain:
		return fmt.Errorf("settle %s: action %s settles nothing", id, r.Action)
	default:
		return fmt.Errorf("settle %s: unknown action %q", id, r.Action)
	}
	if err := q.weakSettle(ctx, id); err != nil {
		return fmt.Errorf("settle %s: %w", id, err)
	}
	err := q.update(ctx, func(w *writing) error {
		bucket, k := w.find(id, pendingBucket, deadBucket)
		if k == nil {
			if _, k = w.find(id, historyBucket); k != nil {
				return errUnchanged
			}
			return kiosk.ErrNoRecord
		}
		h, err := readHead(bucket.Bucket(k), k)
		if err != nil {
			// The gateway's word stands even where the head no longer reads.
			h = head{Record: id, Session: r.Session}
		}
		return q.settle(w, bucket, k, h, end{why: whySettled, Receipt: r})
	})
	if err != nil {
		return fmt.Errorf("settle %s: %w", id, err)
	}
	return nil
}

// An end is how a record ended.
type end struct {
	kiosk.Receipt

	why string // for the proof of its erasure
	by  string // who ended it; "": nobody in person
}

// settle moves the record under k in bucket, whose head is h, to history.
func (q *Queue) settle(w *writing, bucket *bbolt.Bucket, k []byte, h head, r end) error {
	w.counts.tally(h, weigh(bucket.Bucket(k)), -1)
	w.erase(h.Slot, erasure{record: h.Record, why: r.why})
	if err := bucket.DeleteBucket(k); err != nil {
		return err
	}
	kept, err := json.Marshal(receipt{
		Format: Format, Record: h.Record, Session: h.Session, Attempt: h.Attempt, Review: h.Review,
		SubmissionID: first(r.SubmissionID, h.SubmissionID), Action: r.Action, Reason: shorten(r.Reason), By: r.by,
		Queued: h.Queued, Settled: time.Now().UTC().Round(0),
	})
	if err != nil {
		return err
	}
	history := w.tx.Bucket([]byte(historyBucket))
	if err := history.Put(k, kept); err != nil {
		return err
	}
	w.counts.history++
	w.ended = append(w.ended, string(k))
	w.move(h.Record, historyBucket, k)
	return q.forget(w, history)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// forget removes the history beyond its limit that ended longest ago. By their
// keys it would be what was put longest ago: a letter that staff gave up after
// weeks would leave no line.
func (q *Queue) forget(w *writing, history *bbolt.Bucket) error {
	if w.counts.history <= q.o.HistoryMax {
		return nil
	}
	for _, key := range slices.Concat(w.index.ended, w.ended) {
		k := []byte(key)
		if w.counts.history <= q.o.HistoryMax {
			break
		}
		if history.Get(k) == nil {
			continue // forgotten by a call before, or never one of the outbox's
		}
		if err := history.Delete(k); err != nil {
			return err
		}
		w.counts.history--
		_, id := splitKey(k)
		if _, at := w.find(id, historyBucket); bytes.Equal(at, k) {
			w.moved[id] = spot{}
		}
	}
	return nil
}

// transfer moves a record from one bucket to another and returns it there with
// its key. It returns errUnchanged if it was there already, and
// kiosk.ErrNoRecord if it is in neither. bbolt forgets what was written to the
// record before in the same transaction.
func (w *writing) transfer(id kiosk.RecordID, from, to string) (record *bbolt.Bucket, k []byte, err error) {
	source, k := w.find(id, from)
	if k == nil {
		if _, k = w.find(id, to); k != nil {
			return nil, nil, errUnchanged
		}
		return nil, nil, kiosk.ErrNoRecord
	}
	target := w.tx.Bucket([]byte(to))
	if err = source.MoveBucket(k, target); err != nil {
		return nil, nil, err
	}
	w.move(id, to, k)
	return target.Bucket(k), k, nil
}

// Dead sets a record aside that cannot be delivered, with the reason for
// staff. It stays sealed in the file and counts towards the limits, until Revive
// or Drop decides about it, but is no longer pending. A dead record is left
// as it is and is no error. Dead returns kiosk.ErrNoRecord if id is neither
// pending nor dead.
func (q *Queue) Dead(ctx context.Context, id kiosk.RecordID, reason string) error {
	err := q.update(ctx, func(w *writing) error {
		record, k, err := w.transfer(id, pendingBucket, deadBucket)
		if err != nil {
			return err
		}
		h, err := readHead(record, k)
		if err != nil {
			// Poison by its head: write one that reads.
			h = head{Format: Format, Record: id, Attempt: 1}
		}
		h.State, h.Reason, h.Changed = stateDead, shorten(reason), time.Now().UTC().Round(0)
		return h.put(record)
	})
	if err != nil {
		return fmt.Errorf("set %s aside: %w", id, err)
	}
	return nil
}

// Recapture sets a record aside whose images the gateway turned down when
// nobody was there any more to take new ones: a dead letter with the reason
// kiosk.NeedsRecapture, for staff to call the person again. Its images, its
// metadata and its marks are removed, since nothing can come of them; the
// submission id stays. It ends when Put takes a later attempt of the session,
// by Settle or by Drop. Such letters take no room of captures: the newest
// Options.HistoryMax are kept, and older ones go to history with kiosk.Retry,
// which is logged.
//
// A record that was set aside so before, or settled, is left as it is and is
// no error. Recapture returns kiosk.ErrNoRecord if id is unknown.
func (q *Queue) Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	var dropped []kiosk.RecordID
	err := q.update(ctx, func(w *writing) error {
		dropped = nil
		bucket, k := w.find(id, pendingBucket, deadBucket)
		if k == nil {
			if _, k = w.find(id, historyBucket); k != nil {
				return errUnchanged
			}
			return kiosk.ErrNoRecord
		}
		record := bucket.Bucket(k)
		h, err := readHead(record, k)
		if err != nil {
			h = head{Format: Format, Record: id, Session: r.Session, Attempt: 1}
		}
		size := weigh(record)
		if h.letter(size) {
			return errUnchanged
		}
		w.counts.tally(h, size, -1)
		if err = bucket.DeleteBucket(k); err != nil {
			return err
		}
		if record, err = w.tx.Bucket([]byte(deadBucket)).CreateBucket(k); err != nil {
			return err
		}
		w.move(id, deadBucket, k)
		w.erase(h.Slot, erasure{record: id, why: whyRecapture})
		h.Slot = nil
		h.State, h.Reason, h.Changed = stateDead, kiosk.NeedsRecapture, time.Now().UTC().Round(0)
		h.SubmissionID = first(r.SubmissionID, h.SubmissionID)
		w.counts.tally(h, 0, 1)
		if err = h.put(record); err != nil {
			return err
		}
		dropped, err = q.thin(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("set %s aside for a new capture: %w", id, err)
	}
	for _, old := range dropped {
		q.o.Log.WarnContext(ctx, "too many records need a new capture: the oldest is no longer listed as one", slog.String("record", string(old)))
	}
	return nil
}

// Entries returns what staff may see: pending records oldest first, then dead
// letters oldest first, then history newest first. Bytes of settled records
// are 0: their images are gone.
func (q *Queue) Entries(ctx context.Context) ([]kiosk.Entry, error) {
	var entries []kiosk.Entry
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		entries = nil
		for _, of := range []struct {
			name  string
			state string
		}{{pendingBucket, stateQueued}, {deadBucket, stateDead}} {
			bucket := tx.Bucket([]byte(of.name))
			err := bucket.ForEachBucket(func(k []byte) error {
				record := bucket.Bucket(k)
				h, err := readHead(record, k)
				if err != nil {
					_, id := splitKey(k)
					h = head{Record: id, State: of.state, Reason: "its head does not read"}
				}
				entries = append(entries, h.entry(weigh(record)))
				return nil
			})
			if err != nil {
				return err
			}
		}
		c := tx.Bucket([]byte(historyBucket)).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			r, err := decodeReceipt(v)
			if err != nil {
				_, id := splitKey(k)
				r = receipt{Record: id, Reason: "its history does not read"}
			}
			entries = append(entries, r.entry())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	return entries, nil
}
