package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
)

// The claim: with its seals, its marks and its flushes the product drains an
// outbox at this part of the throughput of a client that has none of them.
const leastRatio = 0.85

// Memory is flat if the last third of a drain needs no more than the second
// third, but for the collector's mood.
const (
	mostGrowth = 1.15
	growthRoom = 8 << 20 // bytes
)

// The clients that drain.
const (
	productClient = "product"
	bareClient    = "bare"
)

// A load is what is drained, and into what.
type load struct {
	Client  string // who drains
	Records int
	Image   int // bytes of each of a record's two images
	Lanes   int // records worked on at a time
	Gateway string
	Partner string
	Dir     string // of the product's outbox
	Profile string // file for a processor profile of the drain; "": none
}

// A drained says how a drain went.
type drained struct {
	Seconds float64
	CPU     float64 // seconds of processor time
	Peak    float64 // bytes of live and dead objects on the heap, at most
	Middle  float64 // the same, median over the second third of the drain
	Late    float64 // and over the last third
}

func (d drained) rate(l load) float64 { return float64(l.Records) / d.Seconds }

// flat reports whether memory did not grow with the records that were drained.
func (d drained) flat() bool { return d.Late <= mostGrowth*d.Middle+growthRoom }

// beDrain drains in a process of its own, whose memory is nobody else's. It
// reports what it measured.
func beDrain(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	var l load
	ctx, err := configured(ctx, in, &l)
	if err != nil {
		return err
	}
	run, err := prepare(ctx, l)
	if err != nil {
		return err
	}
	d, err := measure(ctx, l, run)
	if err != nil {
		return err
	}
	return tell(out, d)
}

// prepare gets a load ready. What is returned drains it, once.
func prepare(ctx context.Context, l load) (func(context.Context) error, error) {
	s, err := newStudio(1)
	if err != nil {
		return nil, err
	}
	if l.Client == bareClient {
		return newBare(l, s).run, nil
	}
	return preload(ctx, l, s)
}

// preload fills the product's outbox. What is returned delivers its records.
func preload(ctx context.Context, l load, s *studio) (func(context.Context) error, error) {
	q, err := openOutbox(ctx, l.Dir, nil)
	if err != nil {
		return nil, err
	}
	for n := range l.Records {
		c := s.capture(n)
		c.Images = s.images(n, l.Image, l.Image)
		if err := q.Put(ctx, c); err != nil {
			return nil, errors.Join(fmt.Errorf("preload: %w", err), q.Close())
		}
	}
	return func(ctx context.Context) (err error) {
		defer func() { err = errors.Join(err, q.Close()) }()
		client, err := gateway.New(gateway.Options{GatewayURL: l.Gateway, PartnerURL: l.Partner})
		if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var settled atomic.Int64
		var refused atomic.Int64
		d, err := deliver.New(deliver.Options{
			Outbox: q, Gateway: client, Partner: client, Next: gateway.Next, Lanes: l.Lanes,
			Emit: func(e kiosk.Event) { // after the outbox has taken the end
				if e.Kind != kiosk.EventSettled {
					return
				}
				if e.Text != string(kiosk.ExitSuccess) {
					refused.Add(1)
				}
				if settled.Add(1) == int64(l.Records) {
					cancel()
				}
			},
		})
		if err != nil {
			return fmt.Errorf("deliver: %w", err)
		}
		if err := d.Run(ctx); err != nil {
			return err
		}
		if settled.Load() != int64(l.Records) || refused.Load() > 0 {
			return fmt.Errorf("%d of %d records settled, %d of them not approved", settled.Load(), l.Records, refused.Load())
		}
		return nil
	}, nil
}

// measure times a drain and watches the heap meanwhile.
func measure(ctx context.Context, l load, run func(context.Context) error) (d drained, err error) {
	if l.Profile != "" {
		f, broken := os.Create(l.Profile)
		if broken != nil {
			return d, fmt.Errorf("profile: %w", broken)
		}
		defer f.Close()
		if err = pprof.StartCPUProfile(f); err != nil {
			return d, fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	var heap []float64
	stop := make(chan struct{})
	g := errgroup.Group{}
	g.Go(func() error {
		t := time.NewTicker(5 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return nil
			case <-t.C:
				heap = append(heap, heapSize())
			}
		}
	})
	began, spent := time.Now(), cpu()
	err = run(ctx)
	d.Seconds, d.CPU = time.Since(began).Seconds(), cpu()-spent
	close(stop)
	if err = errors.Join(err, g.Wait()); err != nil {
		return d, err
	}
	if n := len(heap); n >= 3 {
		d.Peak = slices.Max(heap)
		d.Middle, d.Late = median(heap[n/3:2*n/3]), median(heap[2*n/3:])
	}
	return d, nil
}

// cpu is the processor time that this process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail for oneself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// heapSize is the size of all objects on the heap, dead ones that are not yet
// collected included, in bytes.
func heapSize() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}

// median returns the middle of values, which it leaves as they are.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}

// A contest is a product and a bare client that drain the same load by turns.
type contest struct {
	load

	pairs   int
	plain   bool // gateway
	dir     string
	profile string
}

