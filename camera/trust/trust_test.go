package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/camera/trust"
)

// Identities as real devices report them; the serials are invented.
func c920() trust.Identity {
	return trust.Identity{
		Driver: "uvcvideo", Card: "HD Pro Webcam C920", Bus: "usb-0000:00:14.0-1",
		Path:  "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0",
		Bound: "uvcvideo", Port: "usb-0000:00:14.0-1", USB: "046d:082d:5DC83E9F",
	}
}

func behindHub() trust.Identity {
	return trust.Identity{
		Driver: "uvcvideo", Card: "Logitech StreamCam", Bus: "usb-xhci-hcd.1.auto-1.3",
		Path:  "/sys/devices/platform/soc@0/32f10108.usb/38200000.usb/xhci-hcd.1.auto/usb1/1-1/1-1.3/1-1.3:1.0",
		Bound: "uvcvideo", Port: "usb-xhci-hcd.1.auto-1.3", USB: "046d:0893:A1B2C3D4",
	}
}

func raspberry() trust.Identity {
	return trust.Identity{
		Driver: "unicam", Card: "unicam", Bus: "platform:fe801000.csi",
		Path: "/sys/devices/platform/soc/fe801000.csi", Bound: "unicam",
	}
}

func noSerial() trust.Identity {
	return trust.Identity{
		Driver: "uvcvideo", Card: "USB 2.0 Camera: USB Camera", Bus: "usb-fe380000.usb-1",
		Path:  "/sys/devices/platform/fe380000.usb/usb3/3-1/3-1:1.0",
		Bound: "uvcvideo", Port: "usb-fe380000.usb-1", USB: "0c45:6366:",
	}
}

func loopback() trust.Identity {
	return trust.Identity{Driver: "v4l2 loopback", Card: "HD Pro Webcam C920", Bus: "platform:v4l2loopback-009", Path: "/sys/devices/virtual/video4linux/video9"}
}

func vivid() trust.Identity {
	return trust.Identity{Driver: "vivid", Card: "vivid", Bus: "platform:vivid-000", Path: "/sys/devices/platform/vivid.0", Bound: "vivid"}
}

// with returns id after change.
func with(id trust.Identity, change func(*trust.Identity)) trust.Identity {
	change(&id)
	return id
}

