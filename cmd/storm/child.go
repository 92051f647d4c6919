package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// roleVariable names the role of a child: this program started again. It is a
// variable of the environment and no argument, so that a test's binary can be
// the child as well.
const roleVariable = "LIVEKIOSK_STORM_ROLE"

// roles are what a child can be. Each reads its configuration from the first
// line of in, writes reports as JSON lines to out, and ends when in does: with
// its parent, or when that asks for it.
func roles() map[string]func(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	return map[string]func(context.Context, *bufio.Reader, io.Writer) error{
		"kiosk":   beKiosk,
		"gateway": beGateway,
		"relay":   beRelay,
		"drain":   beDrain,
	}
}

// be plays the role that the environment names and returns the exit code. It
// reports whether there is one.
func be(ctx context.Context) (code int, child bool) {
	name := os.Getenv(roleVariable)
	if name == "" {
		return 0, false
	}
	play, known := roles()[name]
	if !known {
		say(os.Stderr, "%s: no such role\n", name)
		return exitUsage, true
	}
	if err := play(ctx, bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		say(os.Stderr, "%s: %v\n", name, err)
		return exitFailed, true
	}
	return exitOK, true
}

// configured reads a child's configuration, and returns a context that ends
// when in does.
func configured(ctx context.Context, in *bufio.Reader, config any) (context.Context, error) {
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, config)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in) // its end is what counts
	}()
	return ctx, nil
}

// A child is a process of ours.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{} // closed when it has ended and all it wrote was heard
}

// spawn starts this program in a role. hear gets each line that it writes,
// also those it wrote before it was killed.
func spawn(ctx context.Context, role string, config any, log io.Writer, hear func(line []byte)) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	line, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", role, err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	c, err := start(cmd, role, log, hear)
	if err != nil {
		return nil, err
	}
	c.in = in
	if _, err := in.Write(append(line, '\n')); err != nil {
		c.kill()
		return nil, fmt.Errorf("configure %s: %w", role, err)
	}
	return c, nil
}

// start starts a process that does not outlive this one, however this one
// ends. hear may be nil.
func start(cmd *exec.Cmd, name string, log io.Writer, hear func(line []byte)) (*child, error) {
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is the parent's
	cmd.WaitDelay = 5 * time.Second
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if hear != nil {
				hear(lines.Bytes())
			}
		}
		_ = cmd.Wait() // the exit code is read from ProcessState
	}()
	return c, nil
}

// kill ends the child as a power cut would. A nil child has ended.
func (c *child) kill() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended before
	<-c.done
}

var errEnded = errors.New("ended by itself")

// stop asks the child to end, and returns an error unless it ended well.
func (c *child) stop(patience time.Duration) error {
	if c == nil {
		return nil
	}
	if c.in != nil {
		_ = c.in.Close() // it may have ended before
	} else {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.kill()
		return fmt.Errorf("%s did not end within %v", c.name, patience)
	}
	return c.verdict()
}

// verdict returns an error unless the child, which has ended, ended well.
func (c *child) verdict() error {
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s: %w: %s", c.name, errEnded, c.cmd.ProcessState)
	}
	return nil
}

// tell writes one report of a child.
func tell(out io.Writer, report any) error {
	b, err := json.Marshal(report)
	if err == nil {
		_, err = out.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
