package gatewaysim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"image/jpeg"
	"io"
	"net/http"
	"net/url"
	"slices"
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

// stampFormat is that of X-Amz-Date.
const stampFormat = "20060102T150405Z"

// sign returns the URL by which a method may be used on a place for life, as
// an S3 store would presign it. It says itself what it is good for, so nothing
// is kept of it.
func (st *state) sign(base, method string, p place, now time.Time, life time.Duration) string {
	// The date is cut to whole seconds; what was cut off must not be missing at
	// the end.
	from := now.UTC().Truncate(time.Second)
	q := url.Values{
		"X-Amz-Date":          {from.Format(stampFormat)},
		"X-Amz-Expires":       {strconv.Itoa(seconds(now.Add(life).Sub(from)))},
		"X-Amz-SignedHeaders": {"host"},
	}
	host := ""
	if u, err := url.Parse(base); err == nil {
		host = u.Host
	}
	q.Set("X-Amz-Signature", st.signature(method, host, p, q))
	return base + "/objects/" + p.String() + "?" + q.Encode()
}

// seconds returns whole seconds, at least as long as d.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

func (st *state) signature(method, host string, p place, q url.Values) string {
	mac := hmac.New(sha256.New, st.key)
	_, _ = io.WriteString(mac, strings.Join([]string{ // never fails
		method, host, p.String(), q.Get("X-Amz-Date"), q.Get("X-Amz-Expires"), q.Get("X-Amz-SignedHeaders"),
	}, "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}

// signed returns the failure of a request whose URL was not made for it, or no
// longer is good.
func (s *Sim) signed(x *exchange, p place) (reply, bool) {
	q := x.URL.Query()
	for _, name := range []string{"X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(q[name]) != 1 {
			return denied(http.StatusForbidden, "AccessDenied"), false
		}
	}
	if !same(q.Get("X-Amz-Signature"), s.signature(x.Method, x.Host, p, q)) {
		return denied(http.StatusForbidden, "SignatureDoesNotMatch"), false
	}
	from, err := time.Parse(stampFormat, q.Get("X-Amz-Date"))
	life, bad := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || bad != nil || !x.now.Before(from.Add(time.Duration(life)*time.Second)) {
		return denied(http.StatusForbidden, "AccessDenied"), false
	}
	return reply{}, true
}

// invite returns where a document of a submission may be put.
func (s *Sim) invite(x *exchange, sub *submission, name string) map[string]any {
	p, life := place{sub.ID, name}, s.opts.Lifetimes.UploadURL
	return map[string]any{
		"documentUrl":       s.sign(s.base(x.Request), http.MethodPut, p, x.now, life),
		"documentReference": p.String(),
		"expiryInSeconds":   strconv.Itoa(seconds(life)),
	}
}

// imageURL returns where an image can be downloaded.
func (s *Sim) imageURL(base string, now time.Time, p place) string {
	return s.sign(base, http.MethodGet, p, now, s.opts.Lifetimes.ImageURL)
}

// upload is call 4.
func (s *Sim) upload(x *exchange) reply {
	p := place{x.PathValue("submission"), x.PathValue("document")}
	out, good := s.signed(x, p)
	if !good {
		return out
	}
	s.mu.Lock()
	sub := s.submissions[p.submission]
	s.mu.Unlock()
	if sub == nil || !slices.Contains(selfies(), p.document) {
		return denied(http.StatusForbidden, "AccessDenied")
	}
	x.ev.Document, x.ev.Submission, x.ev.Correlation = p.document, sub.ID, sub.Session
	// The kinds that S3 keeps as they come; any other was not signed for.
	kind := x.Header.Get("Content-Type")
	switch {
	case !slices.Contains([]string{"", "image/jpeg", "application/octet-stream"}, kind):
		return denied(http.StatusForbidden, "SignatureDoesNotMatch")
	case x.ContentLength < 0:
		return denied(http.StatusLengthRequired, "MissingContentLength")
	case x.ContentLength > mostBytes:
		return denied(http.StatusBadRequest, "EntityTooLarge") // S3's own status for it
	}
	data := make([]byte, x.ContentLength)
	if _, err := io.ReadFull(x.Body, data); err != nil {
		return denied(http.StatusBadRequest, "IncompleteBody")
	}
	sum, whole := sha256.Sum256(data), selfie(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.submissions[p.submission] != sub || !sub.open() {
		return denied(http.StatusForbidden, "AccessDenied") // confirmed: what is judged stays as it was
	}
	if !s.addImage(sub, p.document, data) {
		return denied(http.StatusServiceUnavailable, "SlowDown")
	}
	*sub.Documents[p.document] = document{
		State: "UPLOADED", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Whole: whole, Kept: true, At: x.now,
	}
	sub.Status = "PARTIALLY_COMPLETED"
	s.saveSubmission(sub)
	x.ev.Bytes, x.ev.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	out = reply{status: http.StatusOK}
	out.set("Etag", `"`+x.ev.SHA256[:32]+`"`)
	return out
}

// download answers an image URL of calls 7 and 8.
func (s *Sim) download(x *exchange) reply {
	p := place{x.PathValue("submission"), x.PathValue("document")}
	out, good := s.signed(x, p)
	if !good {
		return out
	}
	img, err := s.image(p)
	switch {
	case err != nil:
		return denied(http.StatusInternalServerError, "InternalError")
	case img == nil:
		return denied(http.StatusNotFound, "NoSuchKey")
	}
	return reply{status: http.StatusOK, kind: "image/jpeg", body: img}
}

// selfie reports whether data is a whole JPEG of sane size. Whether it decodes,
// and shows a face, is for the verdict.
func selfie(data []byte) bool {
	if len(data) < leastBytes || len(data) > mostBytes {
		return false
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || !bytes.HasSuffix(bytes.TrimRight(data, "\x00"), []byte{0xff, 0xd9}) {
		return false
	}
	return min(c.Width, c.Height) >= shortSide && max(c.Width, c.Height) >= longSide && max(c.Width, c.Height) <= mostSide
}
