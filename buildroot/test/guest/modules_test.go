package guest_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest"
)

// writeModule writes an object file that says of itself what a module does.
func writeModule(t *testing.T, file string, needs ...string) {
	t.Helper()
	info := []byte("license=GPL\x00depends=" + strings.Join(needs, ",") + "\x00retpoline=Y\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	const head = 64
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: head, Size: uint64(len(info)), Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(head + len(info)), Size: uint64(len(names)), Addralign: 1},
	}
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(head + len(info) + len(names)), Ehsize: head, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 2,
	}
	var out bytes.Buffer
	for _, part := range []any{header, info, names, sections} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, needs ...string) {
		t.Helper()
		writeModule(t, filepath.Join(dir, "kernel", "drivers", name+".ko"), needs...)
	}
	write("vivid", "videobuf2-common", "v4l2-tpg", "cec")
	write("v4l2-tpg")
	write("videobuf2-common", "mc")
	write("mc")
	write("cec", "mc", "rc-core")
	write("gpio-sim", "configfs")
	write("egg", "hen")
	write("hen", "egg")
	if err := os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte("kernel/drivers/rc-core.ko\nkernel/fs/fuse/fuse.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want []string
		err  string
	}{
		{"vivid", []string{"mc", "videobuf2_common", "v4l2_tpg", "cec", "vivid"}, ""},
		{"mc", []string{"mc"}, ""},
		{"fuse", nil, ""}, // part of the kernel
		{"gpio-sim", nil, "no module configfs"},
		{"nothing", nil, "no module nothing"},
		{"egg", nil, "needs itself"},
	} {
		got, err := guest.Order(dir, c.name)
		switch {
		case c.err == "" && (err != nil || !slices.Equal(got, c.want)):
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %q, %v; want an error with %q", c.name, got, err, c.err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "torn.ko"), []byte("\x7fELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Order(dir, "mc"); err == nil || !strings.Contains(err.Error(), "torn.ko") {
		t.Errorf("a torn module: %v", err)
	}
}
