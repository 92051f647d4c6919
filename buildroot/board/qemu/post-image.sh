#!/bin/sh
# post-image.sh IMAGES -c .../genimage.cfg: makes what a server of updates offers of
# this image, and a disk with it in the first slot. KIOSK_VERSION is its version.
#
# The kernel image is EFI's: systemd's stub with the kernel and its command line behind
# it, which names the root hash. The kernel sets the verified root up by itself.
set -eu
images=$1
board=$(dirname "$3")
version=${KIOSK_VERSION:-0}
objcopy=${TARGET_OBJCOPY:-${HOST_DIR:+$HOST_DIR/bin/aarch64-linux-}objcopy}
objdump=${objcopy%objcopy}objdump
stub=${STUB:-$(echo "$BUILD_DIR"/systemd-*/buildroot-build/src/boot/linuxaa64.efi.stub)}
cd "$images"
rm -f kiosk_*.raw kiosk_*.efi

# id HEX: as a UUID is written.
id() { echo "$1" | sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12})/\1-\2-\3-\4-\5/'; }

# dm-verity wants whole blocks.
cp rootfs.squashfs root.raw
truncate -s %4096 root.raw
salt=$(sha256sum root.raw | cut -c 1-64) # the same for the same root
veritysetup format --salt="$salt" --uuid="$(id "$(echo "$salt" | cut -c 1-32)")" root.raw verity.raw >verity.txt
hash=$(sed -n 's/^Root hash:[[:space:]]*//p' verity.txt)
blocks=$(sed -n 's/^Data blocks:[[:space:]]*//p' verity.txt)
root=$(id "$(echo "$hash" | cut -c 1-32)")
verity=$(id "$(echo "$hash" | cut -c 33-64)")
mv root.raw "kiosk_${version}_$root.root.raw"
mv verity.raw "kiosk_${version}_$verity.verity.raw"

printf '%s' "root=/dev/dm-0 ro dm-mod.waitfor=PARTUUID=$root,PARTUUID=$verity dm-mod.create=\"root,,,ro,0 $((blocks * 8)) verity 1 PARTUUID=$root PARTUUID=$verity 4096 4096 $blocks 1 sha256 $hash $salt\" roothash=$hash $(cat "$board/../../../systemd/lockdown/cmdline")" >cmdline
printf 'ID=kiosk\nIMAGE_ID=kiosk\nIMAGE_VERSION=%s\nVERSION_ID=%s\nPRETTY_NAME="Kiosk %s"\n' "$version" "$version" "$version" >osrel
printf 'timeout 0\neditor no\n' >loader.conf
align=$((0x$("$objdump" -p "$stub" | awk '$1=="SectionAlignment" {print $2}')))
last() { "$objdump" -h "$stub" | awk -v n="$1" 'NF==7 {v=$n} END {print v}'; } # a column of the last section
next=$((0x$(last 3) + 0x$(last 4)))
set --
for section in .osrel=osrel .cmdline=cmdline .linux=Image; do
	next=$(((next + align - 1) / align * align))
	set -- "$@" --add-section "$section" --change-section-vma "${section%%=*}=$(printf 0x%x $next)"
	next=$((next + $(stat -L -c %s "${section#*=}")))
done
"$objcopy" "$@" "$stub" "kiosk_$version.efi"

sed "s/@VERSION@/$version/g; s/@ROOT@/$root/g; s/@VERITY@/$verity/g" "$board/genimage.cfg.in" >genimage.cfg
# What Buildroot's own script does, with a configuration that is made here.
empty=$(mktemp -d)
mkdir "$empty/root"
trap 'rm -rf "$empty"' EXIT
genimage --rootpath "$empty/root" --tmppath "$empty/tmp" --inputpath . --outputpath . --config genimage.cfg
sgdisk --change-name=5:_empty disk.img
