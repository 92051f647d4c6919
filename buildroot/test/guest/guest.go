package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrLacks tells that this machine lacks what a guest takes.
var ErrLacks = errors.New("this machine lacks what the guest takes")

// Options say what to test, and where.
type Options struct {
	Arch     Arch          // required
	Packages []string      // patterns as of "go list"; none: every package that has guest tests
	Run      string        // which tests, as of "go test -run"; "": ^TestGuest
	Timeout  time.Duration // of the guest, from power on to off; 0: 10 minutes
	Cache    string        // folder of the kernels; "": $XDG_CACHE_HOME/livekiosk/guest, or what stands for it
	Out      string        // folder of the kernel's log; "": out/guest
}

// Run tests packages of the module in the current folder. Progress, the tests'
// output and the verdicts go to out, as "go test -v" prints them; the kernel's
// log becomes console-ARCH.log. The error is nil only if everything was tested
// and passed; it is ErrLacks if nothing could be.
func Run(ctx context.Context, o Options, out io.Writer) error {
	o.Run = cmp.Or(o.Run, "^TestGuest")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Minute)
	o.Out = cmp.Or(o.Out, "out/guest")
	if o.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLacks, err)
		}
		o.Cache = filepath.Join(cache, "livekiosk", "guest")
	}
	if lacking := missing(o.Arch.tools()); len(lacking) > 0 {
		return fmt.Errorf("%w: %s: .tools/setup guest installs it", ErrLacks, strings.Join(lacking, ", "))
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return err
	}
	k := kitchen{arch: o.Arch, cache: o.Cache, log: out}
	kern, err := k.kernel(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "livekiosk-guest-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	b := builder{arch: o.Arch, kern: kern, work: work, log: out}
	suites, err := b.suites(ctx, o.Packages)
	if err != nil {
		return err
	}
	began := time.Now()
	for _, s := range suites {
		if err = b.compile(ctx, s); err != nil {
			return err
		}
	}
	image := filepath.Join(work, "initramfs")
	if err = b.pack(ctx, image, suites, o.Run, o.Timeout); err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	info, err := os.Stat(image)
	if err != nil {
		return err
	}
	k.say("%s: %d test binaries in an initramfs of %d MB, made in %.0f s", o.Arch, len(suites), info.Size()>>20, time.Since(began).Seconds())
	var names []string
	for _, s := range suites {
		names = append(names, s.ImportPath)
	}
	m := machine{
		arch: o.Arch, kernel: filepath.Join(kern.dir, "vmlinuz"), image: image, size: info.Size(), work: work,
		log: filepath.Join(o.Out, "console-"+string(o.Arch)+".log"),
	}
	return m.run(ctx, o.Timeout, names, out)
}
