package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

const keysHelp = `Everything in the outbox is sealed for the kiosk's current device key; old ones
still open what was sealed for them. The list says what needs which key, as far
as the daemon answers. The others work on the key store itself, as the user
whose files these are: sudo -u kiosk kioskctl keys rotate. A running daemon
takes no notice of them before it is restarted.

"create" makes the first device key; with --out the key pair of a relay or of
support instead, in a file of its own, or a device key that systemd-creds then
makes a credential of. "rotate" makes a new device key, and the current one an
old one. "retire" destroys an old key, once the daemon says that nothing needs
it. "public" prints the public half of the current key, or of the one in --key:
it is what relays, kiosks in relay mode and "queue export" are given.

Keys that are credentials are made and replaced where the credentials are:

  kioskctl keys create --out /run/new/device.key
  systemd-creds encrypt --with-key=tpm2 --name=device.key /run/new/device.key /etc/credstore.encrypted/device.key
  rm -r /run/new
  LoadCredentialEncrypted=device.key    (in a drop-in of kioskd.service)

"open-export" opens what "queue export" sealed for the key in --key. What it
writes to --out is personal data that nothing protects any more.

"staff" reads a PIN of 6 to 12 digits from standard input, asked for twice on a
terminal, and writes what the kiosk keeps of it, a slow hash, to --out: by
default /var/lib/kioskd/staff.pin, in place of the one before. It takes effect at
once. With --out - it goes to standard output, for a credential named staff.pin.

The exit code is 65 if there is no such key, or it or the export does not open;
75 if a key to be retired is still needed.`

// A keysCall is what the flags of kioskctl keys say.
type keysCall struct {
	dir, kem, out, key string
}

func keysFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var k keysCall
	fs.StringVar(&k.dir, "dir", "", "the key store: default is /var/lib/kioskd/keys, else that of this user's own daemon (`folder`)")
	fs.StringVar(&k.kem, "kem", "", "create, rotate: `what` the key is: x25519, or mlkem768x25519 against quantum computers to come; default is x25519, or as the current one")
	fs.StringVar(&k.out, "out", "", "create, public, open-export: `file` to write, which must not exist; staff: where the hash goes")
	fs.StringVar(&k.key, "key", "", "public, open-export: `file` with a private key")
	return func(ctx context.Context, c call, args []string) error {
		what, rest := "list", args
		if len(args) > 0 {
			what, rest = args[0], args[1:]
		}
		for _, f := range []struct {
			name, value string
			with        []string
		}{
			{"--kem", k.kem, []string{"create", "rotate"}},
			{"--out", k.out, []string{"create", "public", "open-export", "staff"}},
			{"--key", k.key, []string{"public", "open-export"}},
		} {
			if f.value != "" && !slices.Contains(f.with, what) {
				return usage("%s goes with %s: see kioskctl help keys", f.name, strings.Join(f.with, ", "))
			}
		}
		if k.kem != "" {
			if err := seal.KEM(k.kem).Validate(); err != nil {
				return usage("--kem: %w", err)
			}
		}
		switch what {
		case "list":
			return k.list(ctx, c, rest)
		case "create":
			return k.create(c, rest)
		case "rotate":
			return k.rotate(c, rest)
		case "retire":
			return k.retire(ctx, c, rest)
		case "public":
			return k.public(c, rest)
		case "open-export":
			return k.openExport(c, rest)
		case "staff":
			return k.staff(c, rest)
		}
		return usage("there is no %q: list, create, rotate, retire, public, open-export or staff: see kioskctl help keys", what)
	}
}

// A keyLine is one key as the list shows it.
type keyLine struct {
	Fingerprint string   `json:"fingerprint"`
	KEM         seal.KEM `json:"kem,omitempty"`
	State       string   `json:"state"`              // current, next, old, missing
	File        string   `json:"file,omitempty"`     // "" if it is not in the store that was looked at
	Records     *int     `json:"records,omitempty"`  // that need it; nil: the daemon was not asked
	Bookings    *int     `json:"bookings,omitempty"` // likewise
}

