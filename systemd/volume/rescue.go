package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is rescued: the daemon's files, and what its sealed key needs.
const (
	keysDir  = "lib/credstore.encrypted"
	hostDir  = "lib/systemd"
	hostFile = "credential.secret" // the only one of hostDir
)

// The bounds of what is rescued. The folder is not to be trusted: its entries may be
// those of a card that somebody else wrote.
const (
	rescueDepth = 8
	rescueFiles = 4096
	rescueBytes = 240 << 20 // below rescueSize
)

// An entry is a file or folder that debugfs tells of.
type entry struct {
	inode    uint64
	mode     uint32
	uid, gid int
	name     string
	size     int64
}

// rescue reads the daemon's files past the mount, into memory and before anything is
// repaired: by the main superblock, else by where copies of it lie. It returns where
// they are, "" if there are none, and notes whether something is there that it could
// not read.
func (b *boot) rescue(ctx context.Context) string {
	for _, where := range [][]string{{"-c"}, {"-c", "-b", "4096", "-s", "32768"}, {"-c", "-b", "1024", "-s", "8193"}} {
		if err := errors.Join(os.RemoveAll(b.tree()), os.Mkdir(b.tree(), 0o755), os.Chmod(b.tree(), 0o755)); err != nil {
			b.short = err.Error()
			return ""
		}
		r := &rescue{b: b, where: where}
		if err := r.all(ctx); err != nil {
			b.say("rescue: " + err.Error())
			r.left(err.Error())
		}
		if count(b.tree()) > 0 {
			b.short = r.short
			return b.tree()
		}
		if b.short == "" {
			b.short = r.short
		}
	}
	return ""
}

// A rescue is one try, by one superblock.
type rescue struct {
	b     *boot
	where []string // debugfs' options
	seen  int
	files []found
	bytes int64
	short string // something is there, and stays there: the first of it
}

// left notes that something could not be read.
func (r *rescue) left(what string) {
	if r.short == "" {
		r.short = strings.ToValidUTF8(what, "?")
	}
}

// found is a file, and where below the tree it belongs.
type found struct {
	entry
	to string
}

// all makes the folders, and then has debugfs write each file under a number: no name
// of the partition is ever told to it, or made into a path before it was looked at.
func (r *rescue) all(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.b.Other)
	defer cancel()
	began, step := time.Now(), len(r.b.r.Steps)
	r.b.r.Steps = append(r.b.r.Steps, Step{Run: "rescue", Limit: (r.b.Other + lateness).Seconds()})
	defer func() {
		s := &r.b.r.Steps[step]
		if s.Seconds, s.Said = time.Since(began).Seconds(), r.short; s.Said != "" {
			s.Code = -1
		}
	}()
	root, err := os.OpenRoot(r.b.tree())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, dir := range []string{stateDir, keysDir, hostDir} {
		if err = r.folder(ctx, root, "/"+dir, dir, 0); errors.Is(err, errNone) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if len(r.files) == 0 {
		return nil
	}
	drop := filepath.Join(r.b.evidence(), "drop")
	if err = errors.Join(os.RemoveAll(drop), os.Mkdir(drop, 0o700)); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(drop) }()
	var requests strings.Builder
	for n, f := range r.files {
		_, _ = fmt.Fprintf(&requests, "dump <%d> %s\n", f.inode, filepath.Join(drop, strconv.Itoa(n)))
	}
	list := filepath.Join(drop, "requests")
	if err = os.WriteFile(list, []byte(requests.String()), 0o600); err != nil {
		return err
	}
	// It says each request, and whatever else it says is a complaint: the sizes tell.
	_, err = r.b.run(ctx, r.b.Other, "debugfs", append(r.where, "-f", list, r.b.device)...)
	for line := range strings.Lines(r.b.last) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "debugfs: dump <") && !chatter(line) {
			r.left(line)
		}
	}
	all := []error{err}
	for n, f := range r.files {
		all = append(all, r.put(root, filepath.Join(drop, strconv.Itoa(n)), f))
	}
	return errors.Join(all...)
}

