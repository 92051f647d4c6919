package gatewaysim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var errNoReference = errors.New("the partner has no reference image of this user")

// A reference image is asked for so many times, with a pause between.
const (
	referenceTries = 3
	referencePause = time.Second
)

// reference returns a user's reference image: from the URL that call 2 named,
// or from where the partner backend says (call 9).
func (s *Sim) reference(ctx context.Context, subject *session) ([]byte, error) {
	if subject.Reference == "" && s.opts.ReferenceURL == "" {
		return nil, errNoReference
	}
	from := subject.Reference
	if from == "" {
		var err error
		if from, err = s.whereReference(ctx, subject); err != nil {
			return nil, err
		}
	}
	_, img, err := s.ask(ctx, "", http.MethodGet, from, "", nil)
	if err != nil {
		return nil, fmt.Errorf("download the reference image: %w", err)
	}
	return img, nil
}

// whereReference makes call 9.
func (s *Sim) whereReference(ctx context.Context, subject *session) (string, error) {
	body, err := json.Marshal(map[string]string{
		"userId": subject.User, "userIdType": subject.IDType, "partnerSessionId": subject.ID, "flow": subject.Flow,
	})
	if err != nil {
		return "", err
	}
	ev := Event{Call: callReference, Status: http.StatusOK, Correlation: subject.ID}
	f, answer, err := s.ask(ctx, callReference, http.MethodPost, s.opts.ReferenceURL, s.opts.CallbackAuth, body)
	if f.Kind != "" {
		ev.Fault = f.String()
	}
	if refused, answered := errors.AsType[*statusError](err); answered {
		ev.Status = refused.status
		if refused.status == http.StatusNotFound {
			err = errNoReference
		}
	} else if err != nil {
		ev.Status = 0
	}
	s.record(ctx, ev)
	if err != nil {
		return "", fmt.Errorf("ask for the reference image: %w", err)
	}
	var out struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(answer, &out) != nil || !absolute(out.URL) {
		return "", errors.New("ask for the reference image: the answer has no URL")
	}
	return out.URL, nil
}
