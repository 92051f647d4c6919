//go:build image

package image_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pipe names the variable by which this test is run again by QEMU for each
// connection of a guest to the address that it holds.
const pipe = "KIOSK_IMAGE_PIPE"

func TestMain(m *testing.M) {
	address := os.Getenv(pipe)
	if address == "" {
		os.Exit(m.Run()) //nolint:forbidigo // as in every TestMain
	}
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err)
	}
	c, err := net.DialTCP("tcp", nil, to)
	if err != nil {
		os.Exit(1) //nolint:forbidigo // this is the main of a pipe: the guest finds its connection closed
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, c)
}

// patience is how long a board may take for one thing. It is only for one that
// hangs: how fast time passes in it does not depend on how busy this machine is,
// and limits that mean something are kept in there.
const patience = 40 * time.Minute

// A board is an emulated machine, with its disk in a folder of its own.
type board struct {
	t      *testing.T
	dir    string
	server *server
	starts int

	cmd    *exec.Cmd
	exited chan struct{} // closed once it is off
	shell  net.Conn
	out    *bufio.Reader
	said   int // how many commands there were
}

// newBoard returns a board that is off, and has no disk yet.
func newBoard(t *testing.T, dir string) *board {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	b := &board{t: t, dir: dir, server: newServer(t)}
	t.Cleanup(func() {
		b.cut()
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return b
}

// start switches it on.
func (b *board) start(args ...string) {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	b.starts++
	// What the console said before is worth keeping.
	console := filepath.Join(b.dir, "console.log")
	if err := os.Rename(console, console+"."+strconv.Itoa(b.starts)); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	args = append([]string{b.dir, "-qmp", "unix:qmp,server=on,wait=off"}, args...)
	b.cmd = exec.Command("./boot", args...)
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.Env = append(os.Environ(),
		fmt.Sprintf("UPDATES=/usr/bin/env %s=%s '%s'", pipe, b.server.updates(), self),
		fmt.Sprintf("GATEWAY=/usr/bin/env %s=%s '%s'", pipe, b.server.line.Addr(), self))
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	exited, cmd := make(chan struct{}), b.cmd
	b.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	b.shell = b.dial("shell")
	b.out = bufio.NewReader(b.shell)
}

// dial connects with a socket of the emulator. Its own path may be too long.
func (b *board) dial(name string) net.Conn {
	b.t.Helper()
	dir, err := os.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", path); err == nil {
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				b.t.Fatal(err)
			}
			return c
		}
		select {
		case <-b.exited:
			b.t.Fatalf("the emulator does not run: %s", b.tail("qemu.log"))
		case <-tick.C:
		}
	}
}

// errOff tells that the board went off, or started anew, which is the same here.
var errOff = errors.New("the board went off")

// try runs a script in it as root, and returns what that printed, and its exit code.
func (b *board) try(script string) (string, int, error) {
	b.t.Helper()
	b.said++
	mark := fmt.Sprintf("--- %d ", b.said)
	if err := b.shell.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Fprintf(b.shell, "(\n%s\n) </dev/null 2>&1; printf '\\n%s%%d\\n' $?\n", script, mark); err != nil {
		return "", 0, b.off(err)
	}
	var out strings.Builder
	for {
		line, err := b.out.ReadString('\n')
		if err != nil {
			return out.String(), 0, b.off(err)
		}
		if code, found := strings.CutPrefix(line, mark); found {
			n, err := strconv.Atoi(strings.TrimSpace(code))
			return strings.TrimSpace(out.String()), n, err
		}
		out.WriteString(line)
	}
}

// off returns errOff if that is why err is.
func (b *board) off(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer in %s; its console: %s", patience, b.tail("console.log"))
	}
	<-b.exited
	if said := b.tail("console.log"); strings.Contains(said, "Kernel panic") {
		return fmt.Errorf("the kernel went into a panic: %s", said)
	}
	return errOff
}

