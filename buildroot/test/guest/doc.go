// Package guest runs tests of the product in a small virtual machine: Debian's
// own kernel, its virtual devices, an initramfs with nothing but the test
// binaries, under QEMU's software emulation. Neither root nor KVM is needed.
//
// A package takes part by a test file whose name ends in guest_test.go, with
//
//	//go:build guest
//
// and tests whose names begin with TestGuest. They make their devices with
// package guesttest. They run as root, and must not be skipped.
//
// What fails a run: a test that fails or is skipped, a package without a test,
// a kernel that panics or meets an oops, a guest that ends early or not in
// time. A warning of the kernel is told, and fails nothing.
package guest
