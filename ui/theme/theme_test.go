package theme_test

import (
	"image/color"
	"math"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

func TestEveryPairHasItsContrast(t *testing.T) {
	for _, th := range theme.Schemes() {
		for _, p := range theme.Of(th).Pairs() {
			if got := theme.Contrast(p.Fore, p.Back); got < p.Least {
				t.Errorf("%s: %s has contrast %.2f, want %.1f", th, p.Name, got, p.Least)
			}
		}
	}
}

func TestNoPreferenceIsLight(t *testing.T) {
	if theme.Of(kiosk.NoPreference) != theme.Of(kiosk.Light) || theme.Of("") != theme.Of(kiosk.Light) {
		t.Error("no preference is not the light palette")
	}
	if theme.Of(kiosk.Dark) == theme.Of(kiosk.Light) {
		t.Error("dark is light")
	}
}

func TestContrastIsThatOfWCAG(t *testing.T) {
	black, white := color.NRGBA{A: 255}, color.NRGBA{255, 255, 255, 255}
	for _, c := range []struct {
		name string
		a, b color.NRGBA
		want float64
	}{
		{"black on white is the largest", black, white, 21},
		{"the order does not matter", white, black, 21},
		{"a colour on itself is the smallest", white, white, 1},
		{"the grey that just passes on white", color.NRGBA{0x76, 0x76, 0x76, 255}, white, 4.54},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := theme.Contrast(c.a, c.b); math.Abs(got-c.want) > 0.005 {
				t.Errorf("got %.3f, want %.2f", got, c.want)
			}
		})
	}
}

func TestOverBlendsByAlpha(t *testing.T) {
	white := color.NRGBA{255, 255, 255, 255}
	if got := theme.Over(color.NRGBA{A: 128}, white); got.R != 127 {
		t.Errorf("half black on white is %d, want 127", got.R)
	}
	if got := theme.Over(white, color.NRGBA{A: 255}); got != white {
		t.Errorf("opaque white covers nothing: %v", got)
	}
	if got := theme.Over(color.NRGBA{}, white); got != white {
		t.Errorf("transparent changed white to %v", got)
	}
}
