package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"livekiosk/queue/seal"
)

// KeysConfig says where the device keys lie, for which the outbox is sealed.
type KeysConfig struct {
	// Store is "credential" for what systemd hands over (LoadCredential= or
	// LoadCredentialEncrypted= of device.key, and old-FINGERPRINT.key for older
	// ones), "file" for a folder, or "auto": a credential if there is one, else
	// a folder.
	Store string `toml:"store"`
	Dir   string `toml:"dir"` // of a file store; "": keys in state.dir
	KEM   string `toml:"kem"` // of a key that the daemon makes: x25519, mlkem768x25519
}

// The values of keys.store.
const (
	autoKeys       = "auto"
	credentialKeys = string(seal.CredentialStore)
	fileKeys       = string(seal.FileStore)
)

func (k KeysConfig) validate() error {
	switch k.Store {
	case autoKeys, credentialKeys, fileKeys:
	default:
		return fmt.Errorf("keys.store: %q is none of %s, %s, %s", k.Store, autoKeys, credentialKeys, fileKeys)
	}
	if k.Store == credentialKeys && k.Dir != "" {
		return errors.New("keys.dir: credentials lie where systemd puts them: leave it empty, or set keys.store to file")
	}
	if err := seal.KEM(k.KEM).Validate(); err != nil {
		return fmt.Errorf("keys.kem: %w", err)
	}
	return nil
}

// credentials is where systemd puts the service's credentials, "" if it was
// given none.
func credentials() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

// keyStore returns the store that the configuration and the service manager
// mean. A credential store without a directory was handed nothing.
func (c Config) keyStore() seal.Store {
	store := seal.Store{Dir: cmp.Or(c.Keys.Dir, filepath.Join(c.State.Dir, "keys")), Kind: seal.FileStore}
	given := credentials()
	if c.Keys.Store == autoKeys && given != "" {
		// Whatever else is wrong with it is told, not passed over.
		if _, err := os.Lstat(filepath.Join(given, "device.key")); !errors.Is(err, fs.ErrNotExist) {
			return seal.Store{Dir: given, Kind: seal.CredentialStore}
		}
	}
	if c.Keys.Store == credentialKeys {
		return seal.Store{Dir: given, Kind: seal.CredentialStore}
	}
	return store
}

// keys opens the store. Only where create is set and the store is of files, a
// missing key is made: beside an outbox it would open nothing, and what a
// visitor was promised would be lost.
func (c Config) keys(create bool) (*seal.Ring, error) {
	store := c.keyStore()
	if store.Kind == seal.FileStore && create {
		return store.Create(seal.KEM(c.Keys.KEM))
	}
	if store.Kind == seal.CredentialStore && store.Dir == "" {
		return nil, errors.New("keys.store is credential, and the service was given none: LoadCredential=device.key or LoadCredentialEncrypted=device.key is missing")
	}
	ring, err := store.Open()
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return ring, err
	case store.Kind == seal.CredentialStore:
		return nil, fmt.Errorf("%w: the service was given no credential device.key: check LoadCredential= and LoadCredentialEncrypted=", err)
	default:
		return nil, fmt.Errorf("%w: the outbox is sealed for a key that is not here: bring it back", err)
	}
}

// tellKeyStore says how well the outbox is protected, and warns whoever put the
// key beside what it opens. Which key systemd encrypted a credential with, it
// does not tell.
func (c Config) tellKeyStore(ctx context.Context, log *slog.Logger) {
	store := c.keyStore()
	switch store.Kind {
	case seal.FileStore:
		log.WarnContext(ctx, "device key is a file: on the storage of the outbox it protects only against a look at the outbox alone; a credential that a TPM encrypts protects more",
			slog.String("dir", store.Dir))
	case seal.CredentialStore:
		log.InfoContext(ctx, "device key is a credential: it protects as well as what encrypted it, a TPM more than systemd's host key, which lies on the same storage",
			slog.String("dir", store.Dir))
	}
}
