package cameratest_test

import (
	"testing"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/cameratest"
)

func TestScriptedIsASource(t *testing.T) {
	cameratest.TestSource(t, func(*testing.T) camera.Source {
		s := cameratest.NewScripted()
		s.Interval = time.Millisecond
		return s
	})
}
