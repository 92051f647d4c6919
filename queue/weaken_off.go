//go:build !weaken

package queue

import (
	"context"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// What the tests of the crash tests break in a build of their own. Here it
// holds.

func weakNoSync() bool     { return false }
func weakInPlace() bool    { return false }
func weakKeepEpochs() bool { return false }

func weakBegin(*bbolt.DB) {}
func weakMark(*bbolt.DB)  {}

func (q *Queue) weakSettle(context.Context, kiosk.RecordID) error { return nil }
