// Package crashtest proves the outbox at every point at which the power can
// go: the program behind cmd/crash and its small form as a test.
//
// # How
//
// A recorder serves a FUSE file system with a disk and a file for lines. A loop
// device over the disk carries ext4, and on it a child process works with the
// product's own outbox, deliverer and gateway client. Before each step and
// after its acknowledgement it writes a line. So writes to the disk, its
// flushes, lines, and effects at the gateway stand in one order.
//
// From that the images follow that a power cut could have left of the disk: for
// each event all writes before it; those that were flushed alone; these and
// random ones of the others, which is also any other order of them; and the
// same with a write torn at a sector. Each is mounted, its journal recovered,
// and a child opens the outbox in it as a kiosk does that starts. What it finds
// is held against a Ledger, which is what the lines promise: what must be
// there, what may, what must not, in which order, with which bytes and marks.
// Then the child goes on: it takes one more capture, delivers everything to the
// gateway as that was at the moment of the crash, and starts again. Each record
// must have taken effect once, and nothing may be left. One image in fifty is
// crashed again while it recovers.
//
// Beside this, no byte that was written may hold a secret in the clear; no
// epoch key that is found anywhere in an image may open a part that was erased
// before it; and workloads that are killed at random moments are held against
// the same ledger.
//
// # What it takes for granted
//
// A disk keeps what it was told to flush, and sectors of 512 bytes whole. The
// two sectors of ext4's own superblock, which has one checksum, are never torn
// from each other: ext4 does not survive that, whatever lies in it, until fsck
// takes a copy of them. What the flash itself keeps of overwritten blocks is
// out of reach here, as it is for any software: see queue/FORMAT.md.
//
// # Controls
//
// A test that cannot fail proves nothing. Each Control weakens the outbox or
// the disk in one way, and a run has to notice.
package crashtest
