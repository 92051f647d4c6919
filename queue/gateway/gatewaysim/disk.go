package gatewaysim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The state directory holds one bbolt file with a bucket for each kind of
// record. A record is a CRC-32C of its JSON, and then its JSON. An image lies
// in a bucket of its own, so that writing one does not copy its neighbours.
const (
	stateFile   = "state.db"
	stateFormat = "gatewaysim state 1"

	bucketMeta        = "meta"
	bucketTokens      = "tokens"
	bucketSessions    = "sessions"
	bucketSubmissions = "submissions"
	bucketCallbacks   = "callbacks"
	bucketEvents      = "events"
	bucketImages      = "images"
)

// records are the buckets of JSON records.
func records() []string {
	return []string{bucketMeta, bucketTokens, bucketSessions, bucketSubmissions, bucketCallbacks, bucketEvents}
}

// A change is one record that is written, or deleted if it has no value.
type change struct {
	bucket, key string
	value       []byte
}

// A disk makes changes durable in the order in which they were queued. Those
// who wait at the same time share one commit. What is queued while whole is
// held belongs together: a kill leaves all of it or nothing.
type disk struct {
	dir   *os.File // holds the lock
	db    *bolt.DB
	whole sync.Locker // taken before mu

	turn sync.Mutex // of the one who commits

	mu      sync.Mutex
	pending []change
	queued  uint64 // changes so far
	done    uint64 // of them, those that are durable
	err     error  // the first failure; nothing is written after it
	failed  chan struct{}
}

// openDisk opens or makes a state directory and locks it. whole is that of
// disk.
func openDisk(path string, whole sync.Locker) (_ *disk, err error) {
	if err = os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	if err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another simulator is using it: stop that one or choose another directory: %w", err)
	}
	file := filepath.Join(path, stateFile)
	switch _, err = os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		if err = create(dir, file); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err = complete(file); err != nil {
			return nil, damaged(err)
		}
	}
	var db *bolt.DB
	err = guarded(func() (err error) {
		db, err = bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30})
		return err
	})
	if err != nil {
		return nil, damaged(err)
	}
	return &disk{dir: dir, db: db, whole: whole, failed: make(chan struct{})}, nil
}

// guarded makes an error of what a damaged file does to bbolt, which panics or
// touches memory that is not there.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return do()
}

// damaged says what to do about a state that cannot be used.
func damaged(err error) error {
	return fmt.Errorf("%s is damaged or not a simulator's: move the directory away or choose another: %w", stateFile, err)
}

// create makes an empty state so that it is there either whole or not at all.
func create(dir *os.File, file string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	const fresh = stateFile + ".new" // left by one that was killed here
	for _, n := range names {
		if n != fresh {
			return fmt.Errorf("it holds %q and no %s: give an empty directory, or one that a simulator made", n, stateFile)
		}
	}
	temporary := filepath.Join(filepath.Dir(file), fresh)
	if err = os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temporary, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("make %s: %w", stateFile, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range append(records(), bucketImages) {
			if _, taken := tx.CreateBucket([]byte(name)); taken != nil {
				return taken
			}
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte("format"), encode(stateFormat))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("make %s: %w", stateFile, err)
	}
	if err = os.Rename(temporary, file); err != nil {
		return err
	}
	return dir.Sync()
}

// complete checks that a bbolt file is as long as it says. One that is cut short
// would kill the process when it is read (bbolt, page.go and meta: a page
// header of 16 bytes, then magic, version, page size, flags, root, freelist and
// the number of pages).
func complete(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var head [80]byte
	var size, newest uint64
	for at := range 2 {
		if _, err = f.ReadAt(head[:], int64(at)*int64(max(size, 1))); err != nil {
			return fmt.Errorf("it is cut short: %w", err)
		}
		meta := head[16:]
		page := uint64(binary.NativeEndian.Uint32(meta[8:]))
		if binary.NativeEndian.Uint32(meta) != 0xED0CDAED || page < 512 || page > 1<<16 {
			return errors.New("it is no bbolt file")
		}
		size = page
		if txid := binary.NativeEndian.Uint64(meta[48:]); txid >= newest {
			newest = txid
			pages := binary.NativeEndian.Uint64(meta[40:])
			if pages > uint64(info.Size())/page {
				return fmt.Errorf("it is cut short: %d bytes of %d pages", info.Size(), pages)
			}
		}
	}
	return nil
}