// list shows the keys of the store and of the daemon, of which either may be
// out of reach.
func (k keysCall) list(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ring, unread := k.store(c).Open()
	uses, unasked := c.keyUses(ctx)
	if unread != nil && unasked != nil {
		return k.explain(c, unread)
	}
	lines := keyLines(k.store(c), ring, uses)
	if c.json {
		return printEach(c, lines)
	}
	text := keysText(lines)
	if unread != nil {
		text += fmt.Sprintf("\n\nThe files are not shown: %v", k.explain(c, unread))
	}
	if unasked != nil {
		text += fmt.Sprintf("\n\nWhat needs which key is not known: %v", unasked)
	}
	return c.print(nil, text)
}

func (c call) keyUses(ctx context.Context) ([]kiosk.KeyUse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	uses, err := c.client().Keys(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	return uses, nil
}

// keyLines puts together what the store has and what the daemon uses. ring is
// nil if the store cannot be read.
func keyLines(s seal.Store, ring *seal.Ring, uses []kiosk.KeyUse) (lines []keyLine) {
	used := map[string]kiosk.KeyUse{}
	current := ""
	for _, u := range uses {
		used[u.Fingerprint] = u
		if u.Current {
			current = u.Fingerprint
		}
	}
	if ring != nil {
		for i, key := range ring.All() {
			l := keyLine{Fingerprint: key.Fingerprint(), KEM: key.KEM(), State: "old", File: filepath.Join(s.Dir, "old-"+key.Fingerprint()+".key")}
			if i == 0 {
				l.File, l.State = filepath.Join(s.Dir, "device.key"), "current"
			}
			switch {
			case current == key.Fingerprint():
				l.State = "current"
			case i == 0 && current != "": // the daemon was not restarted yet
				l.State = "next"
			}
			lines = append(lines, l)
		}
	}
	for _, u := range uses {
		if slices.ContainsFunc(lines, func(l keyLine) bool { return l.Fingerprint == u.Fingerprint }) {
			continue
		}
		l := keyLine{Fingerprint: u.Fingerprint, KEM: seal.KEM(u.KEM), State: "old"}
		switch {
		case u.Current:
			l.State = "current"
		case u.KEM == "":
			l.State = "missing"
		}
		lines = append(lines, l)
	}
	if uses == nil {
		return lines
	}
	for i := range lines {
		u := used[lines[i].Fingerprint]
		lines[i].Records, lines[i].Bookings = &u.Records, &u.Bookings
	}
	return lines
}

func keysText(lines []keyLine) string {
	number := func(n *int) string {
		if n == nil {
			return "-"
		}
		return strconv.Itoa(*n)
	}
	var rows strings.Builder
	rows.WriteString("KEY\tKIND\tSTATE\tRECORDS\tBOOKINGS\tFILE\n")
	missing, next := false, false
	for _, l := range lines {
		fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Fingerprint, dash(string(l.KEM)), l.State, number(l.Records), number(l.Bookings), dash(l.File))
		missing, next = missing || l.State == "missing", next || l.State == "next"
	}
	text := table(rows.String())
	if missing {
		text += "\n\nA key is missing: what was sealed for it cannot be delivered. Bring it back, or tell the fleet's administrators."
	}
	if next {
		text += "\n\nThe daemon uses the next key once it is restarted."
	}
	return text
}

