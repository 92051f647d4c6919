// Command init is the first process of a guest. It makes the guest's folders
// and devices, runs the tests that the plan names, sends what they say to the
// harness, and powers off. What goes wrong before that goes to the console.
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
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest"
	"livekiosk/buildroot/test/guest/module"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "init: %v\n", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	if err := prepare(); err != nil {
		return err
	}
	text, err := os.ReadFile(guest.PlanFile)
	if err != nil {
		return err
	}
	var plan guest.Plan
	if err = json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	port, err := results()
	if err != nil {
		return err
	}
	for _, t := range plan.Tests {
		if err = test(t, port); err != nil {
			return fmt.Errorf("send results: %w", err)
		}
	}
	_, err = io.WriteString(port, guest.Mark+"bye\n")
	return err
}

// prepare makes what programs expect of a system.
func prepare() error {
	for _, m := range []struct{ what, where, options string }{
		{"devtmpfs", "/dev", ""},
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
	} {
		if err := unix.Mount(m.what, m.where, m.what, 0, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	for _, name := range []string{"virtio_pci", "virtio_console"} {
		if err := module.Load(name); err != nil {
			return err
		}
	}
	if busybox := exec.CommandContext(context.Background(), "/bin/busybox", "--install", "-s", "/bin"); busybox.Run() != nil {
		return errors.New("install busybox's commands")
	}
	return errors.Join(clock(), loopback())
}

// clock sets the time, which the harness tells: not every guest has a clock.
func clock() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(word, "guest.time="); ok {
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return fmt.Errorf("read the time: %w", err)
			}
			return unix.Settimeofday(&unix.Timeval{Sec: seconds})
		}
	}
	return errors.New("the kernel's command line tells no time")
}

// loopback brings up the only network there is.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("bring up the loopback: %w", err)
	}
	return nil
}

// results opens the line to the harness, which appears a moment after its
// driver was loaded.
func results() (*os.File, error) {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for began := time.Now(); time.Since(began) < 10*time.Second; <-retry.C {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if name, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(name)) == guest.Port {
				return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(file))), os.O_WRONLY, 0)
			}
		}
	}
	return nil, errors.New("the emulator gives no line " + guest.Port)
}

// test runs one test binary. The error is about the line to the harness alone.
func test(t guest.PlannedTest, port io.Writer) error {
	if _, err := fmt.Fprintf(port, "%sbegin %s\n", guest.Mark, t.Package); err != nil {
		return err
	}
	began := time.Now()
	code, err := play(t, port)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(port, "%send %s %d %d\n", guest.Mark, t.Package, code, time.Since(began).Milliseconds())
	return err
}

// play runs the binary, sends whole lines, and returns its exit code.
func play(t guest.PlannedTest, port io.Writer) (code int, sent error) {
	cmd := exec.CommandContext(context.Background(), t.Args[0], t.Args[1:]...)
	cmd.Dir = t.Dir
	cmd.Env = []string{"PATH=/bin", "HOME=/root", "TMPDIR=/tmp", "USER=root"}
	from, to := io.Pipe()
	cmd.Stdout, cmd.Stderr = to, to
	cmd.WaitDelay = 5 * time.Second // for a child of the test that outlives it
	var reader sync.WaitGroup
	reader.Go(func() {
		for b := bufio.NewReader(from); ; {
			line, err := b.ReadString('\n')
			if line = strings.TrimSuffix(line, "\n"); line != "" || err == nil {
				_, failed := io.WriteString(port, line+"\n")
				sent = errors.Join(sent, failed)
			}
			if err != nil {
				return
			}
		}
	})
	err := cmd.Run()
	_ = to.Close()
	reader.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, sent
	case errors.As(err, &exit):
		return exit.ExitCode(), sent
	default:
		_, failed := fmt.Fprintf(port, "%v\n", err)
		return 1, errors.Join(sent, failed)
	}
}
