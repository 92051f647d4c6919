// Package guesttest makes the devices of guest tests: virtual cameras and GPIO
// chips of the kernel. Everything it makes is gone at the test's end. It works
// in a guest only (see package guest), as root.
package guesttest