// create makes the first key of the store, or a key pair of its own in --out.
func (k keysCall) create(c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	kem := cmp.Or(seal.KEM(k.kem), seal.X25519)
	if k.out != "" {
		key, err := seal.Make(k.out, kem)
		if err != nil {
			return k.explain(c, fmt.Errorf("--out: %w", err))
		}
		return c.print(keyLine{Fingerprint: key.Fingerprint(), KEM: kem, State: "made", File: k.out},
			fmt.Sprintf("%s: made the private key %s (%s); its public half: kioskctl keys public --key %s", k.out, key.Fingerprint(), kem, k.out))
	}
	s := k.store(c)
	switch ring, err := s.Open(); {
	case err == nil:
		return &exitError{exitCannot, fmt.Errorf("%s has the key %s already: kioskctl keys rotate makes a new one", s.Dir, ring.Current().Fingerprint())}
	case !errors.Is(err, fs.ErrNotExist):
		return k.explain(c, err)
	case s.Kind == seal.CredentialStore:
		return usage("%s holds credentials: make the key with --out, and the credential with systemd-creds: see kioskctl help keys", s.Dir)
	}
	ring, err := s.Create(kem)
	if err != nil {
		return k.explain(c, err)
	}
	return c.made(s, ring, "made the device key %s (%s): the daemon uses it from its next start")
}

// rotate makes a new current key.
func (k keysCall) rotate(c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	s := k.store(c)
	ring, err := s.Open()
	if err != nil {
		return k.explain(c, err)
	}
	if s.Kind == seal.CredentialStore {
		return usage("%s holds credentials, which are replaced with systemd-creds: see kioskctl help keys", s.Dir)
	}
	ring, err = s.Rotate(cmp.Or(seal.KEM(k.kem), ring.Current().KEM()))
	if err != nil {
		return k.explain(c, err)
	}
	return c.made(s, ring, "made the device key %s (%s): the daemon uses it once it is restarted")
}

func (c call) made(s seal.Store, ring *seal.Ring, text string) error {
	key := ring.Current()
	return c.print(keyLine{Fingerprint: key.Fingerprint(), KEM: key.KEM(), State: "next", File: filepath.Join(s.Dir, "device.key")},
		fmt.Sprintf(text, key.Fingerprint(), key.KEM()))
}

// retire destroys an old key that nothing needs.
func (k keysCall) retire(ctx context.Context, c call, args []string) error {
	if err := words(args, "FINGERPRINT"); err != nil {
		return err
	}
	fingerprint := args[0]
	uses, err := c.keyUses(ctx)
	if err != nil {
		return fmt.Errorf("nothing was destroyed, as what needs the key is not known: %w", err)
	}
	s := k.store(c)
	ring, err := s.Open()
	if err != nil {
		return k.explain(c, err)
	}
	for _, u := range uses {
		_, here := ring.Key(u.Fingerprint)
		switch {
		case u.Current && !here: // so what it says is of other keys
			return usage("the daemon at %s seals for %s, which is not in %s: give the --dir and the --socket of one kiosk", c.socketPath(), u.Fingerprint, s.Dir)
		case u.Fingerprint != fingerprint:
		case u.Current:
			return &exitError{exitLater, fmt.Errorf("the daemon seals for %s: rotate and restart it first", fingerprint)}
		case u.Records+u.Bookings > 0:
			return &exitError{exitLater, fmt.Errorf("%d records and %d bookings still need %s: wait until they are gone", u.Records, u.Bookings, fingerprint)}
		}
	}
	aside, err := c.quarantined(ctx)
	if err != nil {
		return fmt.Errorf("nothing was destroyed, as what needs the key is not known: %w", err)
	}
	if aside != "" {
		return &exitError{exitLater, fmt.Errorf("a damaged outbox was moved to %s, and records in it may need the key: have support take it first", aside)}
	}
	if err := s.Retire(fingerprint); err != nil {
		return k.explain(c, err)
	}
	return c.print(map[string]string{"fingerprint": fingerprint, "became": "destroyed"}, fingerprint+": destroyed")
}

// quarantined returns where a damaged outbox lies, "" if none does.
func (c call) quarantined(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	st, err := c.client().Status(ctx)
	if err != nil {
		return "", c.explain(err)
	}
	return st.Quarantined, nil
}

