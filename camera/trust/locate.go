package trust

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Sysfs is where the kernel tells of its devices.
const Sysfs = "/sys"

// usbBus begins the bus of USB devices, as the kernel's usb_make_path makes it.
const usbBus = "usb-"

// Locate returns id with what sysfs, mounted at sys, tells of the character
// device major:minor. What it does not tell stays "".
//
// The device is found by its number: names under /dev are anybody's links.
func Locate(sys string, major, minor uint32, id Identity) Identity {
	id.Path, id.Bound, id.Port, id.USB = "", "", "", ""
	root, err := filepath.EvalSymlinks(sys)
	if err != nil {
		return id
	}
	node, err := filepath.EvalSymlinks(filepath.Join(root, "dev", "char", strconv.Itoa(int(major))+":"+strconv.Itoa(int(minor))))
	if err != nil || !strings.HasPrefix(node, root+"/") {
		return id
	}
	at := node // a device that no hardware stands behind is its own
	if parent, err := filepath.EvalSymlinks(filepath.Join(node, "device")); err == nil {
		at = parent
	}
	id.Path = Sysfs + strings.TrimPrefix(at, root)
	if driver, err := filepath.EvalSymlinks(filepath.Join(at, "driver")); err == nil {
		id.Bound = filepath.Base(driver)
	}
	if dev := USBDevice(at); dev != "" {
		id.USB = attribute(dev, "idVendor") + ":" + attribute(dev, "idProduct") + ":" + attribute(dev, "serial")
		id.Port = USBPort(dev)
	}
	return id
}

// USBDevice returns the folder of the USB device that dir, a folder in sysfs
// without links in its path, belongs to; "" if to none.
func USBDevice(dir string) string {
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if attribute(dir, "idVendor") != "" && attribute(dir, "idProduct") != "" {
			return dir
		}
	}
	return ""
}

// USBPort returns the place of the USB device of a folder in sysfs: its
// controller and the ports on the way to it, as usb_make_path has it; "" if it
// is on none.
func USBPort(dev string) string {
	ports := attribute(dev, "devpath")
	root := regexp.MustCompile(`^usb[0-9]+$`)
	for dir := dev; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if root.MatchString(filepath.Base(dir)) && ports != "" {
			return usbBus + filepath.Base(filepath.Dir(dir)) + "-" + ports
		}
	}
	return ""
}

// attribute reads a line of sysfs; "" if there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
