package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"livekiosk/kiosk"
)

var errStalled = errors.New("upload stalled")

// Upload puts one JPEG image to its target (call 4). However slow the network,
// it goes on while bytes move, and gives up when none did for half a minute.
//
// The image is not read any more once Upload has returned: its owner may
// overwrite it.
func (c *Client) Upload(ctx context.Context, up kiosk.Upload) error {
	u, err := url.Parse(up.Target.URL)
	if err == nil {
		err = sealed(u)
	} else {
		err = errors.New("is not a URL") // the parser's own text repeats it
	}
	if err != nil {
		return &kiosk.GatewayError{Call: callUpload, Disposition: kiosk.NewURLs, Err: errors.Join(errors.New("upload URL"), err)}
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	defer stall.Stop()

	img := &image{data: up.JPEG}
	defer img.close()
	body := func() (io.ReadCloser, error) {
		return &reader{img: img, moved: func() { stall.Reset(stallTime) }}, nil
	}
	first, err := body()
	if err != nil {
		return unreachable(ctx, callUpload, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), first)
	if err != nil {
		return unreachable(ctx, callUpload, err)
	}
	req.GetBody = body // a kept connection that had died is replaced silently
	req.ContentLength = int64(len(up.JPEG))
	req.Header.Set("Content-Type", "image/jpeg")
	answer, err := c.send(ctx, callUpload, req)
	if err != nil {
		return err
	}
	return answer.stored()
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

type reader struct {
	img   *image
	off   int
	moved func()
}

func (r *reader) Read(p []byte) (int, error) {
	r.img.mu.Lock()
	defer r.img.mu.Unlock()
	switch {
	case r.img.data == nil:
		return 0, io.ErrClosedPipe
	case r.off >= len(r.img.data):
		return 0, io.EOF
	}
	n := copy(p, r.img.data[r.off:])
	r.off += n
	r.moved()
	return n, nil
}

// Close does nothing: the image has one owner, who takes it back.
func (r *reader) Close() error { return nil }
