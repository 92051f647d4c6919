package guest

import (
	"slices"
	"strings"
)

// A console watches the kernel's log for what must not be there. The zero
// value is ready.
type console struct {
	broken   string   // the first line of a panic or an oops
	warnings []string // the lines that say where the kernel warned
	tail     []string // the last lines
}

// tailLines is how much of the log is shown when something went wrong.
const tailLines = 40

// signs are what a kernel says that cannot be trusted any more. A processor's
// stall is not among them: under emulation it tells how busy this machine is,
// and the guest starts without that watchdog.
func signs() []string {
	return []string{
		"Kernel panic", "BUG: ", "kernel BUG at ", "Oops: ", "Internal error: ", "general protection fault", "double fault: ",
		"Unable to handle kernel", "blocked for more than",
	}
}

// add takes one line of the log.
func (c *console) add(line string) {
	line = strings.TrimRight(line, "\r\n")
	if c.broken == "" && slices.ContainsFunc(signs(), func(sign string) bool { return strings.Contains(line, sign) }) {
		c.broken = line
	}
	if strings.Contains(line, "WARNING: CPU: ") {
		c.warnings = append(c.warnings, line)
	}
	c.tail = append(c.tail, line)
	if len(c.tail) > tailLines {
		c.tail = c.tail[1:]
	}
}
