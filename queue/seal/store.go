package seal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// keyFileMax is far above the length of a key file, so that a wrong path does
// not read a disk image.
const keyFileMax = 4096

// Load reads one key from the file at path: a relay's, or one of support. The
// file must be regular, belong to this user or root, and be readable by its
// owner only. A missing file is an error that wraps fs.ErrNotExist.
func Load(path string) (*Key, error) { return load(path, privateOnly) }

// Make writes a new key into a file of mode 0600, which must not be there yet:
// else the error wraps fs.ErrExist. It appears whole or not at all, and is
// durable when Make returns. Directories that are missing are made with mode
// 0700; one that others can write to is an error, since they could put their
// own key there.
func Make(path string, kem KEM) (*Key, error) {
	key, err := Generate(kem)
	if err != nil {
		return nil, err
	}
	dir, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	defer dir.Close()
	making := makingPath(path)
	if err = key.write(making); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	// Unlike a rename, a link replaces nothing.
	err = os.Link(making, path)
	if err = cmp.Or(err, os.Remove(making)); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err = dir.Sync(); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// What others may not do with a key file.
const (
	privateOnly  fs.FileMode = 0o077
	notForOthers fs.FileMode = 0o037 // systemd gives a service's group the right to read
)

func load(path string, others fs.FileMode) (*Key, error) {
	f, err := openPrivate(path, os.O_RDONLY, others)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	defer clear(text)
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w: restore it from a backup; what was sealed for it opens with no other key", path, err)
	}
	return key, nil
}

// write makes a key file that is whole and flushed, but for its name.
func (k *Key) write(path string) error {
	if err := shred(path); err != nil { // of a process that ended half-way
		return err
	}
	text, err := k.file()
	if err != nil {
		return err
	}
	defer clear(text)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func makingPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// lockDir opens a directory of keys to write to it. The lock goes with the
// descriptor.
func lockDir(path string) (*os.File, error) {
	dir, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := onlyOurs(dir); err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// onlyOurs refuses a directory in which others could swap a key.
func onlyOurs(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("directory %s has mode %04o, so others could swap the key: chmod 0700", dir.Name(), info.Mode().Perm())
	case !ours(info):
		return fmt.Errorf("directory %s: %w", dir.Name(), ErrOwner)
	}
	return nil
}

// A StoreKind says where device keys lie.
type StoreKind string

// The kinds of store.
const (
	// CredentialStore is a directory that systemd made for one service
	// ($CREDENTIALS_DIRECTORY): LoadCredential= hands over files,
	// LoadCredentialEncrypted= also decrypts them, with a key that the TPM
	// holds. It is read-only: keys are made and rotated where the credentials
	// are made.
	CredentialStore StoreKind = "credential"

	// FileStore is a directory of files that this package makes. On the storage
	// of the outbox it protects against a look at the outbox alone.
	FileStore StoreKind = "file"
)

// The names of keys in a store.
const (
	currentName = "device.key"
	oldPrefix   = "old-" // then the fingerprint
	oldSuffix   = ".key"
)

// A Store is a directory of device keys: device.key, for which everything new
// is sealed, and old-FINGERPRINT.key, which still open what was sealed for
// them. Files are as Load wants them; the group may read a credential. Names
// that begin with a dot are files in the making or being destroyed.
type Store struct {
	Dir  string
	Kind StoreKind

	step func(string) // tests look at the directory after each step; nil otherwise
}

// Open reads every key of the store. A missing device.key is an error that
// wraps fs.ErrNotExist. A file that is not as it should be is an error that
// names it; nothing is changed.
func (s Store) Open() (*Ring, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	defer dir.Close()
	if s.Kind == FileStore {
		if err = onlyOurs(dir); err != nil {
			return nil, fmt.Errorf("key store: %w", err)
		}
	}
	// A rotation that goes on gives the current key its second name before it
	// takes its first: read in this order, no key is missed.
	current, err := load(filepath.Join(s.Dir, currentName), s.others())
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	slices.Sort(names)
	var older []*Key
	for _, name := range names {
		fingerprint, old := oldFingerprint(name)
		if !old {
			continue
		}
		path := filepath.Join(s.Dir, name)
		key, err := load(path, s.others())
		switch {
		case errors.Is(err, fs.ErrNotExist): // retired since
			continue
		case err != nil:
			return nil, fmt.Errorf("key store: %w", err)
		case key.Fingerprint() != fingerprint:
			return nil, fmt.Errorf("key store: %s holds the key %s: its name must say so", path, key.Fingerprint())
		}
		older = append(older, key)
	}
	return NewRing(current, older...), nil
}

// Create opens the store; in a file store it makes the first key where there is
// no device.key. That is durable when Create returns, since evidence sealed for
// a key that a power cut took would be lost. Two processes that call it at the
// same time get the same key.
func (s Store) Create(kem KEM) (*Ring, error) {
	if s.Kind != FileStore {
		return s.Open()
	}
	dir, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	ring, err := s.Open()
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	key, err := Generate(kem)
	if err != nil {
		return nil, err
	}
	if err := s.install(dir, key); err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	return s.Open()
}

// Rotate makes a new current key in a file store; the current one becomes an
// old one. A process that ends at any point leaves a valid store with every key
// that something may be sealed for.
func (s Store) Rotate(kem KEM) (*Ring, error) {
	if err := s.writable("rotate"); err != nil {
		return nil, err
	}
	dir, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	ring, err := s.Open()
	if err != nil {
		return nil, err
	}
	key, err := Generate(kem)
	if err != nil {
		return nil, err
	}
	// A link, not a copy: what is retired later must lie in one place only.
	err = os.Link(filepath.Join(s.Dir, currentName), s.oldPath(ring.Current().Fingerprint()))
	if err != nil && !errors.Is(err, fs.ErrExist) { // of a rotation that ended half-way
		return nil, fmt.Errorf("rotate key: %w", err)
	}
	s.did("linked")
	if err := dir.Sync(); err != nil {
		return nil, fmt.Errorf("rotate key: %w", err)
	}
	s.did("linked durably")
	if err := s.install(dir, key); err != nil {
		return nil, fmt.Errorf("rotate key: %w", err)
	}
	return s.Open()
}

// install makes key the current one.
func (s Store) install(dir *os.File, key *Key) error {
	path := filepath.Join(s.Dir, currentName)
	if err := key.write(makingPath(path)); err != nil {
		return err
	}
	s.did("written")
	if err := os.Rename(makingPath(path), path); err != nil {
		return err
	}
	s.did("renamed")
	if err := dir.Sync(); err != nil {
		return err
	}
	s.did("durable")
	return nil
}

// Retire destroys an old key in a file store: what is still sealed for it is
// lost for good. The current key is refused. The file is overwritten where it
// lies, which on flash does not reach old copies of its blocks. An old key that
// is not there is an error that wraps fs.ErrNotExist.
func (s Store) Retire(fingerprint string) error {
	if err := s.writable("retire"); err != nil {
		return err
	}
	if _, old := oldFingerprint(oldPrefix + fingerprint + oldSuffix); !old {
		return fmt.Errorf("retire key: %q is no fingerprint", fingerprint)
	}
	dir, err := s.lock()
	if err != nil {
		return err
	}
	defer dir.Close()
	current, err := load(filepath.Join(s.Dir, currentName), s.others())
	if err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	if current.Fingerprint() == fingerprint {
		return fmt.Errorf("retire key: %s is the current one: rotate first", fingerprint)
	}
	// Off its name first: an old key that is half overwritten must not keep the
	// store from being opened.
	gone := s.gonePath(fingerprint)
	if err := os.Rename(s.oldPath(fingerprint), gone); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	s.did("renamed")
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	s.did("renamed durably")
	if err := overwrite(gone); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	s.did("overwritten")
	if err := os.Remove(gone); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	s.did("removed")
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	s.did("durable")
	return nil
}

// lock keeps other writers out, and ends what one of them left half done.
func (s Store) lock() (*os.File, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	dir, err := lockDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	for i := 0; err == nil && i < len(names); i++ {
		fingerprint, dotted := strings.CutPrefix(names[i], ".")
		fingerprint, gone := strings.CutSuffix(fingerprint, goneSuffix)
		if _, old := oldFingerprint(fingerprint); dotted && gone && old {
			err = shred(filepath.Join(s.Dir, names[i]))
		}
	}
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("key store: %w", err)
	}
	return dir, nil
}

