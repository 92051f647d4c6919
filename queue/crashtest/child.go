package crashtest

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
const roleVariable = "LIVEKIOSK_CRASHTEST_ROLE"

// The roles of children.
const (
	roleKeeper   = "keeper"   // has the mounts and devices, which go with it
	roleWorker   = "worker"   // goes through sessions
	roleVerifier = "verifier" // answers trials until its input ends

	rolePreflight = "preflight" // reads an outbox that its parent is about to open
)

// Play plays the role that the environment names, if it names one, and returns
// the exit code. It reports whether there was one. Whoever calls Run calls Play
// first thing in main, with a context that no Ctrl-C ends.
func Play(ctx context.Context) (code int, played bool) {
	role := os.Getenv(roleVariable)
	if role == "" {
		return 0, false
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	var err error
	switch role {
	case roleKeeper:
		err = beKeeper(ctx, in, out)
	case roleWorker:
		var job work
		if err = in.Decode(&job); err == nil {
			err = beWorker(ctx, job)
		}
	case roleVerifier:
		err = beVerifier(ctx, in, out)
	case rolePreflight:
		err = bePreflight(ctx)
	default:
		err = fmt.Errorf("no such role: %s", role)
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", role, err) // nobody else could be told
		return 1, true
	}
	return 0, true
}

func beVerifier(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	m, err := newMaker(uint64(os.Getpid())) //nolint:gosec // any number does
	if err != nil {
		return err
	}
	for {
		var t trial
		if err := in.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(verify(ctx, t, m)); err != nil {
			return err
		}
	}
}

// A child is this program, or one built like it, in a role.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	send *json.Encoder
	hear *json.Decoder
	said *tail
	over chan struct{} // closed when it has ended
}

// spawn starts a child, of which none outlives this process. program is the
// binary; "": this one.
func spawn(ctx context.Context, role, program string, environment []string, attributes *syscall.SysProcAttr) (*child, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", role, err)
		}
		program = self
	}
	// It is killed by its parent, in order: a context would kill it while it has
	// a file of a mount open.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program)
	cmd.Env = append(append(os.Environ(), environment...), roleVariable+"="+role, "GOCOVERDIR="+os.TempDir())
	if attributes == nil {
		attributes = &syscall.SysProcAttr{}
	}
	attributes.Setpgid = true // Ctrl-C is the first process's
	attributes.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = attributes
	c := &child{cmd: cmd, said: &tail{}, over: make(chan struct{})}
	cmd.Stderr = c.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	cmd.Stdout = write
	err = cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	c.in, c.send, c.hear = in, json.NewEncoder(in), json.NewDecoder(bufio.NewReader(read))
	go func() {
		defer close(c.over)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	return c, nil
}

// kill ends the child as a power cut would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended before
	<-c.over
}

// stop asks the child to end by ending its input, and kills it if it does not.
// It returns an error unless it ended well.
func (c *child) stop(patience time.Duration) error {
	_ = c.in.Close() // it may have ended before
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-timer.C:
		c.kill()
	}
	return c.verdict()
}

// verdict returns an error unless the child, which has ended, ended well.
func (c *child) verdict() error {
	if s := c.cmd.ProcessState; !s.Success() {
		return fmt.Errorf("%s: %s", s, c.said)
	}
	return nil
}

// A tail keeps the end of what was written to it: why a child ended.
type tail struct{ kept []byte }

// Write is io.Writer's.
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	t.kept = t.kept[max(0, len(t.kept)-4096):]
	return len(b), nil
}

func (t *tail) String() string { return string(t.kept) }