// run is try, and wants that to succeed.
func (b *board) run(script string) string {
	b.t.Helper()
	out, code, err := b.try(script)
	if err != nil || code != 0 {
		b.t.Fatalf("%s\nexit code %d, error %v, after\n%s\nconsole: %s", script, code, err, out, b.tail("console.log"))
	}
	return out
}

// await waits in it until a condition holds, for so many of its own seconds.
func (b *board) await(seconds int, condition string) {
	b.t.Helper()
	_, code, err := b.try(fmt.Sprintf("end=$(($(cut -d. -f1 /proc/uptime) + %d))\nuntil %s; do [ $(cut -d. -f1 /proc/uptime) -lt $end ] || exit 1; sleep 0.5; done >/dev/null", seconds, condition))
	if err != nil {
		b.t.Fatalf("%s: %v", condition, err)
	}
	if code != 0 {
		out, _, _ := b.try("systemctl --no-pager --failed; journalctl --no-pager -b -n 60")
		b.t.Fatalf("not in %d s: %s\n%s", seconds, condition, out)
	}
}

// ready waits until the daemon has told that it is.
func (b *board) ready() {
	b.t.Helper()
	b.await(300, "systemctl is-active --quiet kioskd")
}

// version returns which one runs.
func (b *board) version() string {
	b.t.Helper()
	return b.run(`. /usr/lib/os-release; echo "$IMAGE_VERSION"`)
}