func (s Store) valid() error {
	switch {
	case s.Dir == "":
		return errors.New("key store: has no directory")
	case s.Kind != CredentialStore && s.Kind != FileStore:
		return fmt.Errorf("key store: kind %q is none of %s, %s", string(s.Kind), CredentialStore, FileStore)
	}
	return nil
}

func (s Store) writable(do string) error {
	if s.Kind == CredentialStore {
		return fmt.Errorf("%s key: %s holds credentials, which are read-only: make new ones with systemd-creds and restart the service", do, s.Dir)
	}
	return s.valid()
}

func (s Store) others() fs.FileMode {
	if s.Kind == CredentialStore {
		return notForOthers
	}
	return privateOnly
}

// goneSuffix is that of a key that is being destroyed.
const goneSuffix = ".gone"

func (s Store) oldPath(fingerprint string) string {
	return filepath.Join(s.Dir, oldPrefix+fingerprint+oldSuffix)
}

func (s Store) gonePath(fingerprint string) string {
	return filepath.Join(s.Dir, "."+oldPrefix+fingerprint+oldSuffix+goneSuffix)
}

// oldFingerprint returns whose name it is, if it is that of an old key.
func oldFingerprint(name string) (string, bool) {
	fingerprint, old := strings.CutPrefix(name, oldPrefix)
	fingerprint, key := strings.CutSuffix(fingerprint, oldSuffix)
	return fingerprint, old && key && isID(fingerprint)
}

func (s Store) did(what string) {
	if s.step != nil {
		s.step(what)
	}
}
