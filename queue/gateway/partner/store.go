package partner

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A store keeps the flows on disk: what it has acknowledged survives a crash.
// It is safe for concurrent use.
//
// Buckets: "flows" holds a flow by its correlation id, and their number as its
// sequence; "age" orders them as
// they came, and "due" by the time at which the gateway is asked in Unix
// nanoseconds (both: 8 bytes, big endian, then the correlation id);
// "submissions" leads from a submission id to its flow; "launched" holds the
// correlation ids whose kiosk has something left to say, and "tokens" those
// that have a user token, by the time at which it expires (as "due").
// The file's free pages hold what was in them until they are used again.
type store struct {
	db   *bbolt.DB
	keep int
}

const storeFile = "partner.db"

func bucketNames() []string {
	return []string{"flows", "age", "due", "submissions", "launched", "tokens"}
}

// openStore opens the file in dir, or makes it: whole under another name, so
// that a crash leaves none or a good one.
func openStore(dir string, keep int) (*store, error) {
	path := filepath.Join(dir, storeFile)
	options := &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path, options); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	}
	db, err := bbolt.Open(path, 0o600, options)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: another process uses it", path)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s := &store{db: db, keep: keep}
	err = db.View(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if tx.Bucket([]byte(name)) == nil {
				return errors.New("it is not a partner backend's file")
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return s, nil
}

func create(path string, options *bbolt.Options) error {
	fresh := path + ".new"
	if err := os.RemoveAll(fresh); err != nil { // left by a crash
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, options)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if _, refused := tx.CreateBucket([]byte(name)); refused != nil {
				return refused
			}
		}
		return nil
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err = os.Rename(fresh, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *store) close() error { return s.db.Close() }

// flow returns a flow, and nil if there is none.
func (s *store) flow(correlation string) (f *flow, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		f, err = load(tx, correlation)
		return err
	})
	return f, err
}

func load(tx *bbolt.Tx, correlation string) (*flow, error) {
	b := tx.Bucket([]byte("flows")).Get([]byte(correlation))
	if b == nil {
		return nil, nil //nolint:nilnil // absence is an ordinary answer here, and checked by all callers
	}
	var f flow
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("flow on disk: %w", err)
	}
	return &f, nil
}

// owner returns the correlation id of the flow that a submission belongs to.
func (s *store) owner(submission string) (correlation string) {
	_ = s.db.View(func(tx *bbolt.Tx) error { // never fails
		correlation = string(tx.Bucket([]byte("submissions")).Get([]byte(submission)))
		return nil
	})
	return correlation
}

// change runs fn on a flow, which is new if there was none, and keeps it
// unless fn fails. It returns the flow as it is then. Of too many flows the
// oldest are forgotten.
func (s *store) change(correlation string, now time.Time, fn func(*flow) error) (f *flow, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		old, broken := load(tx, correlation)
		if broken != nil {
			return broken
		}
		f = &flow{CorrelationID: correlation, Begun: now}
		if old != nil {
			*f = *old
			f.Words, f.Heard = append([]Word(nil), old.Words...), append([]string(nil), old.Heard...)
		}
		if broken = fn(f); broken != nil {
			return broken
		}
		if broken = s.put(tx, old, f); broken != nil {
			return broken
		}
		if old != nil {
			return nil
		}
		flows := tx.Bucket([]byte("flows"))
		if n := flows.Sequence(); n < uint64(s.keep) {
			return flows.SetSequence(n + 1)
		}
		return forgetOldest(tx)
	})
	return f, err
}

// put writes f in the place of old.
func (s *store) put(tx *bbolt.Tx, old, f *flow) error {
	id := []byte(f.CorrelationID)
	if old == nil {
		age := tx.Bucket([]byte("age"))
		var err error
		if f.Number, err = age.NextSequence(); err != nil {
			return err
		}
		if err = age.Put(key(f.Number, f.CorrelationID), nil); err != nil {
			return err
		}
	} else if err := unschedule(tx, old); err != nil {
		return err
	}
	if f.Token != "" {
		if err := tx.Bucket([]byte("tokens")).Put(tokenKey(f), nil); err != nil {
			return err
		}
	}
	if !f.Due.IsZero() {
		if err := tx.Bucket([]byte("due")).Put(dueKey(f), nil); err != nil {
			return err
		}
	}
	for _, w := range f.Words {
		if w.SubmissionID == "" {
			continue
		}
		if err := tx.Bucket([]byte("submissions")).Put([]byte(w.SubmissionID), id); err != nil {
			return err
		}
	}
	launched := tx.Bucket([]byte("launched"))
	if f.Session != "" && (f.Verdict == nil || !f.Verdict.Last) {
		if err := launched.Put(id, nil); err != nil {
			return err
		}
	} else if err := launched.Delete(id); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte("flows")).Put(id, b)
}

func forgetOldest(tx *bbolt.Tx) error {
	age := tx.Bucket([]byte("age"))
	oldest, _ := age.Cursor().First()
	f, err := load(tx, string(oldest[8:]))
	if err != nil {
		return err
	}
	for _, w := range f.Words {
		if err := tx.Bucket([]byte("submissions")).Delete([]byte(w.SubmissionID)); err != nil {
			return err
		}
	}
	id := []byte(f.CorrelationID)
	return errors.Join(unschedule(tx, f), tx.Bucket([]byte("launched")).Delete(id), age.Delete(oldest), tx.Bucket([]byte("flows")).Delete(id))
}

// unschedule takes a flow out of the buckets that are ordered by time.
func unschedule(tx *bbolt.Tx, f *flow) (err error) {
	if !f.Due.IsZero() {
		err = tx.Bucket([]byte("due")).Delete(dueKey(f))
	}
	if f.Token != "" {
		err = errors.Join(err, tx.Bucket([]byte("tokens")).Delete(tokenKey(f)))
	}
	return err
}

// expired returns up to most flows whose token has expired.
func (s *store) expired(now time.Time, most int) (correlations []string) {
	_ = s.db.View(func(tx *bbolt.Tx) error { // never fails
		c := tx.Bucket([]byte("tokens")).Cursor()
		for k, _ := c.First(); k != nil && len(correlations) < most; k, _ = c.Next() {
			if int64(binary.BigEndian.Uint64(k)) > now.UnixNano() {
				break
			}
			correlations = append(correlations, string(k[8:]))
		}
		return nil
	})
	return correlations
}

// next returns the flow that is due first, and when.
func (s *store) next() (correlation string, due time.Time) {
	_ = s.db.View(func(tx *bbolt.Tx) error { // never fails
		if k, _ := tx.Bucket([]byte("due")).Cursor().First(); k != nil {
			due = time.Unix(0, int64(binary.BigEndian.Uint64(k)))
			correlation = string(k[8:])
		}
		return nil
	})
	return correlation, due
}

// launched returns up to most flows whose kiosk has something left to say.
func (s *store) launched(most int) (correlations []string) {
	_ = s.db.View(func(tx *bbolt.Tx) error { // never fails
		c := tx.Bucket([]byte("launched")).Cursor()
		for k, _ := c.First(); k != nil && len(correlations) < most; k, _ = c.Next() {
			correlations = append(correlations, string(k))
		}
		return nil
	})
	return correlations
}

// dueKey orders by time. Times before 1970 do not occur.
func dueKey(f *flow) []byte { return key(uint64(f.Due.UnixNano()), f.CorrelationID) }

// tokenKey likewise.
func tokenKey(f *flow) []byte { return key(uint64(f.Expires.UnixNano()), f.CorrelationID) }

func key(n uint64, correlation string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, n), correlation...)
}
