package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// leastRate is the smallest cap of uploads, in bytes a second: a slower one
// would not get an image up before its URL dies.
const leastRate = 1024

// chunk is how many bytes of a capped upload go at once, an eighth of a
// second's worth within bounds.
func chunk(bytesPerSecond int) int { return min(max(bytesPerSecond/8, 256), 16<<10) }

// uploadBuffer is the size of a connection's buffer for what is uploaded. The
// garbage collector gives an object of more than 32 KiB pages of its own, so
// that they can be given back with all that is in them: see CloseIdle.
const uploadBuffer = 64 << 10

// CloseIdle closes the connections to the object store that no upload uses, so
// that the garbage collector gets their buffers. Those hold parts of the last
// image that went through them, and net/http lets nobody erase them.
func (c *Client) CloseIdle() { c.store.http.CloseIdleConnections() }

// Upload puts one JPEG image to its target (call 4). However slow the network,
// it goes on while bytes move, and gives up when none did for half a minute.
// Time spent waiting for its share of the cap does not count.
//
// The image is not read any more once Upload has returned: its owner may
// overwrite it.
func (c *Client) Upload(ctx context.Context, up kiosk.Upload) error {
	u, err := url.Parse(up.Target.URL)
	if err == nil {
		err = c.storable(u)
	} else {
		err = errors.New("is not a URL") // the parser's own text repeats it
	}
	if err != nil {
		return &kiosk.GatewayError{
			Call: callUpload, Service: kiosk.StoreService, Trouble: kiosk.TroubleGarbled, Disposition: kiosk.NewURLs,
			Err: fmt.Errorf("upload URL: %w", err),
		}
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	defer stall.Stop()

	img := &image{data: up.JPEG}
	defer img.close()
	body := func() (io.ReadCloser, error) {
		r := &reader{img: img, stall: stall}
		if !up.Waiting && c.cap != nil {
			r.wait = func(n int) error { return c.cap.WaitN(ctx, n) }
			r.most = c.cap.Burst()
		}
		return r, nil
	}
	first, err := body()
	if err != nil {
		return c.store.unreachable(ctx, callUpload, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), first)
	if err != nil {
		return c.store.unreachable(ctx, callUpload, err)
	}
	req.GetBody = body // a kept connection that had died is replaced silently
	req.ContentLength = int64(len(up.JPEG))
	req.Header.Set("Content-Type", "image/jpeg")
	answer, err := c.store.send(ctx, callUpload, req)
	if err != nil {
		return err
	}
	return answer.stored()
}

// storable reports why an upload URL must not be used. A gateway that is not on
// this machine has no reason to name a service that is.
func (c *Client) storable(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("holds a password")
	case u.Scheme == "http" && c.gatewayURL.Scheme != "http":
		return errors.New("is plain http, which the gateway is not")
	}
	return sealed(u)
}

// An image is bytes that may be read until they are taken back. net/http may
// go on reading a request's body after its answer came.
type image struct {
	mu   sync.Mutex
	data []byte
}

func (i *image) close() {
	i.mu.Lock()
	i.data = nil
	i.mu.Unlock()
}

// read copies the image's bytes from off on.
func (i *image) read(p []byte, off int) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.data == nil:
		return 0, io.ErrClosedPipe
	case off >= len(i.data):
		return 0, io.EOF
	}
	return copy(p, i.data[off:]), nil
}

// A reader is one request's way through the image.
type reader struct {
	img   *image
	off   int
	stall *time.Timer
	wait  func(n int) error // for the right to n bytes; nil: at once
	most  int               // bytes at once, if wait is set
}

func (r *reader) Read(p []byte) (int, error) {
	if r.wait != nil {
		p = p[:min(len(p), r.most)]
	}
	n, err := r.img.read(p, r.off)
	if err != nil {
		return 0, err
	}
	if r.wait != nil {
		r.stall.Stop()
		if err := r.wait(n); err != nil {
			return 0, fmt.Errorf("wait for bandwidth: %w", errors.Join(context.DeadlineExceeded, err))
		}
	}
	r.off += n
	r.stall.Reset(stallTime)
	return n, nil
}

// Close does nothing: the image has one owner, who takes it back.
func (r *reader) Close() error { return nil }
