package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

const commissionHelp = `Finds out about this kiosk what its sessions are judged by, with an installer who
stands where visitors will stand. The screen shows the camera's picture, the step
and what is wrong; a step is passed by itself once all was good for a moment, and
what it found out is kept at once: the next session is judged by it. An interrupt
ends a step without anything kept. Steps may be done again, and in any order.

  focus       the picture is sharp, level and centred; how a straight look reads
              from this height (--height, if you measured it, is only noted)
  exposure    the face is lit well: enough, evenly, nothing white
  distance    how large a face is at the mark on the floor, which is --distance
              from the camera to the eyes; what is near and far follows, and the
              camera's field of view
  background  what is behind who stands there is not too bright
  lens        how much detail the wiped lens shows, which turns the hint about a
              smeared lens on; before a bare wall there is none, and it stays off
  latency     the screen flashes, slower than once a second: from the drawing to the
              camera's picture, if a mirror or white paper shows it the light

"show" tells what was found out, and whether sessions are judged by it: not by what
another version wrote, or what is of another camera.

Faces of who stands there are analysed and shown on the screen, and nothing but
figures is kept: they have to agree first. It asks, or takes
--i-have-their-consent for it. No session is launched meanwhile, and while one is
in progress no step is done.

The exit code is 1 if a step was not passed: what it says is to be mended, and
--missing goes on from there.`

// A commissioning is what the flags of kioskctl commission say.
type commissioning struct {
	step, locale     string
	missing, consent bool
	distance, height int
	delay, within    time.Duration
}

func commissionFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var f commissioning
	fs.StringVar(&f.step, "step", "", "only this `step`")
	fs.BoolVar(&f.missing, "missing", false, "only the steps that were not passed yet")
	fs.IntVar(&f.distance, "distance", 0, "of the mark on the floor: `cm` from the camera to the eyes")
	fs.IntVar(&f.height, "height", 0, "of the lens over the floor, in `cm`")
	fs.DurationVar(&f.delay, "delay", 3*time.Second, "`time` to walk up, before each step")
	fs.DurationVar(&f.within, "within", time.Minute, "`time` until a step is given up")
	fs.StringVar(&f.locale, "locale", string(kiosk.Indonesian), "`language` of the screen and of what is wrong: id, en or another that the kiosk has; this command says it in id or en")
	fs.BoolVar(&f.consent, "i-have-their-consent", false, "whoever is in front of the camera has agreed")
	return func(ctx context.Context, c call, args []string) error {
		if len(args) > 0 && args[0] == "show" {
			return commissioned(ctx, c, args[1:])
		}
		if err := words(args); err != nil {
			return err
		}
		return f.run(ctx, c)
	}
}

// commissioned shows what was found out.
func commissioned(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := c.client().Commissioned(ctx)
	if err != nil {
		return c.explain(err)
	}
	return c.print(all, commissionedText(all))
}

// run does the steps that are asked for, until one is not passed.
func (f commissioning) run(ctx context.Context, c call) error {
	steps, err := f.steps(ctx, c)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return c.print(map[string]any{"steps": []string{}}, "every step was passed: see kioskctl commission show")
	}
	if slices.Contains(steps, kiosk.DistanceStep) && f.distance == 0 {
		return usage("--distance is missing: measure from the camera to your eyes at the mark on the floor, in cm")
	}
	if !f.consent {
		if err := c.agreed(`The camera of this kiosk films whoever stands in front of it, and shows and analyses
their face; only figures are kept. They have to know that and agree to it before.`, "nobody has agreed, so nothing was measured"); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if err := f.do(ctx, c, step); err != nil {
			return err
		}
	}
	return nil
}

