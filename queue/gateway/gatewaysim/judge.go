package gatewaysim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// judge returns the work of coming to a verdict on a submission, from the
// uploaded bytes alone.
func (s *Sim) judge(sub *submission) func(context.Context) {
	return func(ctx context.Context) {
		s.mu.Lock()
		images := map[string][]byte{}
		for _, d := range selfies() {
			if o := s.objects[sub.documents[d]]; o != nil {
				images[d] = o.data
			}
		}
		s.mu.Unlock()

		v := s.conclude(ctx, images)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		sub.judged = v
		for _, d := range selfies() { // faces are not kept longer than they are needed
			if o := s.objects[sub.documents[d]]; o != nil {
				clear(o.data)
				delete(s.objects, sub.documents[d])
			}
		}
		if sub.polls >= s.opts.PollsBeforeVerdict {
			s.tell(ctx, sub)
		}
	}
}

// conclude looks at the images.
func (s *Sim) conclude(ctx context.Context, images map[string][]byte) *verdict {
	v := &verdict{status: "COMPLETED"}
	var live float32
	faceless := false
	for _, d := range selfies() {
		img := images[d]
		if _, err := jpeg.Decode(bytes.NewReader(img)); err != nil {
			v.invalid = append(v.invalid, d)
			v.reason = "INVALID_DOCUMENT"
			continue
		}
		if s.opts.FaceCheck == nil {
			live++
			continue
		}
		face, err := s.opts.FaceCheck(ctx, img)
		if err != nil {
			s.log.WarnContext(ctx, "face check broke", slog.String("document", d), slog.Any("err", err))
			return &verdict{at: s.opts.Now(), status: "ERROR", reason: "VERIFICATION_FAILED"}
		}
		faceless = faceless || face.Faces == 0
		live += face.Live
	}
	v.at = s.opts.Now()
	if v.invalid != nil {
		return v
	}
	live /= float32(len(selfies()))
	v.approved = !faceless && live >= s.opts.MinLive
	v.confidence = int(max(0, min(1, live)) * 100)
	if !v.approved {
		v.confidence = 100 - v.confidence
		v.reason = "NOT_LIVE"
	}
	return v
}

// tell makes a verdict public and puts the callback on the agenda. The mutex
// is held.
func (s *Sim) tell(ctx context.Context, sub *submission) {
	v := sub.judged
	sub.told = true
	sub.status = v.status
	for _, d := range selfies() {
		sub.states[d] = "VERIFIED"
		if !v.approved {
			sub.states[d] = "REJECTED"
		}
	}
	for _, d := range v.invalid {
		sub.states[d] = "INVALID"
	}
	s.record(ctx, Event{
		Call: "verdict", Correlation: sub.session.id, Submission: sub.id, Result: v.result(), Reason: v.reason,
	})
	body, err := json.Marshal(map[string]any{
		"submissionId": sub.id, "flow": sub.session.flow, "userId": sub.session.user, "userIdType": sub.session.idType,
		"partnerSessionId": sub.session.id, "status": v.status, "result": v.result(), "reasonCode": v.reason,
		"processedAt":       v.at.UTC().Format(time.RFC3339),
		"submissionDetails": map[string]any{"verificationResult": map[string]any{"liveness": v.result(), "confidence": strconv.Itoa(v.confidence)}},
	})
	if err != nil {
		s.log.ErrorContext(ctx, "callback does not encode", slog.Any("err", err))
		return
	}
	for range s.opts.CallbackRepeats + 1 {
		s.work.add(0, s.callBack(cmp.Or(s.opts.CallbackURL, sub.base+"/partner/callback"), body, 1))
	}
}

// callBack returns the work of posting a callback, which is tried ten times.
func (s *Sim) callBack(url string, body []byte, try int) func(context.Context) {
	return func(ctx context.Context) {
		err := s.post(ctx, url, body)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "callback not taken", slog.Int("try", try), slog.Any("err", err))
		if try < 10 {
			s.work.add(time.Duration(try)*time.Second, s.callBack(url, body, try+1))
		}
	}
}

func (s *Sim) post(ctx context.Context, url string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, s.opts.CallbackMethod, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("callback: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.opts.CallbackURL == "" {
		req.Header.Set("Authorization", "Bearer "+s.partner.callbackKey)
	} else if s.opts.CallbackAuth != "" {
		req.Header.Set("Authorization", s.opts.CallbackAuth)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("callback: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, bodyLimit))
	if resp.StatusCode/100 != 2 {
		return errors.New("callback: " + resp.Status)
	}
	return nil
}
