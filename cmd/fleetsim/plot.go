package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
)

// Size of one panel of the picture, in pixels.
const (
	panelWidth  = 1280
	panelHeight = 520
)

// picture draws the first scenario's rates and queues, and below, if there are
// controls, the rates of all that differ by their policy.
func picture(w io.Writer, results []*result) error {
	panels := []chart.Chart{drainPanel(results[0])}
	var compared []*result
	for _, r := range results {
		if r.Control || r == results[0] {
			compared = append(compared, r)
		}
	}
	if len(compared) > 1 {
		panels = append(panels, controlPanel(compared))
	}
	canvas := image.NewRGBA(image.Rect(0, 0, panelWidth, panelHeight*len(panels)))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for i, p := range panels {
		var b bytes.Buffer
		if err := p.Render(chart.PNG, &b); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		img, err := png.Decode(&b)
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		draw.Draw(canvas, image.Rect(0, i*panelHeight, panelWidth, (i+1)*panelHeight), img, image.Point{}, draw.Src)
	}
	return png.Encode(w, canvas)
}

// Colours that differ for the colour-blind too (Okabe and Ito).
func blue() drawing.Color   { return drawing.ColorFromHex("0072B2") }
func orange() drawing.Color { return drawing.ColorFromHex("D55E00") }
func green() drawing.Color  { return drawing.ColorFromHex("009E73") }
func grey() drawing.Color   { return drawing.ColorFromHex("555555") }

func line(c drawing.Color, width float64, dashes ...float64) chart.Style {
	return chart.Style{StrokeColor: c, StrokeWidth: width, StrokeDashArray: dashes}
}

// curve takes one value of each bin.
func curve(name string, style chart.Style, r *result, value func(sample) float64) chart.ContinuousSeries {
	s := chart.ContinuousSeries{Name: name, Style: style}
	for _, b := range r.bins {
		s.XValues = append(s.XValues, b.at.Minutes())
		s.YValues = append(s.YValues, value(b))
	}
	if len(r.bins) == 1 { // a line has two ends
		s.XValues, s.YValues = append(s.XValues, s.XValues[0]+1), append(s.YValues, s.YValues[0])
	}
	return s
}

func level(name string, style chart.Style, minutes, value float64) chart.ContinuousSeries {
	return chart.ContinuousSeries{Name: name, Style: style, XValues: []float64{0, minutes}, YValues: []float64{value, value}}
}

// drainPanel has rates on the left axis and what is left on the right one.
func drainPanel(r *result) chart.Chart {
	end := math.Max(r.drain.Minutes(), 1)
	left := curve("records left (right)", line(green(), 2.5), r, func(s sample) float64 { return 100 * float64(s.left) / float64(max(r.backlog, 1)) })
	left.YAxis = chart.YAxisSecondary
	c := panel(fmt.Sprintf("%d kiosks after %v without the gateway: the product's back-off", r.Kiosks, r.Outage), end)
	// The library's secondary axis is the one on the left.
	c.YAxis = axis("calls a second", ticks(1.15*math.Max(r.peak, r.Capacity)))
	c.YAxisSecondary = axis("records left, %", ticks(100))
	c.Series = []chart.Series{
		curve("offered", line(orange(), 2), r, func(s sample) float64 { return s.offered }),
		curve("served", line(blue(), 2), r, func(s sample) float64 { return s.served }),
		level("capacity", line(grey(), 1.5, 6, 4), end, r.Capacity),
		left,
	}
	c.Elements = []chart.Renderable{chart.LegendThin(&c)}
	return c
}

// controlPanel has the offered rates of several policies. They differ by orders
// of magnitude: the axis is logarithmic.
func controlPanel(results []*result) chart.Chart {
	end, low, high := 1.0, math.Inf(1), 0.0
	for _, r := range results {
		end = math.Max(end, r.drain.Minutes())
		low, high = math.Min(low, r.Capacity/10), math.Max(high, r.peak)
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	var decades []chart.Tick
	for d := low; d <= high; d++ {
		decades = append(decades, chart.Tick{Value: d, Label: fmt.Sprintf("%.0f", math.Pow(10, d))})
	}
	c := panel("calls offered to the gateway, by policy (logarithmic)", end)
	c.YAxis = axis("calls a second", decades)
	styles := []chart.Style{line(orange(), 2), line(green(), 2), line(blue(), 2)}
	for i, r := range results {
		name := r.Name
		if i == 0 {
			name = "the product's back-off"
		}
		if r.left > 0 {
			name += fmt.Sprintf(" (given up: %.0f %% left)", 100*float64(r.left)/float64(r.backlog))
		}
		c.Series = append(c.Series, curve(name, styles[i%len(styles)], r, func(s sample) float64 {
			return math.Max(math.Log10(s.offered), low)
		}))
	}
	c.Series = append(c.Series, level("capacity", line(grey(), 1.5, 6, 4), end, math.Log10(results[0].Capacity)))
	c.Elements = []chart.Renderable{chart.LegendThin(&c)}
	return c
}

func panel(title string, minutes float64) chart.Chart {
	x := ticks(minutes)
	return chart.Chart{
		Title: title, TitleStyle: chart.Style{FontSize: 14}, Width: panelWidth, Height: panelHeight,
		Background: chart.Style{Padding: chart.Box{Top: 70, Left: 20, Right: 20, Bottom: 10}},
		XAxis: chart.XAxis{
			Name: "minutes since the gateway is back", Ticks: x, Range: &chart.ContinuousRange{Max: math.Max(minutes, x[len(x)-1].Value)},
			Style: chart.Style{FontSize: 10}, NameStyle: chart.Style{FontSize: 11},
		},
	}
}

func axis(name string, t []chart.Tick) chart.YAxis {
	return chart.YAxis{
		Name: name, Ticks: t, Range: &chart.ContinuousRange{Min: t[0].Value, Max: t[len(t)-1].Value},
		Style: chart.Style{FontSize: 10}, NameStyle: chart.Style{FontSize: 11},
		GridMajorStyle: line(drawing.ColorFromHex("E0E0E0"), 1),
	}
}

// ticks are round numbers from 0 up to at least most: about eight of them.
func ticks(most float64) []chart.Tick {
	step := math.Pow(10, math.Floor(math.Log10(most/8)))
	for _, f := range []float64{1, 2, 5, 10} {
		if most/(step*f) <= 8 {
			step *= f
			break
		}
	}
	var t []chart.Tick
	for i := 0.0; ; i++ {
		t = append(t, chart.Tick{Value: i * step, Label: fmt.Sprintf("%.4g", i*step)})
		if i*step >= most {
			return t
		}
	}
}