func TestDecide(t *testing.T) {
	pinned := c920().Pin()
	for _, c := range []struct {
		name   string
		id     trust.Identity
		policy trust.Policy
		pin    trust.Pin
		want   bool
		reason string
	}{
		{"a USB camera", c920(), trust.Production, trust.Pin{}, true, "none is pinned"},
		{"a USB camera where no policy is given", c920(), "", trust.Pin{}, true, "none is pinned"},
		{"a USB camera behind a hub", behindHub(), trust.Production, behindHub().Pin(), true, "the pinned camera"},
		{"a USB camera without a serial", noSerial(), trust.Production, noSerial().Pin(), true, "the pinned camera"},
		{"a camera on the board", raspberry(), trust.Production, raspberry().Pin(), true, "the pinned camera"},
		{"the pinned camera under the test policy", c920(), trust.Test, pinned, true, "the pinned camera"},
		{"the pinned camera under another USB bus number after a boot", with(c920(), func(i *trust.Identity) {
			i.Path = "/sys/devices/pci0000:00/0000:00:14.0/usb3/3-1/3-1:1.0"
		}), trust.Production, pinned, true, "the pinned camera"},

		{"an impostor with a cloned vendor, product and serial on another port", with(c920(), func(i *trust.Identity) {
			i.Bus, i.Port = "usb-0000:00:14.0-2", "usb-0000:00:14.0-2"
		}), trust.Production, pinned, false, "bus is"},
		{"an impostor with a cloned identity on another controller", with(c920(), func(i *trust.Identity) {
			i.Bus, i.Port = "usb-0000:03:00.0-1", "usb-0000:03:00.0-1"
		}), trust.Production, pinned, false, "bus is"},
		{"another camera on the pinned port", with(c920(), func(i *trust.Identity) { i.USB = "046d:082d:00000001" }), trust.Production, pinned, false, "usb is"},
		{"another model on the pinned port", with(c920(), func(i *trust.Identity) { i.USB = "534d:2109:5DC83E9F" }), trust.Production, pinned, false, "usb is"},
		{"another driver on the pinned port", with(c920(), func(i *trust.Identity) { i.Driver, i.Bound = "gspca_main", "gspca_main" }), trust.Production, pinned, false, "driver is"},
		{"another camera under the test policy", behindHub(), trust.Test, pinned, false, "bus is"},

		{"v4l2loopback with a camera's name", loopback(), trust.Production, trust.Pin{}, false, "v4l2 loopback"},
		{"v4l2loopback that is pinned", loopback(), trust.Production, loopback().Pin(), false, "v4l2 loopback"},
		{"v4l2loopback with all that a driver can forge", with(c920(), func(i *trust.Identity) {
			i.Path, i.Bound, i.Port, i.USB = "/sys/devices/virtual/video4linux/video9", "", "", ""
		}), trust.Production, trust.Pin{}, false, "/sys/devices/virtual"},
		{"a virtual device that says it is on the board", with(raspberry(), func(i *trust.Identity) {
			i.Path, i.Bound = "/sys/devices/virtual/video4linux/video9", ""
		}), trust.Production, raspberry().Pin(), false, "a virtual device: it sits at /sys/devices/virtual"},
		{"a device of the bus for what is no hardware (Linux 6.14)", with(raspberry(), func(i *trust.Identity) {
			i.Path = "/sys/devices/faux/pictures"
		}), trust.Production, trust.Pin{}, false, "/sys/devices/faux/pictures"},
		{"vivid", vivid(), trust.Production, trust.Pin{}, false, "vivid"},
		{"vivid with a camera's name", with(vivid(), func(i *trust.Identity) { i.Card = "HD Pro Webcam C920" }), trust.Production, trust.Pin{}, false, "vivid"},
		{"vivid with a camera's driver and bus", with(c920(), func(i *trust.Identity) {
			i.Path, i.Bound, i.Port, i.USB = "/sys/devices/platform/vivid.0", "vivid", "", ""
		}), trust.Production, pinned, false, "vivid"},
		{"vivid under another driver's name, at its own place", with(raspberry(), func(i *trust.Identity) {
			i.Path = "/sys/devices/platform/vivid.1"
		}), trust.Production, trust.Pin{}, false, "/sys/devices/platform/vivid.1"},
		{"a gadget on a dummy USB controller", with(c920(), func(i *trust.Identity) {
			i.Path, i.Bus, i.Port = "/sys/devices/platform/dummy_hcd.0/usb5/5-1/5-1:1.0", "usb-dummy_hcd.0-1", "usb-dummy_hcd.0-1"
		}), trust.Production, trust.Pin{}, false, "dummy_hcd"},
		{"a USB camera over the network", with(c920(), func(i *trust.Identity) {
			i.Path, i.Bus, i.Port = "/sys/devices/platform/vhci_hcd.0/usb5/5-1/5-1:1.0", "usb-vhci_hcd.0-1", "usb-vhci_hcd.0-1"
		}), trust.Production, trust.Pin{}, false, "vhci_hcd"},
		{"a device that the kernel does not place", with(c920(), func(i *trust.Identity) { i.Path = "" }), trust.Production, pinned, false, "does not tell"},
		{"a USB camera that is none", with(raspberry(), func(i *trust.Identity) {
			i.Driver, i.Bus = "uvcvideo", "usb-0000:00:14.0-1"
		}), trust.Production, trust.Pin{}, false, "says that it is a USB camera"},
		{"a USB camera that says it is on another port", with(c920(), func(i *trust.Identity) {
			i.Port = "usb-0000:00:14.0-4"
		}), trust.Production, pinned, false, `but is at "usb-0000:00:14.0-4"`},
		{"a driver that calls itself another", with(c920(), func(i *trust.Identity) { i.Bound = "hackcam" }), trust.Production, pinned, false, "hackcam"},
		{"nothing known", trust.Identity{}, trust.Production, trust.Pin{}, false, "does not tell"},

		{"vivid under the test policy", vivid(), trust.Test, trust.Pin{}, true, "test policy"},
		{"v4l2loopback under the test policy", loopback(), trust.Test, trust.Pin{}, true, "test policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := trust.Decide(c.id, c.policy, c.pin)
			if got.Accepted != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("Decide() = %+v, want %v with %q", got, c.want, c.reason)
			}
		})
	}
}

