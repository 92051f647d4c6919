package partner

import (
	"context"
	"log/slog"
	"time"

	"livekiosk/queue/gateway"
)

// renewEarly is how long before its end a partner token is renewed. One that
// lives for less than twice that is used for half its life.
const renewEarly = 5 * time.Minute

// renewAgain is how soon the next early renewal comes after one in vain.
const renewAgain = 30 * time.Second

// A tokenError is a partner token that cannot be had: a failure of all calls,
// before the gateway heard of any.
type tokenError struct{ error }

func (e *tokenError) Unwrap() error { return e.error }

// A tokenCache holds the partner token. It is safe for concurrent use.
type tokenCache struct {
	fetch func(context.Context) (gateway.Token, error)
	now   func() time.Time
	log   *slog.Logger
	held  chan heldToken // whoever took it refreshes it; the others wait
}

type heldToken struct {
	gateway.Token

	renew, end time.Time
}

func newTokenCache(fetch func(context.Context) (gateway.Token, error), now func() time.Time, log *slog.Logger) *tokenCache {
	c := &tokenCache{fetch: fetch, now: now, log: log, held: make(chan heldToken, 1)}
	c.held <- heldToken{}
	return c
}

// token returns a partner token that is good for some time yet, and is not the
// unwanted one, which the gateway turned down ("": none was). One that is still
// good is used where the early renewal fails. Its errors are *tokenError.
func (c *tokenCache) token(ctx context.Context, unwanted string) (gateway.Token, error) {
	var held heldToken
	select {
	case held = <-c.held:
	case <-ctx.Done():
		return gateway.Token{}, &tokenError{ctx.Err()}
	}
	defer func() { c.held <- held }()
	now := c.now()
	if held.Value != "" && held.Value != unwanted && now.Before(held.renew) && now.Before(held.end) {
		return held.Token, nil
	}
	t, err := c.fetch(ctx)
	switch {
	case err != nil && held.Value != "" && held.Value != unwanted && now.Before(held.end):
		c.log.WarnContext(ctx, "partner token not renewed, the held one is good for a while", slog.Any("err", err))
		held.renew = now.Add(renewAgain)
		return held.Token, nil
	case err != nil:
		return gateway.Token{}, &tokenError{err}
	}
	end := t.Expires
	if end.IsZero() {
		end = now.Add(time.Hour) // the contract's
	}
	held = heldToken{t, end.Add(-min(renewEarly, end.Sub(now)/2)), end}
	return t, nil
}

// use makes a call with the partner token, and once more with another should
// the gateway not take the first.
func (c *tokenCache) use(ctx context.Context, call func(gateway.Token) error) error {
	t, err := c.token(ctx, "")
	if err != nil {
		return err
	}
	if err = call(t); !turnedDown(err) {
		return err
	}
	if t, err = c.token(ctx, t.Value); err != nil {
		return err
	}
	return call(t)
}