// put moves a file that was written to where it belongs, with owner and mode.
func (r *rescue) put(root *os.Root, from string, f found) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Size() != f.size {
		r.left(fmt.Sprintf("%d bytes of %d of %q", info.Size(), f.size, f.to))
	}
	// Nothing in the tree is a symbolic link.
	if err := os.Rename(from, filepath.Join(r.b.tree(), f.to)); err != nil {
		return err
	}
	return errors.Join(root.Lchown(f.to, f.uid, f.gid), root.Chmod(f.to, fs.FileMode(f.mode).Perm()))
}

// errNone is of a partition that has no file system where it is looked for.
var errNone = errors.New("no file system")

// folder makes a folder, and those in it, and notes its files. What is what is asked of
// debugfs, a fixed path or an inode.
func (r *rescue) folder(ctx context.Context, root *os.Root, what, to string, depth int) error {
	if depth > rescueDepth {
		r.left("folders in folders")
		return nil
	}
	if _, err := r.b.run(ctx, r.b.Other, "debugfs", append(r.where, "-R", "ls -p "+what, r.b.device)...); err != nil {
		return err
	}
	said := r.b.last
	if strings.Contains(said, "Filesystem not open") {
		if strings.Contains(said, "Input/output error") {
			r.left("it cannot be read")
		}
		return errNone
	}
	var entries []entry
	none := false
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(line, "\n")
		e, ok := parse(line)
		switch {
		case ok && (e.inode == 0 || e.name == ".."):
		case ok:
			entries = append(entries, e)
		case strings.HasSuffix(strings.TrimSpace(line), "File not found by ext2_lookup"):
			none = true
		case line != "" && !chatter(line):
			r.left(line) // a complaint, or a name that is none
		}
	}
	if none && len(entries) == 0 {
		return nil
	}
	if to == hostDir { // the rest is systemd's own
		entries = only(entries, hostFile)
		if len(entries) == 0 {
			return nil
		}
	}
	if err := root.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for dir := to; dir != "."; dir = filepath.Dir(dir) { // whatever the umask
		if err := root.Chmod(dir, 0o755); err != nil {
			return err
		}
		if depth > 0 {
			break
		}
	}
	for _, e := range entries {
		if r.seen++; r.seen > rescueFiles {
			r.left("too many files")
			return nil
		}
		place := filepath.Join(to, e.name)
		switch e.mode & unix.S_IFMT {
		case unix.S_IFREG:
			if e.size < 0 || e.size > rescueBytes-r.bytes {
				r.left(fmt.Sprintf("no room for %d bytes of %q", e.size, place))
				continue
			}
			r.bytes += e.size
			r.files = append(r.files, found{e, place})
		case unix.S_IFDIR:
			if e.name == "." {
				continue
			}
			if err := r.folder(ctx, root, fmt.Sprintf("<%d>", e.inode), place, depth+1); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		if e.name == "." {
			return errors.Join(root.Lchown(to, e.uid, e.gid), root.Chmod(to, fs.FileMode(e.mode).Perm()))
		}
	}
	return nil
}

// parse reads a line of ls -p: /inode/mode/uid/gid/name/size/. The name is an element
// of a path and nothing else, or this is no such line: on a damaged or a made partition
// a name can hold whatever a byte can.
func parse(line string) (e entry, ok bool) {
	part := strings.Split(line, "/")
	if len(part) != 8 || part[0] != "" || part[7] != "" {
		return e, false
	}
	var noSize error
	inode, noInode := strconv.ParseUint(part[1], 10, 32)
	mode, noMode := strconv.ParseUint(part[2], 8, 16)
	uid, noUID := strconv.Atoi(part[3])
	gid, noGID := strconv.Atoi(part[4])
	e = entry{inode: inode, mode: uint32(mode), uid: uid, gid: gid, name: part[5]}
	if part[6] != "" { // a folder has none
		e.size, noSize = strconv.ParseInt(part[6], 10, 64)
	}
	if errors.Join(noInode, noMode, noUID, noGID, noSize) != nil {
		return e, false
	}
	return e, e.name == "." || e.name == ".." || filepath.IsLocal(e.name) && !strings.ContainsRune(e.name, 0)
}

// only leaves the entry of a name.
func only(entries []entry, name string) []entry {
	for _, e := range entries {
		if e.name == name {
			return []entry{e}
		}
	}
	return nil
}

// chatter reports whether debugfs says that always.
func chatter(line string) bool {
	return strings.HasPrefix(line, "debugfs 1.") || strings.Contains(line, "catastrophic mode")
}