func TestALongPortIsComparedAsFarAsTheBusInfoHoldsIt(t *testing.T) {
	id := behindHub()
	id.Port = "usb-xhci-hcd.1.auto-1.3.2.4.1.2.3.4"
	id.Bus = id.Port[:31]
	if got := trust.Decide(id, trust.Production, id.Pin()); !got.Accepted {
		t.Errorf("Decide() = %+v", got)
	}
}

func TestPinsReadAsTheyAreWritten(t *testing.T) {
	for _, id := range []trust.Identity{
		c920(), behindHub(), raspberry(), noSerial(), loopback(), vivid(),
		with(c920(), func(i *trust.Identity) { i.USB = "0c45:6366:a b\x01=ü%41" }),
	} {
		text := id.String()
		if fields := strings.Fields(text); len(fields) > 3 {
			t.Errorf("%q has %d words", text, len(fields))
		}
		if p, err := trust.ParsePin(text); err != nil || p != id.Pin() {
			t.Errorf("ParsePin(%q) = %+v, %v", text, p, err)
		}
	}
	if got, want := c920().String(), "driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:5DC83E9F"; got != want {
		t.Errorf("String() = %q, want %q for ever: it stands in configurations", got, want)
	}
	if p, err := trust.ParsePin(""); err != nil || p != (trust.Pin{}) || p.String() != "" {
		t.Errorf("the empty pin is %q, %v", p, err)
	}
	for _, bad := range []string{
		"046d:082d:5DC83E9F", "usb=046d:082d:5DC83E9F", "driver=uvcvideo", "driver=uvcvideo usb=046d:082d:5DC83E9F",
		"driver=uvcvideo bus=usb-0000:00:14.0-1", "driver=a bus=platform:x driver=b", "driver= bus=platform:x",
		"driver=x bus=platform:%4", "driver=x bus=platform:%ZZ", "driver=x bus=platform:x card=y",
	} {
		if p, err := trust.ParsePin(bad); err == nil {
			t.Errorf("ParsePin(%q) = %+v", bad, p)
		}
	}
}

func FuzzParsePin(f *testing.F) {
	f.Add("driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:5DC83E9F")
	f.Add("driver=unicam bus=platform:fe801000.csi")
	f.Add("driver=%41 bus=%%41")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := trust.ParsePin(s)
		if err != nil {
			return
		}
		if again, err := trust.ParsePin(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, which reads back as %+v, %v", s, p, again, err)
		}
	})
}

// A sysfs is a made-up one.
type sysfs struct {
	t    *testing.T
	root string
}

func newSysfs(t *testing.T) sysfs {
	t.Helper()
	s := sysfs{t, t.TempDir()}
	s.dir("dev/char")
	return s
}