// uptime returns how long it has been on, in seconds of its own.
func (b *board) uptime() float64 {
	b.t.Helper()
	n, err := strconv.ParseFloat(b.run("cut -d' ' -f1 /proc/uptime"), 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// update has it update itself at once, which restarts it.
func (b *board) update() {
	b.t.Helper()
	if said, code, err := b.try("systemctl start kioskd-update || { journalctl --no-pager -b -u kioskd-update -n 20; false; }"); err == nil && code != 0 {
		b.t.Fatalf("no update: %s", said)
	}
	b.restarted()
}

// restarted waits until it is off, and switches it on again.
func (b *board) restarted() {
	b.t.Helper()
	select {
	case <-b.exited:
	case <-time.After(patience):
		b.t.Fatalf("no restart in %s; console: %s", patience, b.tail("console.log"))
	}
	if said := b.tail("console.log"); strings.Contains(said, "Kernel panic") {
		b.t.Fatalf("the kernel went into a panic: %s", said)
	}
	b.cut()
	b.start()
}

// cut takes its power away.
func (b *board) cut() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	<-b.exited
	_ = b.shell.Close()
	used := b.cmd.ProcessState.UserTime() + b.cmd.ProcessState.SystemTime()
	b.t.Logf("%s: start %d took %.0f s of a processor", filepath.Base(b.dir), b.starts, used.Seconds())
	b.cmd = nil
}

// tail returns the end of a file of its folder.
func (b *board) tail(name string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// monitor has QEMU's own monitor do something, and returns what it answers.
func (b *board) monitor(commands ...string) string {
	b.t.Helper()
	c := b.dial("qmp")
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	answer := ""
	if _, err := in.ReadString('\n'); err != nil { // its greeting
		b.t.Fatal(err)
	}
	for _, command := range append([]string{`{"execute":"qmp_capabilities"}`}, commands...) {
		if _, err := fmt.Fprintln(c, command); err != nil {
			b.t.Fatal(err)
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				b.t.Fatalf("%s: %v", command, err)
			}
			if strings.Contains(line, `"event"`) {
				continue
			}
			if !strings.Contains(line, `"return"`) {
				b.t.Fatalf("%s: %s", command, line)
			}
			answer = line
			break
		}
	}
	return answer
}

// keys presses keys at once, by the names that QEMU has for them.
func (b *board) keys(names ...string) {
	b.t.Helper()
	var list []map[string]string
	for _, name := range names {
		list = append(list, map[string]string{"type": "qcode", "data": name})
	}
	command, err := json.Marshal(map[string]any{"execute": "send-key", "arguments": map[string]any{"keys": list}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.monitor(string(command))
}

// freeze stops it for good at this moment. What is forked from it goes on there.
func (b *board) freeze() {
	b.t.Helper()
	b.monitor(`{"execute":"stop"}`, `{"execute":"migrate","arguments":{"uri":"exec:cat >memory"}}`)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		switch status := b.monitor(`{"execute":"query-migrate"}`); {
		case strings.Contains(status, `"completed"`):
			b.cut()
			return
		case strings.Contains(status, `"failed"`):
			b.t.Fatalf("its memory is not saved: %s; %s", status, b.tail("qemu.log"))
		}
		<-tick.C
	}
}

// fork returns a board that goes on from where this one was frozen.
func (b *board) fork(t *testing.T, name string) *board {
	t.Helper()
	other := newBoard(t, filepath.Join(filepath.Dir(b.dir), name))
	vars, err := os.ReadFile(filepath.Join(b.dir, "vars.fd"))
	if err == nil {
		err = os.WriteFile(filepath.Join(other.dir, "vars.fd"), vars, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	tool(t, other.dir, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(b.dir, "disk.qcow2"), "disk.qcow2")
	other.start("-incoming", "exec:cat '"+filepath.Join(b.dir, "memory")+"'")
	// It comes as stopped as it went.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(other.monitor(`{"execute":"query-status"}`), `"paused"`) {
		<-tick.C
	}
	other.monitor(`{"execute":"cont"}`)
	return other
}

func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A server offers updates to one board.
type server struct {
	http *httptest.Server
	line net.Listener // to the gateway

	mu    sync.Mutex
	dest  string            // the address of the gateway; "": it cannot be reached
	dir   string            // that is offered; "": nothing
	other map[string][]byte // in place of files there; nil: of which half is sent
	sent  int64             // bytes of images
	at    int64             // bytes after which then is called, once; 0: not
	then  func()
}

func newServer(t *testing.T) *server {
	t.Helper()
	line, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{line: line}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	t.Cleanup(func() { _ = line.Close() })
	go s.connect()
	return s
}

// reach has the board reach a gateway from now on.
func (s *server) reach(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dest = address
}

// connect joins what comes in with the gateway, and hangs up while there is none.
func (s *server) connect() {
	for {
		in, err := s.line.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		dest := s.dest
		s.mu.Unlock()
		out, err := net.Dial("tcp", dest)
		if err != nil {
			_ = in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				_ = way[0].Close()
			}()
		}
	}
}

func (s *server) updates() string { return s.http.Listener.Addr().String() }

// offer has it offer a folder, with other contents of some of its files.
func (s *server) offer(dir string, other map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir, s.other, s.sent, s.at, s.then = dir, other, 0, 0, nil
}

// after has then called once that many bytes of images were sent.
func (s *server) after(bytes int64, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.at, s.then = 0, bytes, then
}

// images returns how many bytes of images were sent since the last offer.
func (s *server) images() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	dir, other := s.dir, s.other
	s.mu.Unlock()
	name := filepath.Base(r.URL.Path)
	text, replaced := other[name]
	file, err := os.Open(filepath.Join(dir, name))
	if dir == "" || err != nil && !replaced {
		http.NotFound(w, r)
		return
	}
	if err == nil {
		defer file.Close()
	}
	if replaced && text != nil {
		_, _ = w.Write(text)
		return
	}
	size := int64(0)
	if info, err := file.Stat(); err == nil {
		size = info.Size()
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if replaced {
		size /= 2
	}
	var to io.Writer = w
	if strings.HasPrefix(name, "kiosk_") {
		to = &counter{w, s}
	}
	_, _ = io.Copy(to, io.LimitReader(file, size)) // whoever hangs up has gone
}

// A counter counts what is sent.
type counter struct {
	io.Writer
	*server
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.mu.Lock()
	c.sent += int64(n)
	then := c.then
	if c.at == 0 || c.sent < c.at {
		then = nil
	} else {
		c.then = nil
	}
	c.mu.Unlock()
	if then != nil {
		then()
	}
	return n, err
}

// spoilt returns a copy of a file, of which one bit is another.
func spoilt(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
