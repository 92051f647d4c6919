package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/queue/seal"
)

// credential has the service given a device key, and returns its fingerprint.
func credential(t *testing.T) (dir, fingerprint string) {
	t.Helper()
	dir = t.TempDir()
	key, err := seal.Make(filepath.Join(dir, "device.key"), seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "device.key"), 0o440); err != nil { //nolint:gosec // as systemd has it
		t.Fatal(err)
	}
	return dir, key.Fingerprint()
}

func TestTheKeyStoreIsTheConfiguredOne(t *testing.T) {
	full, fingerprint := credential(t)
	unreadable := t.TempDir()
	if err := os.Mkdir(filepath.Join(unreadable, "device.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		store  string
		given  string // $CREDENTIALS_DIRECTORY
		create bool   // no outbox is there
		kind   seal.StoreKind
		want   string // of the error; "": it opens
	}{
		"auto with a credential":                 {autoKeys, full, true, seal.CredentialStore, ""},
		"auto with credentials of other names":   {autoKeys, t.TempDir(), true, seal.FileStore, ""},
		"auto with a credential that is not one": {autoKeys, unreadable, true, seal.CredentialStore, "not a regular file"},
		"auto without any":                       {autoKeys, "", true, seal.FileStore, ""},
		"auto without any, beside an outbox":     {autoKeys, "", false, seal.FileStore, "bring it back"},
		"a credential":                           {credentialKeys, full, true, seal.CredentialStore, ""},
		"a credential that is missing":           {credentialKeys, "", true, seal.CredentialStore, "the service was given none"},
		"a credential of another name":           {credentialKeys, t.TempDir(), true, seal.CredentialStore, "no credential device.key"},
		"a file":                                 {fileKeys, "", true, seal.FileStore, ""},
		"a file although there is a credential":  {fileKeys, full, true, seal.FileStore, ""},
		"a file that is missing":                 {fileKeys, "", false, seal.FileStore, "bring it back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CREDENTIALS_DIRECTORY", tc.given)
			c := defaults()
			c.State.Dir, c.Keys.Store, c.Keys.KEM = filepath.Join(t.TempDir(), "state"), tc.store, "mlkem768x25519"
			if err := c.Keys.validate(); err != nil {
				t.Fatal(err)
			}
			if got := c.keyStore().Kind; got != tc.kind {
				t.Errorf("the store is a %s, want %s", got, tc.kind)
			}
			ring, err := c.keys(tc.create)
			switch {
			case tc.want != "":
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, %v; want %q", ring, err, tc.want)
				}
			case err != nil:
				t.Error(err)
			case tc.kind == seal.CredentialStore && ring.Current().Fingerprint() != fingerprint:
				t.Errorf("opened %v, want %s", ring, fingerprint)
			case tc.kind == seal.FileStore && ring.Current().KEM() != seal.Hybrid:
				t.Errorf("made a key of %s", ring.Current().KEM())
			}
			_, err = os.Stat(filepath.Join(c.State.Dir, "keys", "device.key"))
			if made := err == nil; made != (tc.want == "" && tc.kind == seal.FileStore) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a key file was made: %t, %v", made, err)
			}
		})
	}
}

func TestAKeyInAFileIsWarnedOfOnce(t *testing.T) {
	type line struct{ Level, Dir string }
	full, _ := credential(t)
	for given, want := range map[string]line{"": {"WARN", "/x/keys"}, full: {"INFO", full}} {
		t.Setenv("CREDENTIALS_DIRECTORY", given)
		var out bytes.Buffer
		c := defaults()
		c.State.Dir = "/x"
		c.tellKeyStore(t.Context(), slog.New(slog.NewJSONHandler(&out, nil)))
		var got line
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
			t.Errorf("told %s, %v; want %+v", &out, err, want)
		}
	}
}

func TestKeysThatCannotWorkAreNamed(t *testing.T) {
	for want, change := range map[string]func(*KeysConfig){
		"keys.store": func(k *KeysConfig) { k.Store = "tpm" },
		"keys.dir":   func(k *KeysConfig) { k.Store, k.Dir = "credential", "/x" },
		"keys.kem":   func(k *KeysConfig) { k.KEM = "rsa" },
	} {
		c := defaults()
		change(&c.Keys)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
	c := defaults()
	c.Keys.Dir = "/srv/keys"
	if err := c.Validate(); err != nil || c.keyStore().Dir != "/srv/keys" {
		t.Errorf("the store lies in %s, %v", c.keyStore().Dir, err)
	}
}

// TestTheEpochKeysLieWhereTheConfigurationSays, such as on a medium that
// forgets.
func TestTheEpochKeysLieWhereTheConfigurationSays(t *testing.T) {
	l := newLab(t)
	elsewhere := filepath.Join(t.TempDir(), "epochs")
	d := l.start("-config", l.file("c.toml", fmt.Sprintf("[queue]\nepochs_dir = %q\n", elsewhere)))
	d.await("service", healthy)
	for dir, want := range map[string]int{elsewhere: 1, l.state: 0} {
		if files, err := filepath.Glob(filepath.Join(dir, "outbox.db.epochs-*")); err != nil || len(files) != want {
			t.Errorf("%s holds the epoch files %v, %v; want %d", dir, files, err, want)
		}
	}
}

// An outbox that cannot be looked at just now is none that is not there: a new
// key in the place of one that is missing would open nothing of it.
func TestAnOutboxOutOfReachIsNoneThatIsMissing(t *testing.T) {
	c := defaults()
	c.State.Dir = t.TempDir()
	if c.sealed() {
		t.Error("an outbox where there is none")
	}
	if err := os.Symlink(filepath.Base(c.queuePath()), c.queuePath()); err != nil { // to itself
		t.Fatal(err)
	}
	if !c.sealed() {
		t.Error("what cannot be looked at is taken for nothing")
	}
}
