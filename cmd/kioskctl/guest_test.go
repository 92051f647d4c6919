//go:build guest

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest/guesttest"
	"livekiosk/camera/trust"
)

// gadget makes a USB device on a controller whose devices are programs, with one
// interface of a class and nothing behind it, and returns what it is pinned by.
func gadget(t *testing.T, serial string, class byte) trust.Pin {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
	}
	guesttest.Load(t, "dummy_hcd")
	guesttest.Load(t, "usb_f_fs")
	const dir = "/sys/kernel/config/usb_gadget/camera"
	must(unix.Mount("none", "/sys/kernel/config", "configfs", 0, ""))
	for _, path := range []string{"", "strings/0x409", "functions/ffs.camera", "configs/c.1"} {
		path = filepath.Join(dir, path)
		must(os.Mkdir(path, 0o755))
		t.Cleanup(func() { must(os.Remove(path)) })
	}
	for file, text := range map[string]string{"idVendor": "0x046d", "idProduct": "0x082d", "strings/0x409/serialnumber": serial} {
		must(os.WriteFile(filepath.Join(dir, file), []byte(text), 0))
	}
	link := filepath.Join(dir, "configs/c.1/ffs.camera")
	must(os.Symlink(filepath.Join(dir, "functions/ffs.camera"), link))
	t.Cleanup(func() { must(os.Remove(link)) })

	// The function's program says what it is, on its endpoint zero.
	function := t.TempDir()
	must(unix.Mount("camera", function, "functionfs", 0, ""))
	t.Cleanup(func() { must(unix.Unmount(function, 0)) })
	ep0, err := os.OpenFile(filepath.Join(function, "ep0"), os.O_RDWR, 0)
	must(err)
	t.Cleanup(func() { must(ep0.Close()) })
	iface := []byte{9, 4, 0, 0, 0, class, 1, 0, 0}
	descriptors := words32(3, uint32(20+2*len(iface)), 1|2, 1, 1) // both speeds, a descriptor each
	descriptors = append(append(descriptors, iface...), iface...)
	for _, said := range [][]byte{descriptors, words32(2, 16, 0, 0)} {
		_, err = ep0.Write(said)
		must(err)
	}
	udc := filepath.Join(dir, "UDC")
	must(os.WriteFile(udc, []byte("dummy_udc.0"), 0))
	t.Cleanup(func() { must(os.WriteFile(udc, []byte("\n"), 0)) })
	return trust.Pin{Driver: "uvcvideo", Bus: "usb-dummy_hcd.0-1", USB: "046d:082d:" + serial}
}

func words32(all ...uint32) (b []byte) {
	for _, v := range all {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// TestGuestAResetReachesTheCamera has a request carried out on a USB camera,
// which is another device on its bus afterwards.
func TestGuestAResetReachesTheCamera(t *testing.T) {
	pin := gadget(t, "5DC83E9F", 0x0e)
	folder := ""
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); folder == ""; <-tick.C {
		var err error
		if folder, err = trust.FindUSB(trust.Sysfs, pin); err != nil && time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Logf("%s is at %s", pin, folder)
	resets := func() string {
		b, err := os.ReadFile(filepath.Join(folder, "urbnum")) // of all that was asked of it
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := resets()
	request := filepath.Join(t.TempDir(), "camera-reset")
	if err := os.WriteFile(request, []byte(pin.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := kioskctl(t.Context(), nil, "", "camera", "reset", "--request", request)
	if code != 0 || !strings.Contains(out, ": reset") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if after := resets(); after == before {
		t.Errorf("nothing was asked of the device: %s, and %s before", after, before)
	}
	other := pin
	other.USB = "046d:082d:another"
	if err := os.WriteFile(request, []byte(other.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := kioskctl(t.Context(), nil, "", "camera", "reset", "--request", request); code != 69 || !strings.Contains(errs, "no USB device") {
		t.Errorf("another serial: exit %d, %s%s", code, out, errs)
	}
}