// steps are those that are asked for, in order.
func (f commissioning) steps(ctx context.Context, c call) ([]kiosk.Step, error) {
	steps := kiosk.Steps()
	switch {
	case f.step != "" && f.missing:
		return nil, usage("--step and --missing do not go together")
	case f.step != "":
		if !slices.Contains(steps, kiosk.Step(f.step)) {
			return nil, usage("there is no step %q: %s", f.step, strings.Trim(fmt.Sprint(steps), "[]"))
		}
		return []kiosk.Step{kiosk.Step(f.step)}, nil
	case f.missing:
		short, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		all, err := c.client().Commissioned(short)
		if err != nil {
			return nil, c.explain(err)
		}
		if !all.InUse {
			return steps, nil // of another camera, say
		}
		for _, r := range all.Steps {
			steps = slices.DeleteFunc(steps, func(s kiosk.Step) bool { return s == r.Step })
		}
	}
	return steps, nil
}

// do does one step.
func (f commissioning) do(ctx context.Context, c call, step kiosk.Step) error {
	l := kiosk.Locale(f.locale)
	say := spoken(l)
	if !c.json {
		if err := c.print(nil, fmt.Sprintf("%-10s  %s", step, say.Instruction(step))); err != nil {
			return err
		}
	}
	task := kiosk.Task{Step: step, Height: float64(f.height), Delay: f.delay, Within: f.within, Locale: l}
	if step == kiosk.DistanceStep {
		task.Distance = float64(f.distance)
	}
	said := kiosk.NoNote
	r, err := c.client().Commission(ctx, task, func(r kiosk.Reading) error {
		switch {
		case c.json:
			return c.print(r, "")
		case r.Note == said || r.Note == kiosk.NoNote:
			return nil
		}
		said = r.Note
		return c.print(nil, fmt.Sprintf("%-10s  %s", "", say.Note(r.Note)))
	})
	if ctx.Err() != nil {
		return &exitError{exitLater, errors.New("interrupted: what was passed is kept; go on with kioskctl commission --missing")}
	}
	if err != nil {
		return c.explain(err)
	}
	if err := c.print(r, readingText(say, r)); err != nil {
		return err
	}
	if !r.Passed {
		if !c.json {
			return &exitError{exitEnded, fmt.Errorf("the step %s was not passed: mend that, and go on with kioskctl commission --missing", step)}
		}
		return &exitError{code: exitEnded}
	}
	return nil
}

// spoken is the built-in language for a locale.
func spoken(l kiosk.Locale) *text.Language {
	if own, is := text.BuiltIn().Match(l); is {
		l = own
	}
	return text.Of(l)
}

// readingText is how a step ended.
func readingText(say *text.Language, r kiosk.Reading) string {
	verdict := "passed"
	if !r.Passed {
		verdict = "NOT PASSED"
	}
	if note := say.Note(r.Note); note != "" {
		verdict += ": " + note
	}
	if cm := r.Figures["try_cm"]; cm > 0 {
		verdict += fmt.Sprintf("; put the mark %.0f cm from the camera", cm)
	}
	out := fmt.Sprintf("%-10s  %s", "", verdict)
	if figures := figuresLine(r.Figures); figures != "" {
		out += fmt.Sprintf("\n%-10s  %s", "", figures)
	}
	return out
}

// figuresLine lists figures by name.
func figuresLine(f map[string]float64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		all = append(all, name+" "+strconv.FormatFloat(f[name], 'g', 4, 64))
	}
	return strings.Join(all, ", ")
}

// commissionedText is what was found out, for people.
func commissionedText(all kiosk.Commissioned) string {
	var b strings.Builder
	use := "not in use: "
	if all.InUse {
		use = "in use: "
	}
	fmt.Fprintf(&b, "%s%s\nfile        %s\n", use, printable(all.Reason), all.File)
	if all.Camera != "" {
		fmt.Fprintf(&b, "camera      %s\n", printable(all.Camera))
	}
	for _, s := range kiosk.Steps() {
		line := "not passed yet"
		for _, r := range all.Steps {
			if r.Step != s {
				continue
			}
			line = figuresLine(r.Figures)
			if r.Note != kiosk.NoNote {
				line = strings.TrimSuffix(text.Of(kiosk.English).Note(r.Note)+"; "+line, "; ")
			}
		}
		fmt.Fprintf(&b, "%-10s  %s\n", s, line)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
