package main

import (
	"context"
	"log/slog"
	"time"

	"livekiosk/kiosk"
	"livekiosk/systemd/power"
)

// power looks after the board's battery, if it has one. A low one takes no more
// visitors; whoever is being served is. On a battery the screen of an idle
// kiosk goes dark, as it does where a sensor sees nobody; with a sensor, that
// one decides.
func (d *daemon) power(ctx context.Context) error {
	return power.Watch{
		Sys: d.sys, Least: d.c.Power.Least, Beat: d.dog.Part("power", time.Minute),
		Tell: func(s power.Supply, low bool) {
			d.log.InfoContext(ctx, "power", slog.Bool("battery", s.Battery), slog.Int("charge", s.Charge), slog.Bool("charge_known", s.Known), slog.Bool("low", low))
			d.fault(ctx, kiosk.PowerFault, low)
			if d.c.Panel.Presence.Line == "" {
				d.heard(ctx, "power", d.station.Present(ctx, !s.Battery))
			}
		},
		Bad: func(err error) { d.log.WarnContext(ctx, "power not known", slog.Any("err", err)) },
		Woken: func(after time.Duration) {
			d.log.InfoContext(ctx, "the board was suspended", slog.String("for", after.Round(time.Second).String()))
		},
	}.Run(ctx)
}
