package guest

import (
	"fmt"
)

// An Arch is an architecture of guests, by Debian's and Go's name.
type Arch string

// The architectures.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

// ParseArch reads the name of an architecture.
func ParseArch(s string) (Arch, error) {
	switch a := Arch(s); a {
	case AMD64, ARM64:
		return a, nil
	default:
		return "", fmt.Errorf("architecture %q: want %s or %s", s, AMD64, ARM64)
	}
}

// triplet is the prefix of the compiler and the name of the library folder.
func (a Arch) triplet() string {
	if a == ARM64 {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// kernel is what the kernel's makefiles call it.
func (a Arch) kernel() string {
	if a == ARM64 {
		return "arm64"
	}
	return "x86"
}

// emulator is the command line of the machine, without what is put into it.
func (a Arch) emulator() []string {
	if a == ARM64 {
		return []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"}
	}
	return []string{"qemu-system-x86_64", "-M", "pc", "-cpu", "max"}
}

// console is the serial line that the kernel's log goes to.
func (a Arch) console() string {
	if a == ARM64 {
		return "ttyAMA0"
	}
	return "ttyS0"
}

// tools are the programs that making and running such a guest takes.
func (a Arch) tools() []string {
	cc := a.triplet() + "-"
	return []string{a.emulator()[0], cc + "gcc", cc + "strip", "apt-get", "apt-cache", "dpkg-deb", "make", "tar", "xz", "go"}
}
