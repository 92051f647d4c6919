package gateway

import "time"

// SetClock shows c, and the certificates it is shown, another time than the
// machine's.
func (c *Client) SetClock(now func() time.Time) { c.gateway.clock.now = now }

// HangUp makes the next call of each service shake hands anew.
func (c *Client) HangUp() {
	for _, l := range []*line{c.gateway, c.store, c.partner} {
		l.http.CloseIdleConnections()
	}
}
