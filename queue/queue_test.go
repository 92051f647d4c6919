package queue_test

import (
	"testing"

	"livekiosk/queue/queuetest"
)

func TestTheOutboxKeepsItsContract(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Outbox {
		t.Helper()
		return queuetest.Open(t)
	})
}
