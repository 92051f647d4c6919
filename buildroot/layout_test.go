package buildroot_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// boards are those of configs/: the ones with U-Boot and RAUC, and the one with
// systemd-boot and systemd-sysupdate.
var (
	ubootBoards = []string{"rpi4", "rpi5", "rock5b", "pinetab2"}
	boards      = append(slices.Clone(ubootBoards), "qemu_aarch64")
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// layout returns genimage's configuration of a board.
func layout(t *testing.T, board string) string {
	t.Helper()
	if board == "qemu_aarch64" {
		return read(t, "board", "qemu", "genimage.cfg.in")
	}
	return read(t, "board", board, "genimage.cfg")
}

// partitions returns the names of the partitions in genimage's configuration, as
// they are written into the table, and what it says of each.
func partitions(text string) (names []string, says map[string]string) {
	says = map[string]string{}
	for _, found := range regexp.MustCompile(`(?s)\tpartition (\S+) \{\n(.*?)\n\t\}`).FindAllStringSubmatch(text, -1) {
		name, body := found[1], found[2]
		if strings.Contains(body, "in-partition-table = false") {
			continue
		}
		names = append(names, name)
		says[name] = body
	}
	return names, says
}

// TestEveryBoardHasItsSlots holds together what RAUC writes, what U-Boot boots, what
// its environment lies in, and what genimage makes.
func TestEveryBoardHasItsSlots(t *testing.T) {
	system, script, fragment, env := read(t, "../systemd/rauc/system.conf"), read(t, "board/common/uboot/boot.cmd"), read(t, "board/common/uboot/uboot.fragment"), read(t, "board/common/rauc/fw_env.config")
	want := []string{"boot", "uboot-env"}
	for _, slot := range regexp.MustCompile(`device=/dev/disk/by-partlabel/(\S+)\ntype=raw\nbootname=(\S+)`).FindAllStringSubmatch(system, -1) {
		label, name := slot[1], slot[2]
		want = append(want, label)
		for _, line := range []string{"setenv slot " + name + "\n", "setenv label " + label + "\n", "BOOT_" + name + "_LEFT"} {
			if !strings.Contains(script, line) {
				t.Errorf("boot.cmd has no %q, and system.conf has slot %s on %s", line, name, label)
			}
		}
	}
	if want = append(want, "data"); len(want) != 5 {
		t.Fatalf("system.conf has the slots %v", want)
	}
	for line, in := range map[string]string{
		"CONFIG_ENV_OFFSET=0x1000000": fragment, "CONFIG_ENV_OFFSET_REDUND=0x1010000": fragment, "CONFIG_ENV_SIZE=0x10000": fragment, "CONFIG_ENV_REDUNDANT=y": fragment,
		"/dev/disk/by-partlabel/uboot-env 0x0 0x10000": env, "/dev/disk/by-partlabel/uboot-env 0x10000 0x10000": env,
		`setenv bootargs "root=PARTLABEL=${label} ro rootwait rauc.slot=${slot} ${kiosk_cmdline}"`: script,
	} {
		if !strings.Contains("\n"+in, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	for _, board := range ubootBoards {
		names, says := partitions(layout(t, board))
		if !slices.Equal(names, want) {
			t.Errorf("%s has %v, want %v", board, names, want)
		}
		for name, lines := range map[string][]string{
			"uboot-env": {"offset = 16M", "size = 128K"}, "boot": {"offset = 17M", "bootable = true"},
			"root-a": {`image = "rootfs.squashfs"`, "size = 512M"}, "root-b": {"size = 512M"}, "data": {`image = "data.ext4"`, `partition-type-uuid = "L"`},
		} {
			for _, line := range lines {
				if !strings.Contains(says[name], line) {
					t.Errorf("%s: %s has no %s", board, name, line)
				}
			}
		}
		if !strings.Contains(layout(t, board), `"boot.scr"`) {
			t.Errorf("%s has nothing that chooses a slot", board)
		}
	}
	unit, repart := read(t, "../systemd/units/kioskd-volume.service"), read(t, "board/common/overlay/usr/lib/repart.d/50-data.conf")
	if !strings.Contains(unit, "/dev/disk/by-partlabel/data\n") || !strings.Contains(repart, "\nType=linux-generic\nLabel=data\n") {
		t.Error("what is brought up, or what grows, is not the partition data")
	}
}

// TestTheEFIBoardHasWhatSysupdateFills holds the transfers and the names of its
// partitions together.
func TestTheEFIBoardHasWhatSysupdateFills(t *testing.T) {
	names, says := partitions(strings.ReplaceAll(layout(t, "qemu_aarch64"), "@VERSION@", "7"))
	if want := []string{"esp", "kiosk_7", "kiosk_7_verity", "_empty", "_empty_verity", "data"}; !slices.Equal(names, want) {
		t.Errorf("partitions %v, want %v", names, want)
	}
	if !strings.Contains(read(t, "board/qemu/post-image.sh"), "\nsgdisk --change-name=5:_empty disk.img\n") {
		t.Error("systemd-sysupdate finds no room for a hash tree")
	}
	types := map[string]string{"root": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "root-verity": "DF3300CE-D69F-4C92-978C-9BFB0F38D820"}
	for _, file := range []string{"10-root-verity", "20-root"} {
		text := read(t, "../systemd/sysupdate.d", file+".transfer")
		of := func(key string, n int) string {
			all := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(text, -1)
			if len(all) <= n {
				t.Fatalf("%s has no %s", file, key)
			}
			return all[n][1]
		}
		target := strings.ReplaceAll(of("MatchPattern", 1), "@v", "7")
		source := of("MatchPattern", 0)
		body := says[target]
		uuid := regexp.MustCompile(`partition-uuid = "(.*)"`).FindStringSubmatch(body)
		if uuid == nil || !strings.Contains(body, fmt.Sprintf("image = %q", strings.NewReplacer("@v", "7", "@u", uuid[1]).Replace(source))) {
			t.Errorf("%s: nothing is %s with what %s is fetched as: %s", file, target, source, body)
		}
		if want := types[of("MatchPartitionType", 0)]; !strings.Contains(body, `partition-type-uuid = "`+want+`"`) {
			t.Errorf("%s: %s is not of type %s", file, target, want)
		}
	}
	kernel := read(t, "../systemd/sysupdate.d/30-kernel.transfer")
	if !strings.Contains(kernel, "\nPath=/EFI/Linux\n") || !strings.Contains(layout(t, "qemu_aarch64"), "file EFI/Linux/kiosk_@VERSION@.efi") {
		t.Error("the kernel image is not where systemd-sysupdate puts the next one")
	}
}

// TestWhatAnEscapeNeedsIsNowhere looks through everything of every board for what
// opens a way past the kiosk.
func TestWhatAnEscapeNeedsIsNowhere(t *testing.T) {
	post := read(t, "board/common/post-build.sh")
	for _, unit := range []string{"ctrl-alt-del.target", "getty@.service", "serial-getty@.service", "autovt@.service", "console-getty.service", "container-getty@.service", "debug-shell.service", "emergency.service", "rescue.service"} {
		if !regexp.MustCompile(`(?m)^for unit in [^;]*` + regexp.QuoteMeta(unit) + `[ ;]`).MatchString(post) {
			t.Errorf("post-build.sh does not mask %s", unit)
		}
	}
	never := regexp.MustCompile(`(?m)^[^#\n]*(console=tty[A-Z]|console=serial|earlycon|systemd\.debug|debug-shell\.service.*enable|init=/bin|single\b|rd\.break|sysrq_always|enable_uart=1|MAGIC_SYSRQ=y|USB_KEYBOARD=y|CMD_ROCKUSB=y|CMD_USB_MASS_STORAGE=y|KEXEC=y|DEVMEM=y|BOOTDELAY=[0-9]|dtoverlay=dwc2|ENABLE_ROOT_LOGIN=y|GENERIC_GETTY=y|ROOT_PASSWD=|PACKAGE_(DROPBEAR|OPENSSH|GDB|STRACE|TCPDUMP)=y)`)
	for _, root := range []string{"board", "configs", "../systemd/lockdown/cmdline"} {
		if err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if found := never.FindString(read(t, path)); found != "" {
				t.Errorf("%s: %s", path, found)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	fragment := read(t, "board/common/uboot/uboot.fragment")
	for _, line := range []string{"CONFIG_BOOTDELAY=-2", `CONFIG_BOOTCOMMAND="bootmeth order script; bootflow scan -b mmc; reset"`, "# CONFIG_USB_KEYBOARD is not set", "# CONFIG_CMD_ROCKUSB is not set", "# CONFIG_CMD_USB_MASS_STORAGE is not set"} {
		if !strings.Contains(fragment, "\n"+line+"\n") {
			t.Errorf("U-Boot lacks %s", line)
		}
	}
	for _, board := range boards {
		config := read(t, "configs", "livekiosk_"+board+"_defconfig")
		lines := []string{"# BR2_TARGET_ENABLE_ROOT_LOGIN is not set", "# BR2_TARGET_GENERIC_GETTY is not set", "# BR2_TARGET_GENERIC_REMOUNT_ROOTFS_RW is not set", "BR2_REPRODUCIBLE=y", "BR2_DOWNLOAD_FORCE_CHECK_HASHES=y", "BR2_PACKAGE_E2FSPROGS_DEBUGFS=y", "BR2_PACKAGE_E2FSPROGS_E2IMAGE=y", "BR2_PACKAGE_E2FSPROGS_RESIZE2FS=y", "BR2_PACKAGE_UTIL_LINUX_BINARIES=y", "BR2_PACKAGE_SYSTEMD_REPART=y"}
		if board == "qemu_aarch64" {
			lines = append(lines, "BR2_PACKAGE_SYSTEMD_SYSUPDATE=y", "BR2_PACKAGE_SYSTEMD_BOOT=y", "BR2_PACKAGE_SYSTEMD_IMPORTD=y") //nolint:misspell // systemd's own spelling
		} else {
			lines = append(lines, "BR2_PACKAGE_RAUC=y", "BR2_PACKAGE_LIBUBOOTENV=y", "BR2_LINUX_KERNEL_INSTALL_TARGET=y", `BR2_TARGET_UBOOT_CONFIG_FRAGMENT_FILES="$(BR2_EXTERNAL_LIVEKIOSK_PATH)/board/common/uboot/uboot.fragment"`)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+config, "\n"+line+"\n") {
				t.Errorf("%s lacks %s", board, line)
			}
		}
		if !strings.Contains(config, "$(BR2_EXTERNAL_LIVEKIOSK_PATH)/board/common/linux.fragment") {
			t.Errorf("%s does not take the kernel's settings", board)
		}
	}
}

// TestGenimageMakesTheDisks has genimage itself make the disk of each board from
// files that are small, and looks at the table.
func TestGenimageMakesTheDisks(t *testing.T) {
	for _, name := range []string{"genimage", "sfdisk", "mcopy", "mkdosfs", "mke2fs"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("needs %s: .tools/setup installs it", name)
		}
	}
	for _, board := range ubootBoards {
		t.Run(board, func(t *testing.T) {
			dir := t.TempDir()
			text := layout(t, board)
			for _, list := range regexp.MustCompile(`(?s)files = \{(.*?)\}`).FindAllStringSubmatch(text, -1) {
				for _, name := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list[1], -1) {
					put(t, filepath.Join(dir, name[1]), name[1])
				}
			}
			put(t, filepath.Join(dir, "rootfs.squashfs"), "hsqs"+strings.Repeat("root", 1000))
			put(t, filepath.Join(dir, "u-boot-rockchip.bin"), strings.Repeat("u-boot", 1000))
			put(t, filepath.Join(dir, "root", "empty"), "")
			// Half a gigabyte of nothing says no more than eight megabytes.
			// Debian's genimage is older than Buildroot's, and knows no options of mke2fs.
			small := regexp.MustCompile(`(?m)^\s*mke2fs-extraopts = .*$`).ReplaceAllString(strings.ReplaceAll(text, "512M", "8M"), "")
			put(t, filepath.Join(dir, "genimage.cfg"), small)
			genimage(t, dir)
			table := sfdisk(t, filepath.Join(dir, "disk.img"))
			names, _ := partitions(text)
			for n, name := range names {
				if !strings.Contains(table, fmt.Sprintf("disk.img%d :", n+1)) || !strings.Contains(table, `name="`+name+`"`) {
					t.Errorf("no partition %d %s in\n%s", n+1, name, table)
				}
			}
			for line, want := range map[string]string{
				`name="uboot-env"`: "start=       32768, size=         256", `name="boot"`: "start=       34816, ",
				`name="root-a"`: "size=       16384, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE", `name="root-b"`: "size=       16384, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
				`name="data"`: "type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
			} {
				for row := range strings.Lines(table) {
					if strings.Contains(row, line) && !strings.Contains(row, want) {
						t.Errorf("%s is not %q", row, want)
					}
				}
			}
			disk := read(t, dir, "disk.img")
			at := strings.Index(disk, "hsqs")
			if n := strings.Count(disk, "hsqs"); n != 1 || at%(1<<20) != 0 {
				t.Errorf("the root is there %d times, at %d", n, at)
			}
			if uboot := strings.HasPrefix(disk[32<<10:], "u-boot"); uboot != strings.Contains(text, "u-boot-rockchip.bin") {
				t.Errorf("U-Boot at 32K: %t", uboot)
			}
		})
	}
}

// TestGenimageMakesTheDiskOfTheEFIBoard is the same for the layout that
// post-image.sh fills in.
func TestGenimageMakesTheDiskOfTheEFIBoard(t *testing.T) {
	for _, name := range []string{"genimage", "sfdisk", "mcopy", "mkdosfs", "mke2fs"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("needs %s: .tools/setup installs it", name)
		}
	}
	const root, verity = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-aaaaaaaaaaaa"
	dir := t.TempDir()
	text := strings.NewReplacer("@VERSION@", "7", "@ROOT@", root, "@VERITY@", verity, "512M", "8M", "256M", "48M").Replace(layout(t, "qemu_aarch64"))
	for _, name := range []string{"efi-part/EFI/BOOT/bootaa64.efi", "kiosk_7.efi", "loader.conf", "kiosk_7_" + root + ".root.raw", "kiosk_7_" + verity + ".verity.raw", "root/empty"} {
		put(t, filepath.Join(dir, name), name)
	}
	put(t, filepath.Join(dir, "genimage.cfg"), regexp.MustCompile(`(?m)^\s*mke2fs-extraopts = .*$`).ReplaceAllString(text, ""))
	genimage(t, dir)
	table := sfdisk(t, filepath.Join(dir, "disk.img"))
	for _, want := range []string{
		`type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`, `type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, uuid=` + root + `, name="kiosk_7"`,
		`type=DF3300CE-D69F-4C92-978C-9BFB0F38D820, uuid=` + strings.ToUpper(verity) + `, name="kiosk_7_verity"`, `type=0FC63DAF-8483-4772-8E79-3D69D8477DE4`,
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
	for n, name := range []string{"_empty", "_empty_verity"} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\S*disk.img%d :.*name="%s"$`, 4+n, name)).MatchString(table) {
			t.Errorf("partition %d is not %s\n%s", 4+n, name, table)
		}
	}
	for path, want := range map[string]string{"::EFI/Linux/kiosk_7.efi": "kiosk_7.efi", "::EFI/BOOT/BOOTAA64.EFI": "efi-part/EFI/BOOT/bootaa64.efi", "::loader/loader.conf": "loader.conf"} {
		if got := run(t, "mtype", "-i", filepath.Join(dir, "esp.vfat"), path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func genimage(t *testing.T, dir string) {
	t.Helper()
	run(t, "genimage", "--rootpath", filepath.Join(dir, "root"), "--tmppath", filepath.Join(dir, "tmp"), "--inputpath", dir, "--outputpath", dir, "--config", filepath.Join(dir, "genimage.cfg"))
}

func sfdisk(t *testing.T, disk string) string { t.Helper(); return run(t, "sfdisk", "--dump", disk) }

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // tools of the image
	cmd.Env = append(os.Environ(), "LC_ALL=C", "MTOOLS_SKIP_CHECK=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