func runDrain(ctx context.Context, args []string, out io.Writer) error {
	c := contest{}
	kb, kind := 0, ""
	fs := flag.NewFlagSet("drain", flag.ContinueOnError)
	fs.IntVar(&c.Records, "records", 1000, "`number` of records in the outbox")
	fs.IntVar(&kb, "size", 300, "size of a record in `KB`: its two images")
	fs.IntVar(&c.Lanes, "lanes", 8, "`number` of records worked on at a time")
	fs.IntVar(&c.pairs, "pairs", 5, "`number` of drains by each client, which take turns")
	fs.StringVar(&kind, "gateway", "sim", "sim: the simulator, in its fastest mode; plain: one that answers at once and throws the bytes away")
	fs.StringVar(&c.dir, "out", filepath.Join("out", "drain"), "`folder` for everything that is written; emptied first")
	fs.StringVar(&c.profile, "profile", "", "`file` for a processor profile of the product's last drain")
	if err := parse(fs, args, out); err != nil {
		return err
	}
	c.plain, c.Image = kind == "plain", kb*1000/2
	switch {
	case kind != "plain" && kind != "sim":
		return fmt.Errorf("%w: -gateway: %q is neither sim nor plain", errUsage, kind)
	case c.Records < 1 || c.Lanes < 1 || c.pairs < 1 || c.Image < leastImage:
		return fmt.Errorf("%w: want at least one record, lane and pair, and %d KB a record", errUsage, 2*leastImage/1000+1)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("empty %s: %w", c.dir, err)
	}
	return c.run(ctx, out)
}

func (c contest) run(ctx context.Context, out io.Writer) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", c.dir, err)
	}
	log, err := os.Create(filepath.Join(c.dir, "children.log"))
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer log.Close()
	gateway := "simulator, in a process of its own, in memory, verdict at once"
	if c.plain {
		gateway = "plain, in a process of its own: answers at once, keeps nothing"
	}
	say(out, "%d records of %d KB, %d at a time; gateway: %s\n", c.Records, 2*c.Image/1000, c.Lanes, gateway)
	say(out, "%-3s %31s %31s %7s   %s\n", "", productClient, bareClient, "ratio", "product's heap, MB")
	var ratios []float64
	grew := 0
	for n := range c.pairs {
		of := map[string]drained{}
		clients := []string{productClient, bareClient}
		if n%2 == 1 { // what the machine does besides must not favour one of them
			slices.Reverse(clients)
		}
		for _, client := range clients {
			if of[client], err = c.drain(ctx, log, client, n); err != nil {
				return err
			}
		}
		p, b := of[productClient], of[bareClient]
		if !p.flat() {
			grew++
		}
		ratio := p.rate(c.load) / b.rate(c.load)
		ratios = append(ratios, ratio)
		say(out, "%-3d %s %s %7.2f   %.1f peak, %.1f then %.1f\n", n+1, c.words(p), c.words(b), ratio, p.Peak/1e6, p.Middle/1e6, p.Late/1e6)
	}
	ratio := median(ratios)
	say(out, "median ratio %.2f\n", ratio)
	switch {
	case 2*grew > c.pairs:
		return fmt.Errorf("the product's memory grew while it drained, %d times of %d", grew, c.pairs)
	case ratio < leastRatio:
		return fmt.Errorf("the product drains at %.0f %% of a bare client's throughput: want %.0f %%", 100*ratio, 100*leastRatio)
	}
	return nil
}

// words says how fast a drain was, and what processor time a record took.
func (c contest) words(d drained) string {
	return fmt.Sprintf("%5.0f/s %4.0f MB/s %4.1f ms each", d.rate(c.load), d.rate(c.load)*float64(2*c.Image)/1e6, 1000*d.CPU/float64(c.Records))
}

// drain has one client drain a new load into a new gateway.
func (c contest) drain(ctx context.Context, log io.Writer, client string, n int) (d drained, err error) {
	g, address, err := fastGateway(ctx, c.plain, log)
	if err != nil {
		return d, err
	}
	defer g.kill()
	l := c.load
	l.Client, l.Gateway, l.Partner = client, "http://"+address, "http://"+address+"/partner"
	l.Dir = filepath.Join(c.dir, "outbox")
	if client == productClient && n == c.pairs-1 {
		l.Profile = c.profile
	}
	if err = os.RemoveAll(l.Dir); err != nil {
		return d, fmt.Errorf("empty %s: %w", l.Dir, err)
	}
	var last []byte
	p, err := spawn(ctx, "drain", l, log, func(line []byte) { last = slices.Clone(line) })
	if err != nil {
		return d, err
	}
	defer p.kill()
	select {
	case <-ctx.Done():
		return d, ctx.Err()
	case <-p.done:
	}
	if err = p.verdict(); err != nil {
		return d, fmt.Errorf("%w: see %s", err, filepath.Join(c.dir, "children.log"))
	}
	if err = json.Unmarshal(last, &d); err != nil {
		return d, fmt.Errorf("%s: %w", client, err)
	}
	return d, nil
}

// fastGateway starts a gateway that costs as little as it can, in a process of
// its own.
func fastGateway(ctx context.Context, plain bool, log io.Writer) (*child, string, error) {
	address, err := freePort(ctx)
	if err != nil {
		return nil, "", err
	}
	ready := make(chan struct{}, 1)
	g, err := spawn(ctx, "gateway", gatewayConfig{Listen: address, Base: "http://" + address, Plain: plain}, log, func([]byte) { ready <- struct{}{} })
	if err != nil {
		return nil, "", err
	}
	select {
	case <-ctx.Done():
		g.kill()
		return nil, "", ctx.Err()
	case <-g.done:
		return nil, "", g.verdict()
	case <-ready:
		return g, address, nil
	}
}
