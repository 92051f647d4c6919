package relay

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"livekiosk/queue/seal"
)

// ticketPath is where kiosks put images. The rest of the path is a ticket.
const ticketPath = "/relay/v1/uploads/"

// A ticket is what an upload URL of the relay's stands for.
type ticket struct {
	URL         string `json:"u"` // the gateway's presigned one; a secret
	Document    string `json:"d"`
	Correlation string `json:"c"`
	Submission  string `json:"s"`
	End         int64  `json:"e"` // Unix time in milliseconds
}

// mostTicket is how long a ticket may be in the URL of an image. Kiosks, and
// servers in front of a relay, take 8 KiB for a whole URL or line.
const mostTicket = 7 << 10

var errTicket = errors.New("no upload URL of this relay, or one that is not good any more")

// tickets makes and reads tickets. It is safe for concurrent use.
type tickets struct{ aead cipher.AEAD }

// newTickets returns what reads the tickets of every relay that has the key.
func newTickets(k *seal.Key) (*tickets, error) {
	secret, err := k.Derive("relay upload urls")
	if err != nil {
		return nil, fmt.Errorf("key of the upload URLs: %w", err)
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("key of the upload URLs: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("key of the upload URLs: %w", err)
	}
	return &tickets{aead}, nil
}

func (t *tickets) seal(k ticket) (string, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("upload URL: %w", err)
	}
	s := base64.RawURLEncoding.EncodeToString(t.aead.Seal(nil, nil, b, []byte(ticketPath)))
	if len(s) > mostTicket {
		return "", fmt.Errorf("upload URL: the gateway's has %d bytes, which are too many to be replaced", len(k.URL))
	}
	return s, nil
}

// open returns what a ticket stands for at a time; errTicket for one that is
// not good.
func (t *tickets) open(s string, now time.Time) (ticket, error) {
	if len(s) > mostTicket {
		return ticket{}, errTicket
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return ticket{}, errTicket
	}
	b, err := t.aead.Open(nil, nil, sealed, []byte(ticketPath))
	if err != nil {
		return ticket{}, errTicket
	}
	var k ticket
	if json.Unmarshal(b, &k) != nil || now.UnixMilli() >= k.End {
		return ticket{}, errTicket
	}
	return k, nil
}

// Uploads reports whether s is an upload URL as a relay hands out, by its form
// alone. It is how a kiosk notices that it speaks to a gateway where it means a
// relay, or the other way round.
func Uploads(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	_, ticket, found := strings.Cut(u.Path, ticketPath)
	return found && ticket != "" && u.RawQuery == ""
}
