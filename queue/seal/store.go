package seal

import "errors"

// A StoreKind says where a device key lies.
type StoreKind string

// The kinds of store.
const (
	CredentialStore StoreKind = "credential" // what systemd's LoadCredential= hands over: read-only
	FileStore       StoreKind = "file"       // files of this device
)

// A Store is a directory of device keys.
type Store struct {
	Dir  string
	Kind StoreKind
}

// Open reads the ring.
func (s Store) Open() (*Ring, error) { return nil, errors.ErrUnsupported }

// Create opens the ring, or makes the first key.
func (s Store) Create(kem KEM) (*Ring, error) { return nil, errors.ErrUnsupported }

// Rotate makes a new current key; the current one becomes an old one.
func (s Store) Rotate(kem KEM) (*Ring, error) { return nil, errors.ErrUnsupported }

// Retire destroys an old key.
func (s Store) Retire(fingerprint string) error { return errors.ErrUnsupported }
