package gatewaysim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image/jpeg"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What an image must be, in bytes and pixels.
const (
	leastBytes = 20 << 10
	mostBytes  = 4 << 20
	shortSide  = 480
	longSide   = 640
	mostSide   = 8192 // beyond it, decoding is an attack on the memory
)

// keptObjects bounds the images in memory.
const keptObjects = 128

// An object is one place in the store, known by a random key.
type object struct {
	sub       *submission
	document  string
	signature string
	expires   time.Time
	data      []byte // nil until uploaded
	size      int64
}

// invite returns where a document of a submission may be put. The mutex is
// held.
func (s *Sim) invite(r *http.Request, sub *submission, document string) map[string]any {
	life := s.opts.Lifetimes.UploadURL
	key := strings.ToLower(secret())
	o := &object{sub: sub, document: document, signature: secret(), expires: s.opts.Now().Add(life)}
	s.objects[key] = o
	s.recent = append(s.recent, key)
	for len(s.recent) > keptObjects {
		oldest := s.recent[0]
		s.recent = s.recent[1:]
		if old := s.objects[oldest]; old != nil && (old.data == nil || old.sub.judged != nil || old.sub.documents[old.document] != oldest) {
			delete(s.objects, oldest)
		} else if old != nil {
			s.recent = append(s.recent, oldest) // still needed
			break
		}
	}
	seconds := strconv.Itoa(int(life.Seconds()))
	return map[string]any{
		"documentUrl": s.base(r) + "/objects/" + key + "?X-Amz-Expires=" + seconds +
			"&X-Amz-SignedHeaders=host&X-Amz-Signature=" + o.signature,
		"documentReference": reference(sub, document),
		"expiryInSeconds":   seconds,
	}
}

// object is call 4: the store's answer to a request for one of its keys.
func (s *Sim) object(r *http.Request, ev *Event) reply {
	key := r.PathValue("key")
	s.mu.Lock()
	o := s.objects[key]
	s.mu.Unlock()
	if o == nil {
		return denied(http.StatusForbidden, "AccessDenied")
	}
	ev.Document, ev.Submission, ev.Correlation = o.document, o.sub.id, o.sub.session.id
	switch {
	case r.Method != http.MethodPut || !same(r.URL.Query().Get("X-Amz-Signature"), o.signature):
		return denied(http.StatusForbidden, "SignatureDoesNotMatch")
	case !s.opts.Now().Before(o.expires):
		return denied(http.StatusForbidden, "AccessDenied")
	case r.ContentLength < 0:
		return denied(http.StatusLengthRequired, "MissingContentLength")
	case r.ContentLength > mostBytes:
		return denied(http.StatusBadRequest, "EntityTooLarge")
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, mostBytes+1))
	if err != nil || int64(len(data)) != r.ContentLength {
		return denied(http.StatusBadRequest, "IncompleteBody")
	}
	sum := sha256.Sum256(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.sub.status != "INITIATED" && o.sub.status != "PARTIALLY_COMPLETED" {
		return denied(http.StatusForbidden, "AccessDenied") // confirmed: what is judged stays as it was
	}
	o.data, o.size = data, int64(len(data))
	o.sub.documents[o.document] = key
	o.sub.states[o.document] = "UPLOADED"
	o.sub.status = "PARTIALLY_COMPLETED"
	ev.Bytes, ev.SHA256 = o.size, hex.EncodeToString(sum[:])
	return reply{status: http.StatusOK, header: http.Header{"Etag": {`"` + ev.SHA256[:32] + `"`}}}
}

// selfie reports whether an object is a whole JPEG of sane size. Whether it
// decodes, and shows a face, is for the verdict.
func (o *object) selfie() bool {
	if len(o.data) < leastBytes || len(o.data) > mostBytes {
		return false
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(o.data))
	if err != nil || !bytes.HasSuffix(bytes.TrimRight(o.data, "\x00"), []byte{0xff, 0xd9}) {
		return false
	}
	return min(c.Width, c.Height) >= shortSide && max(c.Width, c.Height) >= longSide && max(c.Width, c.Height) <= mostSide
}
