package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk"
)

// A bare client makes the calls of a delivery, and nothing else: it marks
// nothing, seals nothing, retries nothing, and sends the same two images again
// and again. It is the measure of what the product's care costs.
type bare struct {
	load

	studio *studio
	images map[kiosk.Document][]byte
	client *http.Client
}

// A errand is one record between two of its polls.
type errand struct {
	number     int
	token      string
	submission string // "": nothing is sent yet
	polls      int
}

func newBare(l load, s *studio) *bare {
	return &bare{
		load: l, studio: s, images: s.images(0, l.Image, l.Image),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.Lanes}},
	}
}

func (b *bare) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *errand, b.Records)
	for n := range b.Records {
		todo <- &errand{number: n}
	}
	var open sync.WaitGroup // errands
	open.Add(b.Records)
	for range b.Lanes {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case e, more := <-todo:
					if !more {
						return nil
					}
					over, err := b.step(ctx, e)
					switch {
					case err != nil:
						return fmt.Errorf("record %d: %w", e.number, err)
					case over:
						open.Done()
					default: // as the product polls, and without a lane meanwhile
						time.AfterFunc(pollPause(e.polls), func() { todo <- e })
					}
				}
			}
		})
	}
	all := make(chan struct{})
	go func() {
		open.Wait()
		close(all)
	}()
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-all:
			close(todo)
			return nil
		}
	})
	return g.Wait()
}

// pollPause is the contract of polling: 1 s five times, then 2 s.
func pollPause(polls int) time.Duration {
	if polls <= 5 {
		return time.Second
	}
	return 2 * time.Second
}

// step takes an errand as far as it goes without waiting.
func (b *bare) step(ctx context.Context, e *errand) (over bool, err error) {
	if e.submission == "" {
		if err = b.submit(ctx, e); err != nil {
			return false, err
		}
	}
	var s struct {
		Data struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	e.polls++
	err = b.call(ctx, e, http.MethodGet, b.Gateway+"/coe/v1/submissions/"+e.submission+"/status", nil, &s)
	return s.Data.Status == string(kiosk.StatusCompleted), err
}

func (b *bare) submit(ctx context.Context, e *errand) error {
	var token struct {
		Token string `json:"token"`
	}
	ask := fmt.Sprintf(`{"correlationId":%q,"userId":"visitor-%d","userIdType":"CUSTOMER_ID","locale":"id"}`, b.studio.correlation(e.number), e.number)
	if err := b.call(ctx, e, http.MethodPost, b.Partner+"/v1/kiosk/initiate", []byte(ask), &token); err != nil {
		return err
	}
	e.token = token.Token
	var urls struct {
		Data struct {
			SubmissionID string `json:"submissionId"`
			Documents    map[kiosk.Document]struct {
				URL string `json:"documentUrl"`
			} `json:"documents"`
		} `json:"data"`
	}
	if err := b.call(ctx, e, http.MethodGet, b.Gateway+"/coe/v1/submissions/urls?submissionType=STANDALONE_LIVENESS", nil, &urls); err != nil {
		return err
	}
	for _, doc := range kiosk.Documents() {
		if err := b.call(ctx, nil, http.MethodPut, urls.Data.Documents[doc].URL, b.images[doc], nil); err != nil {
			return err
		}
	}
	e.submission = urls.Data.SubmissionID
	confirm := fmt.Sprintf(`{"submissionId":%q,"metadata":{"capture":%d}}`, e.submission, e.number)
	return b.call(ctx, e, http.MethodPut, b.Gateway+"/coe/v1/submissions/urls", []byte(confirm), nil)
}

// call makes one call. e is nil for the store's, which wants no headers.
func (b *bare) call(ctx context.Context, e *errand, method, url string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if e != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Onekyc-Token", e.token)
		req.Header.Set("X-Partner-Session-Id", b.studio.correlation(e.number))
		req.Header.Set("X-Sdk-Session-Id", "bare")
	} else {
		req.Header.Set("Content-Type", "image/jpeg")
	}
	res, err := b.client.Do(req)
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case res.StatusCode != http.StatusOK:
		path, _, _ := strings.Cut(url, "?")
		return fmt.Errorf("%s %s: %s %s", method, path, res.Status, text)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}
