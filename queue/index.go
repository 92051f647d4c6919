package queue

import (
	"slices"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// A spot is where a record is in the file. The zero spot is nowhere.
type spot struct {
	bucket string // pendingBucket, deadBucket or historyBucket
	key    string
}

// An index knows where each record is, so that nothing needs to search the
// file. It is made when the file is opened and follows each commit. Of records
// that share an id, which only a file from elsewhere can have, it knows one.
type index struct {
	spots   map[kiosk.RecordID]spot
	tags    map[string][]kiosk.RecordID // by the tag of their correlation id
	pending []string                    // keys in pending, in their order
	ended   []string                    // keys in history, in the order in which they came there
	slots   map[uint32]int              // how many records and bookings are under each epoch key: more than one in a changed file only
}

func newIndex() *index {
	return &index{spots: map[kiosk.RecordID]spot{}, tags: map[string][]kiosk.RecordID{}, slots: map[uint32]int{}}
}

// add notes what the file has under key, unless the id is known already.
func (x *index) add(bucket string, key []byte) {
	if _, id := splitKey(key); id != "" && x.spots[id] == (spot{}) {
		x.move(id, spot{bucket: bucket, key: string(key)})
	}
}

// move notes that record id is at another place now, or nowhere.
func (x *index) move(id kiosk.RecordID, to spot) {
	from := x.spots[id]
	if from.bucket == pendingBucket {
		if i, is := slices.BinarySearch(x.pending, from.key); is {
			x.pending = slices.Delete(x.pending, i, i+1)
		}
	}
	if to.bucket == pendingBucket {
		i, _ := slices.BinarySearch(x.pending, to.key)
		x.pending = slices.Insert(x.pending, i, to.key)
	}
	if from.bucket == historyBucket {
		if i := slices.Index(x.ended, from.key); i >= 0 {
			x.ended = slices.Delete(x.ended, i, i+1)
		}
	}
	if to.bucket == historyBucket {
		x.ended = append(x.ended, to.key)
	}
	// A record keeps its key, and so its tag, for life.
	switch {
	case to == spot{}:
		tag, _ := splitKey([]byte(from.key))
		x.tags[string(tag)] = slices.DeleteFunc(x.tags[string(tag)], func(other kiosk.RecordID) bool { return other == id })
		if len(x.tags[string(tag)]) == 0 {
			delete(x.tags, string(tag))
		}
		delete(x.spots, id)
		return
	case from == spot{}:
		tag, _ := splitKey([]byte(to.key))
		x.tags[string(tag)] = append(x.tags[string(tag)], id)
	}
	x.spots[id] = to
}

// counts are what the limits need to know.
type counts struct {
	records  int   // pending and dead, but for letters
	bytes    int64 // sealed, pending and dead
	letters  int   // dead without parts: see Recapture
	history  int   // settled
	bookings int
}

// used reports whether a record has one of the tags.
func (x *index) used(tags [][]byte) bool {
	return slices.ContainsFunc(tags, func(tag []byte) bool { return len(x.tags[string(tag)]) > 0 })
}

// A writing is a transaction under way and what it changes in memory once it
// is committed. Its calls see what those before them did.
type writing struct {
	tx     *bbolt.Tx
	id     int // of tx
	counts counts
	index  *index                  // as committed
	moved  map[kiosk.RecordID]spot // since then
	ended  []string                // keys that came to history since then
	taken  []uint32                // epoch keys under which something is from now on
	left   []erasure               // epoch keys under which something is no longer
	hurry  bool                    // a visitor waits for it
	proof  proof                   // with this transaction's lines
	told   int                     // lines of what earlier ones destroyed
}

// find returns the bucket and the key of record id, if it is in one of the
// named buckets. Both are nil if it is not.
func (w *writing) find(id kiosk.RecordID, names ...string) (*bbolt.Bucket, []byte) {
	at, is := w.moved[id]
	if !is {
		at = w.index.spots[id]
	}
	if !slices.Contains(names, at.bucket) {
		return nil, nil
	}
	return w.tx.Bucket([]byte(at.bucket)), []byte(at.key)
}

// move notes that record id is under key in bucket now.
func (w *writing) move(id kiosk.RecordID, bucket string, key []byte) {
	w.moved[id] = spot{bucket: bucket, key: string(key)}
}

// tagged returns the records whose correlation id has one of the tags.
func (w *writing) tagged(tags [][]byte) []kiosk.RecordID {
	var out []kiosk.RecordID
	for _, tag := range tags {
		for _, id := range w.index.tags[string(tag)] {
			if _, is := w.moved[id]; !is {
				out = append(out, id)
			}
		}
		for id, at := range w.moved {
			if got, _ := splitKey([]byte(at.key)); string(got) == string(tag) {
				out = append(out, id)
			}
		}
	}
	return out
}
