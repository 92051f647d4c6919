package gatewaysim

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"log/slog"
	"slices"
	"time"
)

// matches reports whether a flow's verdict needs a reference image.
func matches(flow string) bool {
	return slices.Contains([]string{"FACE_VERIFICATION", "ON_DEMAND_FR"}, flow)
}

// judgeLater puts a submission's verdict on an agenda. The mutex is held.
func (s *Sim) judgeLater(sub *submission, after time.Duration) {
	work := s.judging
	if s.opts.ReferenceURL != "" || sub.session.Reference != "" {
		work = s.matching
	}
	work.add(after, func(ctx context.Context) { s.judge(ctx, sub, 1) })
}

// judge comes to a verdict on a submission, from the uploaded bytes alone. It
// tries again later, and holds nobody up until then, if the reference image was
// not to be had.
func (s *Sim) judge(ctx context.Context, sub *submission, try int) {
	s.mu.Lock()
	subject := *sub.session // what is used of it does not change
	s.mu.Unlock()
	v := s.conclude(ctx, sub.ID, &subject, try == referenceTries)
	switch {
	case ctx.Err() != nil:
		return
	case v == nil:
		s.matching.add(referencePause, func(ctx context.Context) { s.judge(ctx, sub, try+1) })
		return
	}
	s.mu.Lock()
	sub.Verdict = v
	s.saveSubmission(sub)
	if sub.Polls >= s.opts.PollsBeforeVerdict {
		s.tell(ctx, sub)
	}
	s.mu.Unlock() // whoever tells it to somebody settles it before
}

// conclude looks at the images. Without a reference image it returns nil,
// unless it is the last try.
func (s *Sim) conclude(ctx context.Context, submissionID string, subject *session, last bool) *verdict {
	v, live, faceless := &verdict{Status: "COMPLETED"}, float32(1), false
	var first []byte
	var err error
	if s.opts.FaceCheck != nil {
		live, faceless, err = s.look(ctx, submissionID, v)
	}
	if err == nil && s.opts.Match != nil {
		first, err = s.image(place{submissionID, "SELFIE"})
	}
	if err == nil && v.Invalid == nil && (s.opts.ReferenceURL != "" || subject.Reference != "" || matches(subject.Flow)) {
		err = s.compare(ctx, first, subject, v, last)
	}
	if errors.Is(err, errAgain) {
		return nil
	}
	v.At = s.opts.Now()
	if err != nil {
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "verification broke", slog.String("submission", submissionID), slog.Any("err", err))
		}
		return &verdict{At: v.At, Status: "ERROR", Reason: "VERIFICATION_FAILED"}
	}
	if v.Invalid != nil {
		return v
	}
	v.Confidence = int(max(0, min(1, live)) * 100)
	needed := matches(subject.Flow)
	switch {
	case faceless || live < s.opts.MinLive:
		v.Reason = "NOT_LIVE"
	case needed && v.Reference != "VALID":
		v.Reason = v.Reference
	case needed && v.Match != nil && *v.Match < s.opts.MinMatch:
		v.Reason = "FACE_MATCH_FAILED"
	}
	if v.Approved = v.Reason == ""; !v.Approved {
		v.Confidence = 100 - v.Confidence
	}
	return v
}

// look runs the face check over the images. It returns the mean of Live.
func (s *Sim) look(ctx context.Context, submissionID string, v *verdict) (live float32, faceless bool, err error) {
	for _, d := range selfies() {
		var img []byte
		if img, err = s.image(place{submissionID, d}); err != nil {
			return 0, false, err
		}
		if !decodes(img) {
			v.Invalid, v.Reason = append(v.Invalid, d), "INVALID_DOCUMENT"
			continue
		}
		var face Face
		if face, err = s.opts.FaceCheck(ctx, img); err != nil {
			return 0, false, err
		}
		faceless = faceless || face.Faces == 0
		live += face.Live
	}
	return live / float32(len(selfies())), faceless, nil
}

func decodes(img []byte) bool {
	_, err := jpeg.Decode(bytes.NewReader(img))
	return err == nil
}

// errAgain is a reference image that may be had later.
var errAgain = errors.New("no reference image yet")

// compare holds the selfie against the reference image.
func (s *Sim) compare(ctx context.Context, selfie []byte, subject *session, v *verdict, last bool) error {
	reference, err := s.reference(ctx, subject)
	switch {
	case errors.Is(err, errNoReference):
		v.Reference = "DOCUMENT_NOT_FOUND"
		return nil
	case err != nil && !last:
		return errAgain
	case err != nil && matches(subject.Flow):
		return err
	case err != nil: // this flow can do without
		s.log.WarnContext(ctx, "no reference image", slog.Any("err", err))
		return nil
	}
	if !decodes(reference) {
		v.Reference = "REFERENCE_IMAGE_VALIDATION_FAILED"
		return nil
	}
	v.Reference = "VALID"
	if s.opts.Match == nil {
		return nil
	}
	score, err := s.opts.Match(ctx, selfie, reference)
	if err != nil {
		return err
	}
	v.Match = &score
	return nil
}

// tell makes a verdict public and puts the callbacks on the agenda. The mutex
// is held.
func (s *Sim) tell(ctx context.Context, sub *submission) {
	v := sub.Verdict
	sub.Told, sub.Status = true, v.Status
	for _, d := range selfies() {
		switch {
		case slices.Contains(v.Invalid, d):
			sub.Documents[d].State = "INVALID"
		case v.Approved:
			sub.Documents[d].State = "VERIFIED"
		default:
			sub.Documents[d].State = "REJECTED"
		}
	}
	s.saveSubmission(sub)
	s.record(ctx, Event{Call: "verdict", Correlation: sub.Session, Submission: sub.ID, Result: v.result(), Reason: v.Reason})
	s.callBack(sub)
}
