package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// relayKey is the relay's private key. On a kiosk there is only its public half.
func (d *demo) relayKey() string    { return filepath.Join(d.dir, "relay", "relay.key") }
func (d *demo) relayPublic() string { return filepath.Join(d.dir, "relay.pub") }

// startRelay makes the relay's key and starts the relay before the gateway.
func (d *demo) startRelay(ctx context.Context) error {
	address, err := freePort(ctx)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"keys", "create", "--out", d.relayKey()},
		{"keys", "public", "--key", d.relayKey(), "--out", d.relayPublic()},
	} {
		if said, failed := exec.CommandContext(ctx, filepath.Join(d.bin, "kioskctl"), args...).CombinedOutput(); failed != nil {
			return fmt.Errorf("kioskctl %s: %w: %s", strings.Join(args, " "), failed, bytes.TrimSpace(said))
		}
	}
	if d.relay, err = d.start(ctx, "kioskctl", "relay", "--listen", address, "--key", d.relayKey(), "--upstream", "http://"+d.address); err != nil {
		return err
	}
	if err = d.await(ctx, d.relay, func() bool { return answers(ctx, address) }); err != nil {
		return err
	}
	d.relayed = address
	d.say("relay", "at http://%s, before the gateway", address)
	return nil
}

// answers knocks at an address.
func answers(ctx context.Context, address string) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = c.Close() // it was only knocked at
	}
	return err == nil
}

// relayConfig is what the kiosk is told of the relay.
func (d *demo) relayConfig() string {
	if d.relay == nil {
		return ""
	}
	return fmt.Sprintf("\n# Only the relay can read the evidence.\n[relay]\nkey_file    = %q\ngateway_url = \"http://%s\"\n", d.relayPublic(), d.address)
}

// steal reads what who takes the kiosk away has: its outbox, with all keys
// that lie there. The daemon must not run.
func (d *demo) steal(ctx context.Context) (err error) {
	state := filepath.Join(d.dir, "state")
	keys, err := seal.Store{Dir: filepath.Join(state, "keys"), Kind: seal.FileStore}.Open()
	if err != nil {
		return fmt.Errorf("the stolen kiosk's keys: %w", err)
	}
	q, err := queue.Open(ctx, queue.Options{Path: filepath.Join(state, "outbox.db"), Keys: keys})
	if err != nil {
		return fmt.Errorf("the stolen kiosk's outbox: %w", err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	ids, err := q.Pending(ctx)
	if err != nil || len(ids) != 1 {
		return fmt.Errorf("the stolen kiosk's outbox holds %d records: %w", len(ids), err)
	}
	job, err := q.Job(ctx, ids[0])
	if err != nil {
		return fmt.Errorf("the stolen kiosk's record: %w", err)
	}
	var m struct {
		Sealed []byte `json:"livekiosk_sealed"`
	}
	if err = json.Unmarshal(job.Metadata, &m); err != nil {
		return fmt.Errorf("the stolen kiosk's metadata: %w", err)
	}
	envelopes := map[string][]byte{"metadata": m.Sealed}
	for _, doc := range kiosk.Documents() {
		if envelopes[string(doc)], err = q.Image(ctx, ids[0], doc, new([]byte)); err != nil {
			return fmt.Errorf("the stolen kiosk's image: %w", err)
		}
	}
	relay, err := seal.Load(d.relayKey())
	if err != nil {
		return fmt.Errorf("the relay's key: %w", err)
	}
	for name, envelope := range envelopes {
		for _, own := range keys.All() {
			if _, _, opened := seal.OpenEnvelope(own, job.CorrelationID, bytes.Clone(envelope)); opened == nil {
				return fmt.Errorf("who steals the kiosk reads %s", name)
			}
		}
		if _, _, err := seal.OpenEnvelope(relay, job.CorrelationID, envelope); err != nil {
			return fmt.Errorf("the relay cannot read %s: %w", name, err)
		}
	}
	d.say("thief", "has the outbox and every key of the kiosk")
	d.say("thief", "reads: correlation id and user id, and the user token once there is one")
	d.say("thief", "cannot read: SELFIE, ADDITIONAL_SELFIE, metadata; they open with the relay's key %s… only", relay.Fingerprint()[:8])
	return nil
}
