package guest

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A moduleSet is the modules of a kernel, by name: what is needed of them, and
// where they are.
type moduleSet struct {
	path    map[string]string   // of each module's file
	needs   map[string][]string // what each module asks for, in its own order
	builtin map[string]bool     // part of the kernel itself
}

// moduleName is how the kernel calls the module of a file.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// readModules looks at all modules below the folders. Debian compresses those
// of later kernels; 6.1's are as the linker left them.
func readModules(dirs ...string) (*moduleSet, error) {
	s := &moduleSet{path: map[string]string{}, needs: map[string][]string{}, builtin: map[string]bool{}}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.Name() == "modules.builtin":
				list, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				for line := range strings.Lines(string(list)) {
					s.builtin[moduleName(strings.TrimSpace(line))] = true
				}
			case filepath.Ext(file) == ".ko":
				needs, err := moduleNeeds(file)
				if err != nil {
					return fmt.Errorf("read module %s: %w", file, err)
				}
				s.path[moduleName(file)], s.needs[moduleName(file)] = file, needs
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// moduleNeeds reads what a module says about itself.
func moduleNeeds(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%w: no section .modinfo", os.ErrInvalid)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// order returns the modules to load for one of them to load, itself last. It
// is empty for what is part of the kernel.
func (s *moduleSet) order(name string) ([]string, error) {
	var order []string
	state := map[string]bool{} // true: its turn came
	var visit func(string) error
	visit = func(name string) error {
		done, met := state[name]
		switch {
		case done || s.builtin[name]:
			return nil
		case met:
			return fmt.Errorf("module %s needs itself", name)
		case s.path[name] == "":
			return fmt.Errorf("no module %s", name)
		}
		state[name] = false
		for _, need := range s.needs[name] {
			if err := visit(need); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		state[name] = true
		order = append(order, name)
		return nil
	}
	return order, visit(strings.ReplaceAll(name, "-", "_"))
}
