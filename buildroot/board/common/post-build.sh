#!/bin/sh
# post-build.sh: makes the root file system of an appliance from that of a board.
set -eu
target=$1
docs=$target/usr/share/doc/kioskd/examples
units=$target/etc/systemd/system

# What a package must not force on a machine, and an appliance wants.
install -D -m 644 -t "$target/usr/lib/sysctl.d" "$docs/lockdown/sysctl.d"/*
for dir in logind.conf.d system.conf.d; do
	install -D -m 644 -t "$target/usr/lib/systemd/$dir" "$docs/lockdown/$dir"/*
done
install -D -m 644 -t "$target/usr/lib/udev/rules.d" "$docs/lockdown/rules.d"/*
mkdir -p "$units"
for unit in ctrl-alt-del.target getty@.service serial-getty@.service autovt@.service debug-shell.service emergency.service rescue.service; do
	ln -sf /dev/null "$units/$unit"
done

# The daemon, its screen, and the gate of an update.
install -D -m 644 -t "$units/kioskd.service.d" "$docs/kioskd.service.d/display.conf"
mkdir -p "$units/multi-user.target.wants" "$units/boot-complete.target.requires"
for unit in kioskd.service kioskd-display.service seatd.service; do
	ln -sf "/usr/lib/systemd/system/$unit" "$units/multi-user.target.wants/$unit"
done
ln -sf /usr/lib/systemd/system/kioskd-health.service "$units/boot-complete.target.requires/kioskd-health.service"

# The root is read-only; /var is the data partition, checked at each boot, and
# the machine's own number lives on it, as what is encrypted for it does.
grep -q '^LABEL=data' "$target/etc/fstab" ||
	echo 'LABEL=data /var ext4 rw,nodev,nosuid,noexec,noatime,x-systemd.growfs 0 2' >>"$target/etc/fstab"
rm -rf "$docs"
