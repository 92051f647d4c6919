package guest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// wanted lists the modules that guests get, with what these need. The first
// two are the way out for the results.
func wanted() []string {
	return []string{"virtio_pci", "virtio_console", "vivid", "gpio_sim", "v4l2loopback", "dummy_hcd", "usb_f_fs"}
}

// series is the kernel's, of Debian 12: newer ones need other changes to the
// modules that are built here.
const series = "6.1"

// A kernel is what was fetched for the guests of one architecture.
type kernel struct {
	dir     string // vmlinuz, modules/NAME.ko, busybox, and sysroot/ with libraries to link with
	release string // 6.1.0-57-amd64
	version string // of the Debian packages: 6.1.192-3
}

// A kitchen prepares kernels.
type kitchen struct {
	arch  Arch
	cache string
	log   io.Writer
}

// kernel returns the newest kernel of Debian's 6.1, which apt fetches and
// verifies by the archive's signatures. It is made once for each revision and
// kept in the cache; older revisions are removed.
func (k *kitchen) kernel(ctx context.Context) (kernel, error) {
	if err := os.MkdirAll(k.cache, 0o755); err != nil {
		return kernel{}, err
	}
	unlock, err := lock(filepath.Join(k.cache, "lock"))
	if err != nil {
		return kernel{}, err
	}
	defer unlock()

	kern, err := k.current(ctx)
	if !errors.Is(err, errMoved) {
		return kern, err
	}
	k.say("the archive has moved on: updating the list of packages")
	update := []string{"apt-get", "-q", "update"}
	if os.Geteuid() != 0 {
		update = append([]string{"sudo"}, update...)
	}
	if err := k.run(ctx, k.cache, update[0], update[1:]...); err != nil {
		return kernel{}, err
	}
	return k.current(ctx)
}

