# boot.scr: takes the slot whose turn it is, and counts its tries down, as RAUC's
# back end for U-Boot has it: BOOT_ORDER, BOOT_A_LEFT, BOOT_B_LEFT. A slot that works
# is given its tries back by rauc-mark-good.service.
#
# Everything else lies in the slot: kernel, device tree, and kernel command line.
# bootflow tells devtype and devnum, so that no other disk than the one that this was
# read from is looked at.
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
setenv slot
for s in ${BOOT_ORDER}; do
	if test -n "${slot}"; then
		true
	elif test "${s}" = "A"; then
		if test ${BOOT_A_LEFT} -gt 0; then
			setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
			setenv slot A
			setenv label root-a
		fi
	elif test "${s}" = "B"; then
		if test ${BOOT_B_LEFT} -gt 0; then
			setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
			setenv slot B
			setenv label root-b
		fi
	fi
done
if test -z "${slot}"; then
	# None is left. Better again than never: a board that cannot start is dead.
	echo "kiosk: no tries are left: beginning anew"
	setenv BOOT_ORDER "A B"
	setenv BOOT_A_LEFT 3
	setenv BOOT_B_LEFT 3
	saveenv
	reset
fi
saveenv
echo "kiosk: slot ${slot}, left A ${BOOT_A_LEFT} B ${BOOT_B_LEFT}"
part number ${devtype} ${devnum} ${label} number
if load ${devtype} ${devnum}:${number} ${scriptaddr} /boot/kiosk.env; then
	env import -t ${scriptaddr} ${filesize} kiosk_cmdline kiosk_fdt
fi
# Without a name of its own the slot takes the device tree that the firmware made.
if test -n "${kiosk_fdt}"; then
	load ${devtype} ${devnum}:${number} ${fdt_addr_r} /boot/${kiosk_fdt}
	setenv kiosk_fdt_addr ${fdt_addr_r}
else
	setenv kiosk_fdt_addr ${fdt_addr}
	test -n "${kiosk_fdt_addr}" || setenv kiosk_fdt_addr ${fdtcontroladdr}
fi
setenv bootargs "root=PARTLABEL=${label} ro rootwait rauc.slot=${slot} ${kiosk_cmdline}"
load ${devtype} ${devnum}:${number} ${kernel_addr_r} /boot/Image && booti ${kernel_addr_r} - ${kiosk_fdt_addr}
echo "kiosk: slot ${slot} does not start"
reset
