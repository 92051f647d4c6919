package trust

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Identity is what is known of a video device: by its driver's own word, and
// by the kernel's, which programs cannot forge. Comparable; the zero value is a
// device of which nothing is known.
type Identity struct {
	// By the driver's word (VIDIOC_QUERYCAP).
	Driver string // such as "uvcvideo"
	Card   string // the model, such as "HD Pro Webcam C920": whoever made the device chose it
	Bus    string // where it is attached, such as "usb-0000:00:14.0-1" or "platform:fe801000.csi"

	// By the kernel's word (sysfs); "" where it has none. See Locate.
	Path  string // where the device sits, such as "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"
	Bound string // the driver that is bound to it there
	Port  string // of a USB device: controller and ports, such as "usb-0000:00:14.0-1"
	USB   string // of a USB device: "vendor:product:serial", such as "046d:085c:5DC83E9F"; the device says so
}

// Pin returns what the camera is pinned by.
func (i Identity) Pin() Pin { return Pin{Driver: i.Driver, Bus: i.Bus, USB: i.USB} }

// String returns the stable form of i.Pin(): two devices with the same one
// cannot be told apart by a pin.
func (i Identity) String() string { return i.Pin().String() }

// A Pin names one camera at one place. The zero value names none.
//
// Vendor, product and serial alone are no proof (CVE-2021-34466: a device that
// clones them was taken for the camera), so the place is always part of it.
type Pin struct {
	Driver string
	Bus    string
	USB    string // "" for what is no USB device
}

// String returns p as ParsePin reads it, such as
// "driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:085c:5DC83E9F"; "" for the
// zero value. Bytes that would end a word, and what is no plain ASCII, are
// written as %XX: a device may call itself anything.
func (p Pin) String() string {
	if p == (Pin{}) {
		return ""
	}
	s := "driver=" + escape(p.Driver) + " bus=" + escape(p.Bus)
	if p.USB != "" {
		s += " usb=" + escape(p.USB)
	}
	return s
}

// ParsePin reads what Pin.String wrote. "" is the zero value. A pin that names
// no place, or of a USB camera not the device, is an error.
func ParsePin(s string) (Pin, error) {
	var p Pin
	if s == "" {
		return p, nil
	}
	for word := range strings.FieldsSeq(s) {
		key, value, _ := strings.Cut(word, "=")
		to, known := map[string]*string{"driver": &p.Driver, "bus": &p.Bus, "usb": &p.USB}[key]
		plain, err := unescape(value)
		switch {
		case !known:
			return Pin{}, fmt.Errorf("%q is none of driver=, bus=, usb=", word)
		case *to != "":
			return Pin{}, fmt.Errorf("%s= is given twice", key)
		case err != nil || plain == "":
			return Pin{}, fmt.Errorf("%q has no value that can be read", word)
		}
		*to = plain
	}
	switch {
	case p.Driver == "" || p.Bus == "":
		return Pin{}, errors.New("want driver= and bus=: a camera is pinned to its place")
	case strings.HasPrefix(p.Bus, usbBus) && p.USB == "":
		return Pin{}, errors.New("want usb=vendor:product:serial for a camera on USB")
	}
	return p, nil
}

// differs says in which part the camera is not the pinned one; "" if it is.
func (p Pin) differs(from Pin) string {
	for _, part := range []struct{ name, want, have string }{
		{"driver", p.Driver, from.Driver}, {"bus", p.Bus, from.Bus}, {"usb", p.USB, from.USB},
	} {
		if part.want != part.have {
			return fmt.Sprintf("%s is %q and not %q", part.name, part.have, part.want)
		}
	}
	return ""
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if len(s) < i+3 {
			return "", fmt.Errorf("%q ends within %%XX", s)
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%%XX in %q: %w", s, err)
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}
