package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// A sample is what a process used at one time.
type sample struct {
	at          time.Duration // since the soak began
	life        int
	session     int
	memory      int64 // resident, bytes
	anonymous   int64 // of those, what is no file, bytes
	descriptors int
	threads     int
	goroutines  int // -1: not told
	waiting     int // records
}

// measureProcess reads what the kernel knows of a process.
func measureProcess(pid int) (m sample, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("measure: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			m.memory = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			m.anonymous = kb << 10
		}
		_, _ = fmt.Sscanf(line, "Threads: %d", &m.threads)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return m, fmt.Errorf("measure: %w", err)
	}
	m.descriptors = len(open)
	if m.memory == 0 || m.threads == 0 {
		return m, fmt.Errorf("measure: process %d has no memory: it has ended", pid)
	}
	return m, nil
}

// goroutines asks a daemon's metrics over its socket. It returns -1 if the
// daemon keeps none.
func goroutines(ctx context.Context, socket string) (int, error) {
	const name = "go_goroutines"
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kioskd/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	if res.StatusCode == http.StatusNotFound {
		return -1, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	for line := range bytes.Lines(body) {
		var n float64
		if k, _ := fmt.Sscanf(string(line), name+" %g", &n); k == 1 {
			return int(n), nil
		}
	}
	return 0, fmt.Errorf("metrics: HTTP %d, and no %s", res.StatusCode, name)
}

// slope is the Theil-Sen estimate of a line's slope: the median of the slopes
// between all pairs of points (P. K. Sen, 1968). A third of the points may be
// anywhere without moving it.
func slope(x, y []float64) float64 {
	var all []float64
	for i := range x {
		for j := range i {
			if x[i] != x[j] {
				all = append(all, (y[i]-y[j])/(x[i]-x[j]))
			}
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}
