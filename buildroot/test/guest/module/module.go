// Package module loads the kernel modules that a guest brings along.
package module

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is where a guest has its modules, NAME.ko each. Its file "order" has a
// line for each that may be asked for, "NAME: FIRST SECOND NAME": what is
// loaded for it, in order.
const Dir = "/lab/modules"

// Load loads a module with its parameters ("n_devs=2"), and before it what it
// needs. One that is loaded already keeps the parameters it has.
func Load(name string, params ...string) error {
	list, err := os.ReadFile(filepath.Join(Dir, "order"))
	if err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	for line := range strings.Lines(string(list)) {
		order, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		for m := range strings.FieldsSeq(order) {
			with := ""
			if m == name {
				with = strings.Join(params, " ")
			}
			if err := insert(filepath.Join(Dir, m+".ko"), with); err != nil {
				return fmt.Errorf("load %s for %s: %w", m, name, err)
			}
		}
		return nil
	}
	return fmt.Errorf("load %s: %w: the guest brings no such module", name, os.ErrNotExist)
}

func insert(file, params string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// Unload removes a module; it is an error if something still uses it.
func Unload(name string) error {
	if err := unix.DeleteModule(name, unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("unload %s: %w", name, err)
	}
	return nil
}
