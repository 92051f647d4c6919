package guesttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest/module"
)

// A Chip is a GPIO chip of the kernel's simulator, "gpio-sim". Tests hold the
// other end of its lines: they pull those that a program reads, and see what a
// program drives.
type Chip struct {
	Path string // /dev/gpiochipN

	tb     testing.TB
	config string // its folder in configfs, whose "live" makes and removes it
	sysfs  string // the folder of its lines, sim_gpioN each
	lines  []string
}

// NewChip makes a chip with lines of these names, in this order. An empty name
// is a line without one.
func NewChip(tb testing.TB, lines ...string) *Chip {
	tb.Helper()
	// It stays: a chip that went away with lines in use keeps its module busy.
	if err := module.Load("gpio_sim"); err != nil {
		tb.Fatal(err)
	}
	const root = "/sys/kernel/config"
	if err := unix.Mount("configfs", root, "configfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		tb.Fatalf("mount %s: %v", root, err)
	}
	name := strings.ReplaceAll(tb.Name(), "/", "-") + "-" + filepath.Base(tb.TempDir()) // numbered by call
	c := &Chip{tb: tb, config: filepath.Join(root, "gpio-sim", name), lines: lines}
	bank := filepath.Join(c.config, "bank0")
	c.must(os.Mkdir(c.config, 0o755))
	tb.Cleanup(c.discard)
	c.must(os.Mkdir(bank, 0o755))
	c.write(filepath.Join(bank, "num_lines"), strconv.Itoa(len(lines)))
	for i, name := range lines {
		if name == "" {
			continue
		}
		line := filepath.Join(bank, fmt.Sprintf("line%d", i))
		c.must(os.Mkdir(line, 0o755))
		c.write(filepath.Join(line, "name"), name)
	}
	c.Plug()
	return c
}

// Plug makes the chip appear. NewChip has done so.
func (c *Chip) Plug() {
	c.tb.Helper()
	c.write(filepath.Join(c.config, "live"), "1")
	device, chip := c.read(filepath.Join(c.config, "dev_name")), c.read(filepath.Join(c.config, "bank0", "chip_name"))
	c.Path = filepath.Join("/dev", chip)
	c.sysfs = filepath.Join("/sys/devices/platform", device, chip)
}

// Unplug takes the chip away, also from a program that uses it. Plug brings it
// back with its lines as they were at first; its path may be another.
func (c *Chip) Unplug() {
	c.tb.Helper()
	c.write(filepath.Join(c.config, "live"), "0")
}

// Pull sets what a line reads as while no program drives it.
func (c *Chip) Pull(name string, high bool) {
	c.tb.Helper()
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	c.write(filepath.Join(c.line(name), "pull"), pull)
}

// High reports the level of a line: what a program drives, else its pull.
func (c *Chip) High(name string) bool {
	c.tb.Helper()
	return c.read(filepath.Join(c.line(name), "value")) == "1"
}

// line is the folder of a line.
func (c *Chip) line(name string) string {
	c.tb.Helper()
	for i, line := range c.lines {
		if line == name {
			return filepath.Join(c.sysfs, fmt.Sprintf("sim_gpio%d", i))
		}
	}
	c.tb.Fatalf("the chip has no line %q", name)
	return ""
}

// discard removes the chip. In configfs a folder's attributes go with it, and
// only folders that were made can be removed.
func (c *Chip) discard() {
	if c.read(filepath.Join(c.config, "live")) == "1" {
		c.Unplug()
	}
	for i := range c.lines {
		if err := os.Remove(filepath.Join(c.config, "bank0", fmt.Sprintf("line%d", i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.tb.Error(err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(c.config, "bank0")), os.Remove(c.config)); err != nil {
		c.tb.Error(err)
	}
}

func (c *Chip) must(err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatal(err)
	}
}

func (c *Chip) write(file, text string) {
	c.tb.Helper()
	c.must(os.WriteFile(file, []byte(text), 0o644))
}

func (c *Chip) read(file string) string {
	c.tb.Helper()
	text, err := os.ReadFile(file)
	c.must(err)
	return strings.TrimSpace(string(text))
}
