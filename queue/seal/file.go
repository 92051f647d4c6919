package seal

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keyFileMax is far above the 119 bytes of a key file, so that a wrong path
// does not read a disk image.
const keyFileMax = 4096

// Load reads the device key from the file at path: PKCS #8 in PEM, as
// LoadOrCreate and "openssl genpkey -algorithm X25519" write it. The file must
// be regular, belong to this user or root, and be readable by its owner only.
// A missing file is an error that wraps fs.ErrNotExist.
func Load(path string) (*Key, error) {
	// O_NONBLOCK: opening a pipe by mistake must not hang the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("device key %s: is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("device key %s: mode %04o lets others at it: it may have leaked; replace it, or chmod 0600 if it has not", path, info.Mode().Perm())
	case !ours(info):
		return nil, fmt.Errorf("device key %s: belongs to another user", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	defer clear(text)
	key, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("device key %s: %w: restore it from a backup; what is queued opens with no other key", path, err)
	}
	return key, nil
}

func parse(text []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("is not a PEM private key")
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is damaged")
	}
	exchange, ok := parsed.(*ecdh.PrivateKey)
	if !ok || exchange.Curve() != ecdh.X25519() {
		return nil, errors.New("is not an X25519 key")
	}
	private, err := hpke.NewDHKEMPrivateKey(exchange)
	if err != nil {
		return nil, err
	}
	return &Key{private: private, public: public(private.PublicKey())}, nil
}

// LoadOrCreate reads the device key as Load does, or makes a new one where
// there is none: mode 0600, in a directory of mode 0700 if that has to be made
// too. A directory that others can write to is an error, since they could put
// their own key there.
//
// The file appears whole or not at all, and is durable when LoadOrCreate
// returns: evidence sealed for a key that a power cut took would be lost. Two
// processes that call it at the same time get the same key.
func LoadOrCreate(path string) (*Key, error) {
	dir, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	defer dir.Close()
	// The lock goes with the descriptor.
	if err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("device key: lock %s: %w", dir.Name(), err)
	}
	key, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	info, err := dir.Stat()
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("device key: directory %s has mode %04o, so others could swap the key: chmod 0700", dir.Name(), info.Mode().Perm())
	}
	if key, err = Generate(X25519); err != nil {
		return nil, err
	}
	if err := key.write(dir, path); err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return key, nil
}

func (k *Key) write(dir *os.File, path string) error {
	secret, err := k.private.Bytes()
	if err != nil {
		return err
	}
	defer clear(secret)
	exchange, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(exchange)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)

	f, err := os.CreateTemp(dir.Name(), "."+filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already once it was renamed
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}

// OpenDir opens a directory that holds what must not get lost: it makes dir and
// its parents, durably and with mode 0700, where they are missing.
func OpenDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	parent, err := OpenDir(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := parent.Sync(); err != nil {
		return nil, err
	}
	return os.Open(dir)
}

// ours reports whether a file belongs to this process's user or to root.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}