// current does so with the lists of packages that are there.
func (k *kitchen) current(ctx context.Context) (kernel, error) {
	kern, err := k.newest(ctx)
	if err != nil {
		return kernel{}, err
	}
	ready := filepath.Join(kern.dir, "ready")
	if _, missing := os.Stat(ready); missing == nil {
		k.say("kernel %s, Debian %s, from the cache", kern.release, kern.version)
		return kern, nil
	}
	k.say("kernel %s, Debian %s: fetching the kernel, its headers and its source", kern.release, kern.version)
	work, err := os.MkdirTemp(k.cache, "work-")
	if err != nil {
		return kernel{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := k.make(ctx, kern, work); err != nil {
		return kernel{}, fmt.Errorf("kernel %s: %w", kern.release, err)
	}
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		return kernel{}, err
	}
	return kern, k.forget(kern.version)
}

// newest asks apt which kernel is the newest.
func (k *kitchen) newest(ctx context.Context) (kernel, error) {
	meta := "linux-image-" + string(k.arch) + ":" + string(k.arch)
	text, err := k.ask(ctx, "apt-cache", "show", "--no-all-versions", meta)
	if err != nil {
		return kernel{}, fmt.Errorf("%w: apt knows no %s: .tools/setup guest adds the architecture", ErrLacks, meta)
	}
	found := regexp.MustCompile(`(?m)^Depends: .*\blinux-image-(` + regexp.QuoteMeta(series) + `\.[^ ]+) \(= ([^)]+)\)`).FindStringSubmatch(text)
	if found == nil {
		return kernel{}, fmt.Errorf("%w: apt knows no kernel of the series %s; it is Debian 12's", ErrLacks, series)
	}
	return kernel{release: found[1], version: found[2], dir: filepath.Join(k.cache, found[2], k.place())}, nil
}

// place is the folder of a kernel among those of its revision. Another list of
// modules is another place: guests of two work trees do not get in each
// other's way.
func (k *kitchen) place() string {
	h := fnv.New32a()
	for _, name := range wanted() {
		_, _ = io.WriteString(h, name+"\n")
	}
	return fmt.Sprintf("%s-%08x", k.arch, h.Sum32())
}

// make fetches and unpacks everything below work, and leaves in the kernel's
// folder what guests need.
func (k *kitchen) make(ctx context.Context, kern kernel, work string) error {
	if err := os.RemoveAll(kern.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(kern.dir, "modules"), 0o755); err != nil {
		return err
	}
	native := "linux-kbuild-" + series // runs here, so it is this machine's
	common := "linux-headers-" + strings.TrimSuffix(kern.release, "-"+string(k.arch)) + "-common"
	var packages []string
	for _, p := range []string{"linux-image-" + kern.release + ":" + string(k.arch), "linux-headers-" + kern.release + ":" + string(k.arch), common, native} {
		packages = append(packages, p+"="+kern.version)
	}
	packages = append(packages, "busybox-static:"+string(k.arch), "libturbojpeg0-dev:"+string(k.arch), "v4l2loopback-dkms")
	source := filepath.Join(k.cache, kern.version, "source")
	if _, err := os.Stat(source); err != nil {
		packages = append(packages, "linux-source-"+series+"="+kern.version)
	}
	if err := k.fetch(ctx, work, packages); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	for _, deb := range debs {
		if err = k.run(ctx, work, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	if err = k.source(ctx, source, root, work); err != nil {
		return err
	}
	k.say("kernel %s: building gpio-sim and v4l2loopback", kern.release)
	built := filepath.Join(work, "built")
	if err = k.build(ctx, kern, root, source, built); err != nil {
		return err
	}
	set, err := readModules(filepath.Join(root, "lib/modules", kern.release), built)
	if err != nil {
		return err
	}
	if err := k.keep(ctx, kern, set); err != nil {
		return err
	}
	for from, to := range map[string]string{
		"boot/vmlinuz-" + kern.release:                    "vmlinuz",
		"bin/busybox":                                     "busybox",
		"usr/include/turbojpeg.h":                         "sysroot/turbojpeg.h",
		"usr/lib/" + k.arch.triplet() + "/libturbojpeg.a": "sysroot/libturbojpeg.a",
	} {
		to = filepath.Join(kern.dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(root, from), to); err != nil {
			return err
		}
	}
	return nil
}

// errMoved tells that apt did not get a package that its lists name.
var errMoved = errors.New("a listed package cannot be had")

// fetch has apt bring packages into a folder.
func (k *kitchen) fetch(ctx context.Context, dir string, packages []string) error {
	args := append([]string{"-q", "-o", "APT::Sandbox::User=root", "download"}, packages...)
	if err := k.run(ctx, dir, "apt-get", args...); err != nil {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	return nil
}

// source takes from the kernel's source what Debian does not build.
func (k *kitchen) source(ctx context.Context, source, root, work string) error {
	if _, err := os.Stat(source); err == nil {
		return nil
	}
	k.say("unpacking the source of gpio-sim")
	tree := "linux-source-" + series
	err := k.run(ctx, work, "tar", "-xf", filepath.Join(root, "usr/src", tree+".tar.xz"), "--occurrence=1",
		tree+"/drivers/gpio/gpio-sim.c", tree+"/drivers/gpio/gpiolib.h", tree+"/kernel/irq/irq_sim.c")
	if err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, tree), source)
}

// kbuild is the makefile of the modules that Debian's kernel packages lack.
// CONFIG_GPIO_SIM and CONFIG_IRQ_SIM are off in them, so both go into one.
const kbuild = `obj-m += gpio-sim.o v4l2loopback.o
gpio-sim-y := gpio-sim-main.o irq_sim.o
ccflags-y += -I$(src)
`

// build makes gpio-sim and v4l2loopback.
func (k *kitchen) build(ctx context.Context, kern kernel, root, source, built string) error {
	if err := os.MkdirAll(built, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(built, "Kbuild"), []byte(kbuild), 0o644); err != nil {
		return err
	}
	loopback, err := filepath.Glob(filepath.Join(root, "usr/src/v4l2loopback-*", "*.[ch]"))
	if err != nil {
		return err
	}
	files := map[string]string{
		filepath.Join(source, "drivers/gpio/gpio-sim.c"): "gpio-sim-main.c",
		filepath.Join(source, "drivers/gpio/gpiolib.h"):  "gpiolib.h",
		filepath.Join(source, "kernel/irq/irq_sim.c"):    "irq_sim.c",
	}
	for _, file := range loopback {
		files[file] = filepath.Base(file)
	}
	for from, to := range files {
		// irq_to_desc is not there for modules.
		if err = edit(from, filepath.Join(built, to), "handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq_safe(irqnum)"); err != nil {
			return err
		}
	}
	// The headers expect to be installed.
	headers := filepath.Join(root, "usr/src/linux-headers-"+kern.release)
	makefile := filepath.Join(headers, "Makefile")
	if err = edit(makefile, makefile, " /usr/src/", " "+filepath.Join(root, "usr/src")+"/"); err != nil {
		return err
	}
	return k.run(ctx, built, "make", "-s", "-C", headers, "M="+built, "ARCH="+k.arch.kernel(), "CROSS_COMPILE="+k.arch.triplet()+"-", "modules")
}

// edit copies a text with all of one replaced by another.
func edit(from, to, all, by string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, []byte(strings.ReplaceAll(string(text), all, by)), 0o644)
}

// keep copies the modules that are wanted, without what only a debugger needs,
// and writes for each what is to be loaded for it, in order.
func (k *kitchen) keep(ctx context.Context, kern kernel, set *moduleSet) error {
	var orders strings.Builder
	kept := map[string]bool{}
	for _, name := range wanted() {
		order, err := set.order(name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(&orders, "%s: %s\n", name, strings.Join(order, " "))
		for _, m := range order {
			if kept[m] {
				continue
			}
			kept[m] = true
			to := filepath.Join(kern.dir, "modules", m+".ko")
			if err := k.run(ctx, kern.dir, k.arch.triplet()+"-strip", "--strip-debug", "-o", to, set.path[m]); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(kern.dir, "modules", "order"), []byte(orders.String()), 0o644)
}

// forget removes other revisions from the cache.
func (k *kitchen) forget(version string) error {
	entries, err := os.ReadDir(k.cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), series+".") && e.Name() != version {
			if err := os.RemoveAll(filepath.Join(k.cache, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs a program; what it says is shown.
func (k *kitchen) run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, k.log, k.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args[:min(len(args), 4)], " "), err)
	}
	return nil
}

// ask runs a program and returns what it says.
func (k *kitchen) ask(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}

func (k *kitchen) say(format string, args ...any) {
	_, _ = fmt.Fprintf(k.log, "guest: "+format+"\n", args...)
}

// lock waits until this process alone has the file.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// missing returns those of the programs that are not there.
func missing(programs []string) []string {
	return slices.DeleteFunc(slices.Clone(programs), func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}
