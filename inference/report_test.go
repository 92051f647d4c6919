package inference_test

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"

	"livekiosk/kiosk"
)

// A row is what the scenes of one hint provoked.
type row struct {
	hint             kiosk.Hint
	made, provoked   int // scenes that should provoke it
	missed, raised   int // near misses, and those that provoked it all the same
	elsewhere, wrong int // all scenes that should not provoke it, near misses among them, and those that did
}

// A table is what came of all scenes.
type table struct {
	scenes []scene
	said   []map[kiosk.Hint]int // by each scene
	images []*image.RGBA        // of the first variation of each
	rows   []*row
}

func newTable(all []scene, verdicts <-chan verdict) *table {
	t := &table{scenes: all, said: make([]map[kiosk.Hint]int, len(all)), images: make([]*image.RGBA, len(all))}
	for i := range t.said {
		t.said[i] = map[kiosk.Hint]int{}
	}
	for v := range verdicts {
		t.said[v.scene][v.hint]++
		if v.img != nil {
			t.images[v.scene] = v.img
		}
	}
	for _, h := range kiosk.Hints() {
		r := &row{hint: h}
		for i, s := range all {
			for said, n := range t.said[i] {
				right := slices.Contains(s.want, said)
				switch {
				case s.hint == h && !s.miss():
					r.made += n
					if right {
						r.provoked += n
					}
				case s.hint == h:
					r.missed += n
					if said == h {
						r.raised += n
					}
				}
				if !slices.Contains(s.want, h) {
					r.elsewhere += n
					if said == h {
						r.wrong += n
					}
				}
			}
		}
		if r.made > 0 {
			t.rows = append(t.rows, r)
		}
	}
	return t
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

// heads are the columns of the table.
func heads() []string {
	return []string{"hint", "scenes", "provoked", "near misses", "raised by them", "all others", "wrongly provoked"}
}

func (r *row) cells() []string {
	return []string{
		string(r.hint), strconv.Itoa(r.made), percent(r.provoked, r.made), strconv.Itoa(r.missed), percent(r.raised, r.missed),
		strconv.Itoa(r.elsewhere), percent(r.wrong, r.elsewhere),
	}
}

func (t *table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads())
	b.WriteString("|---" + strings.Repeat("|---", len(heads())-1) + "|\n")
	for _, r := range t.rows {
		line(r.cells())
	}
	b.WriteString("\n| scene | for | should say | said |\n|---|---|---|---|\n")
	for i, s := range t.scenes {
		what := string(s.hint)
		if s.miss() {
			what += ", near miss"
		}
		var want, said []string
		for _, h := range s.want {
			want = append(want, string(h))
		}
		for _, h := range slices.SortedFunc(maps.Keys(t.said[i]), func(a, b kiosk.Hint) int {
			return cmp.Or(cmp.Compare(t.said[i][b], t.said[i][a]), cmp.Compare(a, b))
		}) {
			said = append(said, fmt.Sprintf("%s %d", h, t.said[i][h]))
		}
		line([]string{s.name, what, strings.Join(want, " or "), strings.Join(said, ", ")})
	}
	return b.String()
}

// check holds the table to its limits.
func (t *table) check(tb testing.TB) {
	tb.Helper()
	for _, r := range t.rows {
		if float64(r.provoked) < 0.95*float64(r.made) {
			tb.Errorf("%s is provoked by %d of %d scenes, want 95 %%", r.hint, r.provoked, r.made)
		}
		if r.hint == kiosk.GoodHold { // what is wrong here is missing elsewhere
			continue
		}
		if float64(r.wrong) > 0.02*float64(r.elsewhere) {
			tb.Errorf("%s is provoked by %d of %d scenes that should not, want at most 2 %%", r.hint, r.wrong, r.elsewhere)
		}
		if float64(r.raised) > 0.02*float64(r.missed) {
			tb.Errorf("%s is provoked by %d of %d near misses, want at most 2 %%", r.hint, r.raised, r.missed)
		}
	}
}

// write writes report.md, and report.png with the table and a picture of each
// scene, into a directory.
func (t *table) write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(t.markdown()), 0o600); err != nil {
		return err
	}
	const (
		columns, wide, high = 8, 192, 144 // of a picture
		label               = 36
		line                = 18
		margin              = 12
	)
	top := margin + (len(t.rows)+2)*line
	sheet := image.NewRGBA(image.Rect(0, 0, columns*(wide+4)+2*margin, top+(len(t.scenes)+columns-1)/columns*(high+label)+margin))
	draw.Draw(sheet, sheet.Rect, image.White, image.Point{}, draw.Src)
	text := func(x, y int, s string, ink color.Color) {
		d := font.Drawer{Dst: sheet, Src: image.NewUniform(ink), Face: inconsolata.Regular8x16, Dot: fixed.P(x, y)}
		d.DrawString(s)
	}
	for i, cells := range append([][]string{heads()}, func() (out [][]string) {
		for _, r := range t.rows {
			out = append(out, r.cells())
		}
		return out
	}()...) {
		for k, c := range cells {
			text(margin+k*180, margin+(i+1)*line, c, color.Black)
		}
	}
	for i, s := range t.scenes {
		at := image.Pt(margin+i%columns*(wide+4), top+i/columns*(high+label))
		place := image.Rectangle{Min: at, Max: at.Add(image.Pt(wide, high))}
		xdraw.ApproxBiLinear.Scale(sheet, place, t.images[i], t.images[i].Rect, draw.Src, nil)
		ink := color.RGBA{160, 0, 0, 255}
		if s.miss() || s.hint == kiosk.GoodHold {
			ink = color.RGBA{0, 100, 0, 255}
		}
		text(at.X, at.Y+high+14, string(s.hint), ink)
		text(at.X, at.Y+high+29, s.name[:min(len(s.name), wide/8)], color.Black)
	}
	f, err := os.Create(filepath.Join(dir, "report.png"))
	if err != nil {
		return err
	}
	defer f.Close()
	return png.Encode(f, sheet)
}
