package partner

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Limits of reference images.
const (
	invitationLife  = 5 * time.Minute
	mostInvitations = 1024
	mostImage       = 4 << 20 // bytes, as of a selfie
)

// invitations are the URLs of reference images that are good just now. They
// are in memory only: the gateway asks anew after a restart.
type invitations struct {
	now func() time.Time

	mu    sync.Mutex
	open  map[string]invitation // by key
	order []string              // keys, oldest first
}

type invitation struct {
	user, idType string
	expires      time.Time
}

func newInvitations(now func() time.Time) *invitations {
	return &invitations{now: now, open: map[string]invitation{}}
}

// invite returns the key under which a person's image can be had for a while.
// Of too many the oldest end early.
func (i *invitations) invite(user, idType string) (key string) {
	key = rand.Text() + rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.order) >= mostInvitations {
		delete(i.open, i.order[0])
		i.order = i.order[1:]
	}
	i.order = append(i.order, key)
	i.open[key] = invitation{user, idType, i.now().Add(invitationLife)}
	return key
}

func (i *invitations) find(key string) (invitation, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	in, open := i.open[key]
	return in, open && i.now().Before(in.expires)
}

// reference is call 9: the gateway asks where a person's reference image is.
func (s *Server) reference(r *http.Request, ev *Event) answer {
	if !s.authorised(r) {
		return fail(http.StatusUnauthorized, "UNAUTHORIZED")
	}
	var in struct {
		User    string `json:"userId"`
		IDType  string `json:"userIdType"`
		Session string `json:"partnerSessionId"`
	}
	if !decode(r, &in) {
		return malformed("REFERENCE_REQUEST")
	}
	switch {
	case in.User == "":
		return missing("USER_ID")
	case !identifier(in.User):
		return malformed("USER_ID")
	}
	if identifier(in.Session) {
		ev.CorrelationID = in.Session
	}
	in.IDType = cmp.Or(in.IDType, usualIDType)
	if _, err := s.image(r.Context(), in.User, in.IDType); errors.Is(err, ErrNoReference) {
		return fail(http.StatusNotFound, "REFERENCE_IMAGE_DOES_NOT_EXIST")
	} else if err != nil {
		return s.broken(r, err)
	}
	return fine(http.StatusOK, map[string]string{"url": strings.TrimSuffix(s.opts.BaseURL, "/") + "/reference/" + s.invited.invite(in.User, in.IDType)})
}

// referenceImage serves an image to whoever has its URL.
func (s *Server) referenceImage(w http.ResponseWriter, r *http.Request) {
	img, a := s.invitedImage(r)
	s.record(r.Context(), Event{Call: CallReferenceImage, Status: a.status, Cause: a.cause})
	if img == nil {
		a.write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(img) // the gateway may have gone, and asks again
}

func (s *Server) invitedImage(r *http.Request) ([]byte, answer) {
	in, open := s.invited.find(r.PathValue("key"))
	if !open {
		return nil, fail(http.StatusForbidden, "URL_HAS_EXPIRED")
	}
	img, err := s.image(r.Context(), in.user, in.idType)
	switch {
	case errors.Is(err, ErrNoReference):
		return nil, fail(http.StatusNotFound, "REFERENCE_IMAGE_DOES_NOT_EXIST")
	case err != nil:
		return nil, s.broken(r, err)
	}
	return img, fine(http.StatusOK, nil)
}

// image returns a person's reference image, checked.
func (s *Server) image(ctx context.Context, user, idType string) ([]byte, error) {
	if s.opts.Reference == nil {
		return nil, ErrNoReference
	}
	img, err := s.opts.Reference(ctx, user, idType)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reference image: %w", err)
	case len(img) > mostImage:
		return nil, errors.New("reference image: larger than 4 MiB")
	case !bytes.HasPrefix(img, []byte{0xff, 0xd8, 0xff}):
		return nil, errors.New("reference image: not a JPEG")
	}
	return img, nil
}

// References returns what finds reference images in a directory, for
// Options.Reference: the file USERID.jpg, or else default.jpg for everybody
// whose user id can be a file's name. The files are read when they are asked
// for.
func References(dir string) func(context.Context, string, string) ([]byte, error) {
	return func(_ context.Context, user, _ string) ([]byte, error) {
		if strings.Trim(user, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return nil, ErrNoReference
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		for _, name := range []string{user + ".jpg", "default.jpg"} {
			f, err := root.Open(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			img, err := io.ReadAll(io.LimitReader(f, mostImage+1))
			return img, errors.Join(err, f.Close())
		}
		return nil, ErrNoReference
	}
}
