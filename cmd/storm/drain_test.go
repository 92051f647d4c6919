package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestBothClientsDrainTheWholeLoad(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"plain", "sim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			profile := filepath.Join(t.TempDir(), "cpu")
			err := runDrain(t.Context(), []string{"-out", filepath.Join(t.TempDir(), "drain"), "-records", "20", "-size", "60", "-pairs", "1", "-gateway", kind, "-profile", profile}, &out)
			if err != nil && !strings.Contains(err.Error(), "of a bare client's throughput") { // a busy machine is no defect
				t.Errorf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), "median ratio") {
				t.Error(out.String())
			}
			if _, err := os.Stat(profile); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADrainThatFailsIsNotMeasured(t *testing.T) {
	address, err := freePort(t.Context()) // nobody listens
	if err != nil {
		t.Fatal(err)
	}
	l := load{Client: bareClient, Records: 3, Image: leastImage, Lanes: 2, Gateway: "http://" + address, Partner: "http://" + address + "/partner"}
	run, err := prepare(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := measure(t.Context(), l, run); err == nil {
		t.Errorf("measured %+v", d)
	}
}

func TestMemoryThatGrowsIsSeen(t *testing.T) {
	for name, tt := range map[string]struct {
		d    drained
		flat bool
	}{
		"the same":            {drained{Middle: 20e6, Late: 20e6}, true},
		"less":                {drained{Middle: 20e6, Late: 10e6}, true},
		"a collector's mood":  {drained{Middle: 5e6, Late: 9e6}, true},
		"a tenth of a record": {drained{Middle: 50e6, Late: 75e6}, false},
	} {
		if got := tt.d.flat(); got != tt.flat {
			t.Errorf("%s: flat is %t", name, got)
		}
	}
}

func BenchmarkDrain(b *testing.B) {
	for _, kind := range []string{"sim", "plain"} {
		for _, client := range []string{productClient, bareClient} {
			b.Run(fmt.Sprintf("gateway=%s/client=%s", kind, client), func(b *testing.B) {
				l := load{Client: client, Records: 1000, Image: 150_000, Lanes: 8}
				b.SetBytes(int64(l.Records * 2 * l.Image))
				b.ReportAllocs()
				var peak, seconds float64
				n := 0
				for b.Loop() {
					b.StopTimer()
					g, address, err := fastGateway(b.Context(), kind == "plain", b.Output())
					if err != nil {
						b.Fatal(err)
					}
					n++
					l.Gateway, l.Partner, l.Dir = "http://"+address, "http://"+address+"/partner", filepath.Join(b.TempDir(), strconv.Itoa(n))
					run, err := prepare(b.Context(), l)
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					d, err := measure(b.Context(), l, run)
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
					peak, seconds = max(peak, d.Peak), seconds+d.Seconds
					g.kill()
					b.StartTimer()
				}
				b.ReportMetric(float64(n*l.Records)/seconds, "records/s")
				b.ReportMetric(peak/1e6, "peak-heap-MB")
			})
		}
	}
}
