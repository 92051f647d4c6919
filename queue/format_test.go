package queue_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

var update = flag.Bool("update", false, "make the outbox files in testdata anew")

// formats are the formats that this version reads, each with an outbox that a
// program of its time wrote.
var formats = map[string]string{"1": filepath.Join("testdata", "format-1.db")}

// fixtureKeys are the keys of the outbox files in testdata. They are no secret:
// everybody can make them from these words.
func fixtureKeys(t *testing.T) *seal.Ring {
	t.Helper()
	seed := sha256.Sum256([]byte("the device key of the outbox files in testdata"))
	private, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "device.key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	keys, err := seal.Store{Dir: dir, Kind: seal.FileStore}.Open()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// fixture makes an outbox with something of everything.
func fixture(t *testing.T, path string, keys *seal.Ring) {
	t.Helper()
	q := open(t, queue.Options{Path: path, Keys: keys, MaxRecords: 6, MaxBookings: 1})
	for n := range 5 {
		put(t, q, n, 500)
	}
	for _, err := range []error{
		q.Mark(t.Context(), "session-0-1", kiosk.Marks{Token: "token-canary", SubmissionID: "sub-0", Pace: kiosk.Pace{Failures: 2}}),
		q.Dead(t.Context(), "session-2-1", "FORBIDDEN"),
		q.Recapture(t.Context(), "session-3-1", kiosk.Receipt{SubmissionID: "sub-3", Action: kiosk.Retry}),
		q.Settle(t.Context(), "session-4-1", succeed("session-4-1")),
		q.Book(t.Context(), queuetest.Booking(5)),
		q.SetOutages(t.Context(), []kiosk.Outage{{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 3}}),
		q.Prune(t.Context()),
		q.Probe(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	shut(t, q)
	// What lies behind the pages in use says nothing.
	file := read(t, path)
	pages := binary.LittleEndian.Uint64(file[latest(file)+16+40:])
	if err := os.Truncate(path, int64(pages)*4096); err != nil { //nolint:gosec // a few
		t.Fatal(err)
	}
}

// TestEveryFormatThatIsReadOpensAndIsDelivered holds this version to what
// others wrote before it.
func TestEveryFormatThatIsReadOpensAndIsDelivered(t *testing.T) {
	t.Parallel()
	keys := fixtureKeys(t)
	for format, path := range formats {
		t.Run("format "+format, func(t *testing.T) {
			t.Parallel()
			if *update {
				for _, stale := range append(epochFiles(t, path), path) {
					if err := os.Remove(stale); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
				fixture(t, path, keys)
			}
			q := open(t, queue.Options{Path: copied(t, path), Keys: keys})
			defer shut(t, q)
			if q.Quarantined != "" || q.Orphans != 0 {
				t.Fatalf("quarantined %q, orphans %d", q.Quarantined, q.Orphans)
			}
			for state, want := range map[string]string{"submitted": "0", "queued": "1", "dead": "2 3", "done": "4"} {
				if got := listed(t, q, state); got != want {
					t.Errorf("%s: %q, want %q", state, got, want)
				}
			}
			if got := expected(t, q); got != "5" {
				t.Errorf("booked: %q", got)
			}
			if outages, err := q.Outages(t.Context()); err != nil || len(outages) != 1 || outages[0].Trouble != kiosk.TroubleDNS {
				t.Errorf("outages: %v, %v", outages, err)
			}
			if used, err := q.Used(t.Context(), queuetest.Submission(4, 1).CorrelationID); err != nil || !used {
				t.Errorf("the correlation id of a settled record is used: %v, %v", used, err)
			}
			erasures, err := q.Erasures(t.Context())
			if err != nil || len(erasures) != 2 {
				t.Errorf("erasures: %+v, %v", erasures, err)
			}
			if found, err := q.Verify(t.Context(), nil); err != nil || found.Records != 4 || len(found.Broken) > 0 || found.Unproven > 0 || found.Tampered {
				t.Errorf("verified: %+v, %v", found, err)
			}
			if err := q.Revive(t.Context(), "session-2-1"); err != nil {
				t.Fatal(err)
			}
			for n := range 3 {
				s := queuetest.Submission(n, 500)
				job, err := q.Job(t.Context(), s.Record)
				if err != nil || job.CorrelationID != s.CorrelationID || job.Token != s.Token || string(job.Metadata) != string(s.Metadata) {
					t.Errorf("the job of %s: %v", s.Record, err)
				}
				if n == 0 && (job.Marks.SubmissionID != "sub-0" || job.Marks.Token != "token-canary" || job.Marks.Pace.Failures != 2) {
					t.Errorf("the marks: %+v", job.Marks)
				}
				for document, want := range s.Images {
					got, err := q.Image(t.Context(), s.Record, document, nil)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s of %s: %v", document, s.Record, err)
					}
				}
				if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
					t.Error(err)
				}
			}
			if err := q.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
