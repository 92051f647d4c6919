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

// Sizes of the picture's panels, in pixels.
const (
	width = 1280
	tall  = 480
	short = 260
)

// picture draws the first scenario's rates and queues, and below, if there are
// controls, the rates of all that differ by their policy.
func picture(w io.Writer, results []*result) error {
	panels := []chart.Chart{ratePanel(results[0]), queuePanel(results[0])}
	var compared []*result
	for _, r := range results {
		if r.Control || r == results[0] {
			compared = append(compared, r)
		}
	}
	if len(compared) > 1 {
		panels = append(panels, controlPanel(compared))
	}
	height := 0
	for _, p := range panels {
		height += p.Height
	}
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	top := 0
	for _, p := range panels {
		var b bytes.Buffer
		if err := p.Render(chart.PNG, &b); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		img, err := png.Decode(&b)
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		draw.Draw(canvas, image.Rect(0, top, width, top+p.Height), img, image.Point{}, draw.Src)
		top += p.Height
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

// curve takes one value of each bin but the last, which is cut short. Bins that
// would share a pixel or two are drawn as their mean.
func curve(name string, style chart.Style, r *result, value func(sample) float64) chart.ContinuousSeries {
	s := chart.ContinuousSeries{Name: name, Style: style}
	bins := r.bins[:max(len(r.bins)-1, 1)]
	for together := 1 + len(bins)/(width/2); len(bins) > 0; bins = bins[min(together, len(bins)):] {
		some := bins[:min(together, len(bins))]
		mean := 0.0
		for _, b := range some {
			mean += value(b) / float64(len(some))
		}
		s.XValues, s.YValues = append(s.XValues, some[0].at.Minutes()), append(s.YValues, mean)
	}
	if len(s.XValues) == 1 { // a line has two ends
		s.XValues, s.YValues = append(s.XValues, s.XValues[0]+bin.Minutes()), append(s.YValues, s.YValues[0])
	}
	return s
}

func level(name string, style chart.Style, minutes, value float64) chart.ContinuousSeries {
	return chart.ContinuousSeries{Name: name, Style: style, XValues: []float64{0, minutes}, YValues: []float64{value, value}}
}

func ratePanel(r *result) chart.Chart {
	end := math.Max(r.drain.Minutes(), 1)
	c := panel(fmt.Sprintf("%d kiosks after %.0f h without the gateway: the product's back-off", r.Kiosks, r.Outage.Hours()), tall, end)
	c.YAxis = axis("calls a second", ticks(1.1*math.Max(r.peak, r.Capacity)))
	c.Series = []chart.Series{
		curve("offered", line(orange(), 2), r, func(s sample) float64 { return s.offered }),
		curve("served", line(blue(), 2), r, func(s sample) float64 { return s.served }),
		level("capacity", line(grey(), 1.5, 6, 4), end, r.Capacity),
	}
	c.Elements = []chart.Renderable{chart.LegendThin(&c)}
	return c
}

func queuePanel(r *result) chart.Chart {
	c := panel("what is left of the queues", short, math.Max(r.drain.Minutes(), 1))
	c.YAxis = axis("records, %", ticks(100))
	share := func(s sample) float64 { return 100 * float64(s.left) / float64(max(r.backlog, 1)) }
	c.Series = []chart.Series{curve("", line(green(), 2.5), r, share)}
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
	c := panel("calls offered to the gateway by three policies (logarithmic)", tall, end)
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

func panel(title string, height int, minutes float64) chart.Chart {
	x := ticks(minutes)
	top := 95 // title and legend
	if height == short {
		top = 50
	}
	return chart.Chart{
		Title: title, TitleStyle: chart.Style{FontSize: 14}, Width: width, Height: height,
		Background: chart.Style{Padding: chart.Box{Top: top, Left: 30, Right: 30, Bottom: 10}},
		XAxis: chart.XAxis{
			Name: "minutes since the gateway is back", Ticks: x, Range: &chart.ContinuousRange{Max: x[len(x)-1].Value},
			Style: chart.Style{FontSize: 10}, NameStyle: chart.Style{FontSize: 11},
		},
	}
}

func axis(name string, t []chart.Tick) chart.YAxis {
	return chart.YAxis{
		Name: name, Ticks: t, Range: &chart.ContinuousRange{Min: t[0].Value, Max: t[len(t)-1].Value},
		Style: chart.Style{FontSize: 10}, NameStyle: chart.Style{FontSize: 11},
		GridMajorStyle: line(drawing.ColorFromHex("E0E0E0"), 1), GridMinorStyle: line(drawing.ColorFromHex("E0E0E0"), 1),
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
