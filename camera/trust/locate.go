package trust

import (
	"fmt"
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
		id.USB = usbName(dev)
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

// FindUSB returns the folder in sysfs, mounted at sys, of the camera on USB that
// p names: with a video interface, and at that place. Its driver may have let
// go of it.
func FindUSB(sys string, p Pin) (string, error) {
	links, err := filepath.Glob(filepath.Join(sys, "bus", "usb", "devices", "*"))
	if err != nil {
		return "", fmt.Errorf("look for USB devices: %w", err)
	}
	for _, link := range links {
		dir, err := filepath.EvalSymlinks(link)
		if err != nil || p.USB == "" || usbName(dir) != p.USB || clip(USBPort(dir)) != p.Bus {
			continue
		}
		classes, err := filepath.Glob(filepath.Join(dir, "*", "bInterfaceClass"))
		if err != nil {
			return "", fmt.Errorf("look for the interfaces of %s: %w", dir, err)
		}
		for _, class := range classes {
			if attribute(filepath.Dir(class), filepath.Base(class)) == videoClass {
				return dir, nil
			}
		}
		return "", fmt.Errorf("%s at %s is no camera", p.USB, p.Bus)
	}
	return "", fmt.Errorf("there is no USB device %s at %s", p.USB, p.Bus)
}

// videoClass is the class of USB interfaces that cameras have.
const videoClass = "0e"

// USBAddress returns the bus and the number on it of the USB device of a folder
// in sysfs.
func USBAddress(dir string) (bus, device int, err error) {
	if bus, err = strconv.Atoi(attribute(dir, "busnum")); err != nil {
		return 0, 0, fmt.Errorf("%s: bus: %w", dir, err)
	}
	if device, err = strconv.Atoi(attribute(dir, "devnum")); err != nil {
		return 0, 0, fmt.Errorf("%s: device: %w", dir, err)
	}
	return bus, device, nil
}

// usbName is "vendor:product:serial" of the USB device of a folder in sysfs.
func usbName(dir string) string {
	return attribute(dir, "idVendor") + ":" + attribute(dir, "idProduct") + ":" + attribute(dir, "serial")
}

// attribute reads a line of sysfs; "" if there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
