package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"livekiosk/queue/gateway/relay"
	"livekiosk/queue/seal"
)

// killRelay befalls what is between the kiosk and the gateway in relay mode.
const killRelay strike = "kill relay"

// A relayConfig is what a relay's child is told.
type relayConfig struct {
	Listen  string // address
	Gateway string // URL
	Key     string // file
}

// beRelay opens what the kiosk sealed and hands it on. It reports
// {"ready":ADDRESS} when it listens.
func beRelay(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	var c relayConfig
	ctx, err := configured(ctx, in, &c)
	if err != nil {
		return err
	}
	key, err := seal.Load(c.Key)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	r, err := relay.New(relay.Options{GatewayURL: c.Gateway, Keys: seal.NewRing(key), Client: impatient()})
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return serve(ctx, c.Listen, r, out, func(context.Context) error { return nil })
}

// startRelay starts the relay where the last one was killed.
func (s *storm) startRelay(ctx context.Context) error {
	file := filepath.Join(s.dir, "relay.key")
	key, err := seal.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = seal.Make(file, seal.X25519)
	}
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	s.relayKey = string(key.Public().PEM())
	ready := make(chan struct{}, 1)
	c := relayConfig{Listen: s.relayed, Gateway: "http://" + s.proxy.address(), Key: file}
	if s.relayer, err = spawn(ctx, "relay", c, s.log, func([]byte) { offer(ready) }); err != nil {
		return err
	}
	return s.await(ctx, s.relayer, ready)
}