// public shows the half that anybody may have.
func (k keysCall) public(c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	key, err := k.private(c)
	if err != nil {
		return k.explain(c, err)
	}
	pem := key.Public().PEM()
	what := map[string]string{"fingerprint": key.Fingerprint(), "kem": string(key.KEM()), "pem": string(pem)}
	if k.out == "" {
		return c.print(what, strings.TrimSuffix(string(pem), "\n"))
	}
	if _, err := create(k.out, func(w io.Writer) error { return write(w, pem) }); err != nil {
		return &exitError{exitCannot, fmt.Errorf("--out: %w", err)}
	}
	what["file"] = k.out
	return c.print(what, fmt.Sprintf("%s: the public half of %s (%s)", k.out, key.Fingerprint(), key.KEM()))
}

// private returns the key of --key, or the current one of the store.
func (k keysCall) private(c call) (*seal.Key, error) {
	if k.key != "" {
		key, err := seal.Load(k.key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return key, nil
	}
	ring, err := k.store(c).Open()
	if err != nil {
		return nil, err
	}
	return ring.Current(), nil
}

// exportPart is what "queue export" calls what it seals.
const exportPart = "export"

// openExport opens an export of an outbox.
func (k keysCall) openExport(c call, args []string) error {
	if err := words(args, "FILE"); err != nil {
		return err
	}
	switch {
	case k.key == "":
		return usage("--key is missing: the private key that the export was sealed for")
	case k.out == "":
		return usage("--out is missing: the file to write")
	}
	key, err := k.private(c)
	if err != nil {
		return k.explain(c, err)
	}
	sealed, err := os.ReadFile(args[0])
	if err != nil {
		return &exitError{exitData, err}
	}
	b, text, err := seal.OpenEnvelope(key, "", sealed)
	if err == nil && b.Part != exportPart {
		err = errors.New("is no export of an outbox")
	}
	if err != nil {
		return &exitError{exitData, fmt.Errorf("%s: %w", args[0], err)}
	}
	n, err := create(k.out, func(w io.Writer) error { return write(w, text) })
	if err != nil {
		return &exitError{exitCannot, fmt.Errorf("--out: %w", err)}
	}
	return c.print(map[string]any{"file": k.out, "bytes": n, "device": b.Device},
		fmt.Sprintf("%s: %s of the kiosk with the key %s, not sealed any more: keep it as personal data is to be kept", k.out, size(n), b.Device))
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// store is the key store to use: see keysHelp.
func (k keysCall) store(c call) seal.Store {
	s := seal.Store{Dir: k.dir, Kind: seal.FileStore}
	if s.Dir == "" {
		s.Dir = c.keyDir()
	}
	if strings.HasPrefix(filepath.Clean(s.Dir), "/run/credentials/") {
		s.Kind = seal.CredentialStore
	}
	return s
}

// systemState is where the system's own daemon keeps its files.
const systemState = "/var/lib/kioskd"

// keyDir is the key store of the system's daemon, or where there is none that
// of the user's own.
func (c call) keyDir() string {
	if _, err := os.Lstat(systemState); errors.Is(err, fs.ErrNotExist) {
		if dir := c.getenv("XDG_STATE_HOME"); dir != "" {
			return filepath.Join(dir, "kioskd", "keys")
		}
		if dir := c.getenv("HOME"); dir != "" {
			return filepath.Join(dir, ".local", "state", "kioskd", "keys")
		}
	}
	return filepath.Join(systemState, "keys")
}

// explain says what is wrong with a store, and gives it its exit code.
func (k keysCall) explain(c call, err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	switch {
	case errors.Is(err, seal.ErrOwner), errors.Is(err, fs.ErrPermission):
		return &exitError{exitForbidden, fmt.Errorf("%w: run it as %s", err, owner(k.store(c).Dir))}
	case errors.Is(err, fs.ErrNotExist):
		return &exitError{exitData, err}
	case errors.Is(err, fs.ErrExist), path, link:
		return &exitError{exitCannot, err}
	}
	return &exitError{exitData, err}
}

// owner says whose a directory is, as far as that is known.
func owner(dir string) string {
	const unknown = "the user whose keys these are"
	info, err := os.Stat(dir)
	if err != nil {
		return unknown
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("that user: sudo -u %s kioskctl keys", u.Username)
	}
	return "the user " + id
}