// encode writes a record.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // only for values that this package did not build
		panic(err)
	}
	return seal(b)
}

// seal puts a checksum before a record.
func seal(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, len(b)+4), sum(b)), b...)
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// decodeRecord reads what encode wrote.
func decodeRecord(b []byte, v any) error {
	if len(b) < 4 || sum(b[4:]) != binary.BigEndian.Uint32(b) {
		return errors.New("its checksum is wrong")
	}
	return json.Unmarshal(b[4:], v)
}

// view reads in one transaction.
func (d *disk) view(do func(*bolt.Tx) error) error {
	return guarded(func() error { return d.db.View(do) })
}

// load shows every record of a bucket, in the order of the keys. A value is
// valid only until visit returns.
func (d *disk) load(bucket string, visit func(key string, value []byte) error) error {
	return d.view(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		if b == nil {
			return fmt.Errorf("there is no %s", bucket)
		}
		return b.ForEach(func(k, v []byte) error {
			if err := visit(string(k), v); err != nil {
				return fmt.Errorf("%s %q: %w", bucket, k, err)
			}
			return nil
		})
	})
}

// image reads an image; nil if there is none.
func (d *disk) image(key string) (img []byte, err error) {
	err = d.view(func(tx *bolt.Tx) error {
		if b := tx.Bucket([]byte(bucketImages)).Bucket([]byte(key)); b != nil {
			img = append(img, b.Get([]byte("jpeg"))...)
		}
		return nil
	})
	return img, err
}

// queue adds changes to the next commit. It never blocks on the disk.
func (d *disk) queue(changes ...change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.pending = append(d.pending, changes...)
		d.queued += uint64(len(changes))
	}
}

// flush returns when everything that was queued before is durable. whole must
// not be held.
func (d *disk) flush() error {
	d.mu.Lock()
	want := d.queued
	d.mu.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
	batch, upTo, err := d.take(want)
	if err != nil || batch == nil {
		return err
	}
	err = guarded(func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			for _, c := range batch {
				if bad := c.apply(tx); bad != nil {
					return fmt.Errorf("%s %q: %w", c.bucket, c.key, bad)
				}
			}
			return nil
		})
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.err = fmt.Errorf("write the state: %w", err)
		close(d.failed)
		return d.err
	}
	d.done = upTo
	return nil
}

// take returns what is to be written, and how many changes there are with it,
// unless those that are wanted are durable.
func (d *disk) take(want uint64) (batch []change, upTo uint64, err error) {
	d.whole.Lock()
	defer d.whole.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil || d.done >= want {
		return nil, 0, d.err
	}
	batch, d.pending = d.pending, nil
	return batch, d.queued, nil
}

func (c change) apply(tx *bolt.Tx) error {
	b, key := tx.Bucket([]byte(c.bucket)), []byte(c.key)
	switch {
	case c.bucket != bucketImages && c.value != nil:
		return b.Put(key, c.value)
	case c.bucket != bucketImages:
		return b.Delete(key)
	}
	if b.Bucket(key) != nil {
		if err := b.DeleteBucket(key); err != nil {
			return err
		}
	}
	if c.value == nil {
		return nil
	}
	image, err := b.CreateBucket(key)
	if err != nil {
		return err
	}
	return image.Put([]byte("jpeg"), c.value)
}

// Close writes what is queued and unlocks the directory.
func (d *disk) Close() error {
	return errors.Join(d.flush(), d.db.Close(), io.Closer(d.dir).Close())
}
