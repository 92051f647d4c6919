package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A machine is a guest that is about to run.
type machine struct {
	arch   Arch
	kernel string
	image  string
	size   int64  // of the image, in bytes
	work   string // folder for the socket
	log    string // file for the kernel's log
}

// arguments are those of the emulator. Results come out at the socket, the
// kernel's log at the standard output.
func (m *machine) arguments(socket string) []string {
	memory := 768 + 2*m.size>>20 // it is there twice while the kernel unpacks it
	return append(m.arch.emulator()[1:],
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", strconv.FormatInt(memory, 10),
		"-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", m.kernel, "-initrd", m.image,
		// A panic or an oops ends the emulator at once.
		"-append", fmt.Sprintf("console=%s loglevel=5 oops=panic panic=-1 nowatchdog guest.time=%d", m.arch.console(), time.Now().Unix()),
		"-device", "virtio-serial-pci", "-chardev", "socket,id=results,path="+socket, "-device", "virtserialport,chardev=results,name="+Port)
}

// run boots the guest, shows what its tests say, and judges the run.
func (m *machine) run(ctx context.Context, timeout time.Duration, packages []string, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no end after %v", timeout))
	defer cancel()
	socket := filepath.Join(m.work, "results")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	log, err := os.Create(m.log)
	if err != nil {
		return err
	}
	defer log.Close()

	began := time.Now()
	cmd := exec.CommandContext(ctx, m.arch.emulator()[0], m.arguments(socket)...)
	cmd.Stderr = out
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrLacks, err)
	}
	r, c := newReport(out), &console{}
	var readers sync.WaitGroup
	readers.Go(func() { // the kernel's log, until the emulator ends
		eachLine(io.TeeReader(serial, log), c.add)
		_ = listener.Close() // the emulator may have ended before it came to the socket
	})
	readers.Go(func() { // the results
		conn, closed := listener.Accept()
		if closed != nil {
			return
		}
		eachLine(conn, r.line)
		_ = conn.Close()
	})
	readers.Wait()
	err = cmd.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m.judge(r, c, err, packages, time.Since(began), out)
}

// judge tells what became of the run; ended is how the emulator did.
func (m *machine) judge(r *report, c *console, ended error, packages []string, took time.Duration, out io.Writer) error {
	err := r.verdict(packages)
	switch {
	case c.broken != "":
		err = fmt.Errorf("the kernel broke: %s", c.broken)
	case ended != nil:
		err = errors.Join(fmt.Errorf("emulator: %w", ended), err)
	}
	for _, w := range c.warnings {
		_, _ = fmt.Fprintf(out, "guest: %s: THE KERNEL WARNED: %s\n", m.arch, w)
	}
	if err != nil {
		_, _ = fmt.Fprintf(out, "guest: %s: the end of %s:\n\t%s\n", m.arch, m.log, strings.Join(c.tail, "\n\t"))
		return err
	}
	_, _ = fmt.Fprintf(out, "guest: %s: %d packages passed; %.0f s from power on to off\n", m.arch, len(packages), took.Seconds())
	return nil
}

// eachLine calls do with each line until the reader ends. Lines may be long.
func eachLine(r io.Reader, do func(string)) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" || err == nil {
			do(line)
		}
		if err != nil {
			return
		}
	}
}
