package guest

import (
	"cmp"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A payload is what guest tests want beside themselves. Their files ask for
// it, in lines of their own:
//
//	//guest:program ./cmd/kioskd ./cmd/kioskctl
//	//guest:host /usr/bin/Xvfb /usr/share/X11/xkb
//	//guest:models
//
// The programs of the module are then in /bin, the files and folders of this
// machine where they are here, all with the libraries that they are linked to,
// and the inference runtime and the weights in ModelsDir.
type payload struct {
	programs []string // packages, as of the module's folder
	host     []string // paths
	models   bool
}

// ModelsDir is where a guest has the inference runtime and the weights.
const ModelsDir = "/lab/models"

// payloads reads what the guest tests of the packages ask for.
func payloads(suites []suite) (p payload, err error) {
	for _, s := range suites {
		for _, file := range append(slices.Clone(s.TestGoFiles), s.XTestGoFiles...) {
			text, err := os.ReadFile(filepath.Join(s.Dir, file))
			if err != nil {
				return p, err
			}
			for line := range strings.Lines(string(text)) {
				wish, ok := strings.CutPrefix(line, "//guest:")
				if !ok {
					continue
				}
				switch f := strings.Fields(wish); {
				case len(f) > 1 && f[0] == "program":
					p.programs = append(p.programs, f[1:]...)
				case len(f) > 1 && f[0] == "host":
					p.host = append(p.host, f[1:]...)
				case len(f) == 1 && f[0] == "models":
					p.models = true
				default:
					return p, fmt.Errorf("%s: //guest:%s: want program PACKAGE..., host PATH... or models", filepath.Join(s.Dir, file), strings.TrimSpace(wish))
				}
			}
		}
	}
	slices.Sort(p.programs)
	slices.Sort(p.host)
	p.programs, p.host = slices.Compact(p.programs), slices.Compact(p.host)
	return p, nil
}

// carry puts a payload into the initramfs.
func (b *builder) carry(ctx context.Context, a *archive, p payload) error {
	if len(p.programs)+len(p.host) > 0 && string(b.arch) != runtime.GOARCH {
		return fmt.Errorf("%s: they or their libraries are this machine's, which is %s", strings.Join(append(p.programs, p.host...), " "), runtime.GOARCH)
	}
	var files []string // whose libraries are needed
	for _, pkg := range p.programs {
		file := filepath.Join(b.work, path.Base(pkg))
		cmd := exec.CommandContext(ctx, "go", "build", "-o", file, pkg)
		cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=1"), b.log, b.log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build %s: %w", pkg, err)
		}
		if err := a.copyFile("/bin/"+path.Base(pkg), file); err != nil {
			return err
		}
		if linked(file) {
			files = append(files, file)
		}
	}
	for _, file := range p.host {
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w: .tools/setup guest brings it", ErrLacks, err)
		case info.IsDir():
			err = a.copyTree(filepath.Dir(file), filepath.Dir(file), filepath.Base(file))
		default:
			err = a.copyFile(file, file)
			if linked(file) {
				files = append(files, file)
			}
		}
		if err != nil {
			return err
		}
	}
	if p.models {
		library, err := a.copyModels(b.models, b.arch)
		if err != nil {
			return err
		}
		files = append(files, library)
	}
	libraries, err := sharedObjects(ctx, files)
	if err != nil {
		return err
	}
	for _, file := range libraries {
		if err := a.copyFile(file, file); err != nil {
			return err
		}
	}
	return nil
}

// copyModels puts the weights and the inference runtime for an architecture into
// ModelsDir, and returns the latter. dir may hold those for other boards, too.
func (a *archive) copyModels(dir string, arch Arch) (library string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w: .tools/setup brings it", ErrLacks, err)
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		switch {
		case !e.Type().IsRegular():
			continue
		case strings.HasSuffix(file, "-"+string(arch)+".so"):
			library = file
		case filepath.Ext(file) == ".so":
			continue // the runtime of another board
		}
		if err := a.copyFile(path.Join(ModelsDir, e.Name()), file); err != nil {
			return "", err
		}
	}
	if library == "" {
		return "", fmt.Errorf("%w: no inference runtime for %s in %s: .tools/setup brings it", ErrLacks, arch, dir)
	}
	return library, nil
}

// linked reports whether a file is a program or a library that takes others.
func linked(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	takes, err := f.ImportedLibraries()
	return err == nil && len(takes) > 0
}

// sharedObjects returns the libraries that files take, and those that these
// take, with the loader, each once.
func sharedObjects(ctx context.Context, files []string) ([]string, error) {
	seen := map[string]bool{}
	for _, file := range files {
		text, err := exec.CommandContext(ctx, "ldd", file).Output()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", file, err)
		}
		for line := range strings.Lines(string(text)) {
			name, found, _ := strings.Cut(strings.TrimSpace(line), " => ")
			where, _, _ := strings.Cut(cmp.Or(found, name), " (")
			switch {
			case strings.HasPrefix(where, "/"):
				seen[where] = true
			case strings.HasPrefix(where, "linux-vdso"):
			default:
				return nil, fmt.Errorf("%s takes %s: %s", file, name, where)
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}
