#!/bin/sh
# post-build.sh TARGET -c .../BOARD/genimage.cfg: makes the root file system of an
# appliance from that of a board. KIOSK_VERSION is the version of the image.
set -eu
target=$1
common=$(dirname "$0")
board=$(basename "$(dirname "$3")")
docs=$target/usr/share/doc/kioskd/examples
units=$target/etc/systemd/system

# What a package must not force on a machine, and an appliance wants.
install -D -m 644 -t "$target/usr/lib/sysctl.d" "$docs/lockdown/sysctl.d"/*
for dir in logind.conf.d system.conf.d; do
	install -D -m 644 -t "$target/usr/lib/systemd/$dir" "$docs/lockdown/$dir"/*
done
install -D -m 644 -t "$target/usr/lib/udev/rules.d" "$docs/lockdown/rules.d"/*
mkdir -p "$units"
for unit in ctrl-alt-del.target getty@.service serial-getty@.service autovt@.service console-getty.service container-getty@.service debug-shell.service emergency.service rescue.service; do
	ln -sf /dev/null "$units/$unit"
done

# wants TARGET.wants UNIT: has it run.
wants() {
	mkdir -p "$units/$1"
	ln -sf "/usr/lib/systemd/system/$2" "$units/$1/$2"
}

# The daemon, its screen, and the gate of an update.
install -D -m 644 -t "$units/kioskd.service.d" "$docs/kioskd.service.d/display.conf"
for unit in kioskd.service kioskd-display.service kioskd-camera-reset.path kioskd-modules.service seatd.service; do
	wants multi-user.target.wants "$unit"
done
wants boot-complete.target.requires kioskd-health.service

# The root is read-only; /var is the data partition, which is looked after before
# anything else. No line of fstab: what that says is needed to boot.
install -D -m 644 -t "$units" "$common/var.mount"
wants local-fs.target.wants kioskd-volume.service
sed -i '/[[:space:]]\/var[[:space:]]/d' "$target/etc/fstab"

# What is updated, and how: two slots that U-Boot chooses from, or systemd-boot.
version=${KIOSK_VERSION:-0}
sed -i '/^IMAGE_\(ID\|VERSION\)=/d' "$target/usr/lib/os-release"
printf 'IMAGE_ID=kiosk\nIMAGE_VERSION=%s\n' "$version" >>"$target/usr/lib/os-release"
if [ "$board" = qemu ]; then
	for dir in sysupdate.d sysupdate.rollout.d; do
		install -D -m 644 -t "$target/usr/lib/$dir" "$docs/$dir"/*
	done
	wants timers.target.wants kioskd-update.timer
	mkdir -p "$target/efi"
else
	rauc=$docs/rauc
	mkdir -p "$target/etc/rauc" "$target/boot"
	sed "s/livekiosk-BOARD/livekiosk-$board/" "$rauc/system.conf" >"$target/etc/rauc/system.conf"
	install -D -m 755 -t "$target/usr/lib/kioskd" "$rauc/rauc-pre-install" "$rauc/rauc-post-install"
	install -D -m 644 -t "$units/rauc-mark-good.service.d" "$rauc/rauc-mark-good.service.d/kioskd.conf"
	install -D -m 644 -t "$units/kioskd-health.service.d" "$rauc/kioskd-health.service.d/rauc.conf"
	install -D -m 644 -t "$units" "$rauc/kioskd-fallback.service" "$common/rauc/rauc-mark-good.service"
	mkdir -p "$units/multi-user.target.wants"
	ln -sf ../rauc-mark-good.service "$units/multi-user.target.wants/rauc-mark-good.service"
	install -D -m 644 -t "$target/etc" "$common/rauc/fw_env.config"
	# What boot.scr takes from the slot.
	{
		printf 'kiosk_cmdline=%s\n' "$(cat "$docs/lockdown/cmdline")"
		case $board in
		rock5b) echo kiosk_fdt=rk3588-rock-5b.dtb ;;
		pinetab2) echo kiosk_fdt=rk3566-pinetab2-v2.0.dtb ;;
		esac
	} >"$target/boot/kiosk.env"
fi
rm -rf "$docs"
