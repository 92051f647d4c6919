package kiosk_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"livekiosk/kiosk"
)

// TestQualityReadsBackBitForBit fills every component with values that have no
// short decimal form.
func TestQualityReadsBackBitForBit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		want := kiosk.Assessment{Quality: kiosk.Quality{Unified: random.Float32()}}
		for _, field := range reflect.ValueOf(&want.Quality).Elem().Fields() {
			if c, ok := reflect.TypeAssert[*kiosk.Component](field.Addr()); ok {
				c.Raw = float32(random.NormFloat64() * math.Pow(10, float64(random.IntN(12)-6)))
				c.Q = int8(random.IntN(102) - 1)
			}
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got kiosk.Assessment
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Fatalf("%v: wrote %s, read %+v", err, b, got)
		}
	}
}

func TestAFrameWithoutAFaceHasNoQuality(t *testing.T) {
	b, err := json.Marshal(kiosk.Assessment{})
	if err != nil || strings.Contains(string(b), "quality") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestComponentsThatCannotBeAreRefused(t *testing.T) {
	for _, text := range []string{`[1]`, `[1,2,3]`, `[1,101]`, `[1,-2]`, `[1,50.5]`, `[1,300]`, `{"raw":1}`, `["1",2]`} {
		var c kiosk.Component
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s was read as %+v", text, c)
		}
	}
	var c kiosk.Component
	if err := json.Unmarshal([]byte(`[0.1,-1]`), &c); err != nil || c != (kiosk.Component{Raw: 0.1, Q: -1}) {
		t.Errorf("read %+v, %v", c, err)
	}
}