func (s sysfs) dir(path string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.root, path), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s sysfs) file(path, text string) {
	s.t.Helper()
	s.dir(filepath.Dir(path))
	if err := os.WriteFile(filepath.Join(s.root, path), []byte(text+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// link makes path a link to to, relative as sysfs has them.
func (s sysfs) link(path, to string) {
	s.t.Helper()
	s.dir(filepath.Dir(path))
	rel, err := filepath.Rel(filepath.Dir(path), to)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(rel, filepath.Join(s.root, path)); err != nil {
		s.t.Fatal(err)
	}
}

// node makes the video device 81:minor below a device, or with none behind it.
func (s sysfs) node(minor, node, device string) {
	s.t.Helper()
	s.dir(node)
	s.link("dev/char/81:"+minor, node)
	if device != "" {
		s.link(node+"/device", device)
	}
}

func TestLocateAsksTheKernel(t *testing.T) {
	s := newSysfs(t)
	const usb = "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.3"
	s.dir("bus/usb/drivers/uvcvideo")
	s.dir("bus/platform/drivers/vivid")
	for name, text := range map[string]string{"idVendor": "046d", "idProduct": "082d", "serial": "5DC83E9F", "devpath": "1.3"} {
		s.file(usb+"/"+name, text)
	}
	for name, text := range map[string]string{"idVendor": "1d6b", "idProduct": "0002", "serial": "0000:00:14.0", "devpath": "0"} {
		s.file("devices/pci0000:00/0000:00:14.0/usb1/"+name, text)
	}
	s.link(usb+"/1-1.3:1.0/driver", "bus/usb/drivers/uvcvideo")
	s.node("0", usb+"/1-1.3:1.0/video4linux/video0", usb+"/1-1.3:1.0")
	s.link("devices/platform/vivid.0/driver", "bus/platform/drivers/vivid")
	s.node("1", "devices/platform/vivid.0/video4linux/video1", "devices/platform/vivid.0")
	s.node("2", "devices/virtual/video4linux/video2", "")
	if err := os.Symlink("/etc", filepath.Join(s.root, "dev/char/81:3")); err != nil {
		t.Fatal(err)
	}

	camera := trust.Identity{Driver: "uvcvideo", Card: "HD Pro Webcam C920", Bus: "usb-0000:00:14.0-1.3"}
	for _, c := range []struct {
		name  string
		minor uint32
		want  trust.Identity
	}{
		{"a USB camera behind a hub", 0, trust.Identity{
			Path: "/sys/" + usb + "/1-1.3:1.0", Bound: "uvcvideo", Port: "usb-0000:00:14.0-1.3", USB: "046d:082d:5DC83E9F",
		}},
		{"vivid", 1, trust.Identity{Path: "/sys/devices/platform/vivid.0", Bound: "vivid"}},
		{"v4l2loopback", 2, trust.Identity{Path: "/sys/devices/virtual/video4linux/video2"}},
		{"a link that leaves sysfs", 3, trust.Identity{}},
		{"a device that is gone", 4, trust.Identity{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := camera
			said.Path, said.USB = "/sys/devices/forged", "046d:082d:forged"
			c.want.Driver, c.want.Card, c.want.Bus = camera.Driver, camera.Card, camera.Bus
			if got := trust.Locate(s.root, 81, c.minor, said); got != c.want {
				t.Errorf("Locate() = %+v\nwant %+v", got, c.want)
			}
		})
	}
	if got := trust.Locate(filepath.Join(s.root, "none"), 81, 0, camera); got != camera {
		t.Errorf("without sysfs: %+v", got)
	}
}

func TestFindUSBFindsACameraAndNothingElse(t *testing.T) {
	s := newSysfs(t)
	device := func(name, serial, class string) {
		dir := "devices/pci0000:00/0000:00:14.0/usb1/" + name
		for file, text := range map[string]string{
			"idVendor": "046d", "idProduct": "082d", "serial": serial, "devpath": name[2:], "busnum": "1", "devnum": name[2:] + "0",
			name + ":1.0/bInterfaceClass": class, name + ":1.1/bInterfaceClass": "01",
		} {
			s.file(dir+"/"+file, text)
		}
		s.link("bus/usb/devices/"+name, dir)
	}
	s.file("devices/pci0000:00/0000:00:14.0/usb1/devpath", "0")
	device("1-1", "A", "0e")
	device("1-2", "A", "0e")
	device("1-3", "B", "08") // a disk
	pin := func(port, serial string) trust.Pin {
		return trust.Pin{Driver: "uvcvideo", Bus: "usb-0000:00:14.0-" + port, USB: "046d:082d:" + serial}
	}
	dir, err := trust.FindUSB(s.root, pin("2", "A"))
	if err != nil || filepath.Base(dir) != "1-2" {
		t.Fatalf("FindUSB() = %s, %v", dir, err)
	}
	if bus, number, err := trust.USBAddress(dir); bus != 1 || number != 20 || err != nil {
		t.Errorf("USBAddress() = %d, %d, %v", bus, number, err)
	}
	if _, _, err := trust.USBAddress(s.root); err == nil {
		t.Error("what is no device has an address")
	}
	for name, p := range map[string]trust.Pin{
		"another serial": pin("1", "C"), "another port": pin("4", "A"), "a disk": pin("3", "B"), "nothing": {}, "no USB device": {Driver: "unicam", Bus: "platform:x"},
	} {
		if dir, err := trust.FindUSB(s.root, p); err == nil {
			t.Errorf("%s is found at %s", name, dir)
		}
	}
}
