//go:build guest

package v4l2_test

import (
	"testing"

	"livekiosk/buildroot/test/guest/guesttest"
)

func TestGuestContract(t *testing.T) {
	contract(t, guesttest.Cameras(t, guesttest.Webcam()...)[0])
}
