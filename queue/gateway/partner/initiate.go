package partner

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// duplicateSession is the gateway's cause for a session id that was used.
const duplicateSession = "DUPLICATE_PARTNER_SESSION_ID"

// usualIDType is what a user id is where nobody says.
const usualIDType = "CUSTOMER_ID"

var (
	errOtherUser  = errors.New("the correlation id is another user's")
	errOtherKiosk = errors.New("the flow is another kiosk's, and the person is not named")
)

// A person is whom a flow is for, and in which language.
type person struct {
	user, idType string
	locale       gateway.UserLocale
}

// An asker is the kiosk that wants a token; the zero value is the front end.
type asker struct {
	kiosk   string // the name in its certificate; "": none
	renewal bool   // it does not name the person
}

// locales are the languages as kiosks and front ends say them.
func locale(s string) (gateway.UserLocale, bool) {
	switch s {
	case "id":
		return gateway.Indonesian, true
	case "en":
		return gateway.English, true
	}
	return "", false
}

// name returns the person that a request names, or the failure of what is
// wrong with that.
func name(user, idType, language string) (person, answer, bool) {
	who := person{user: user, idType: cmp.Or(idType, usualIDType)}
	var spoken bool
	who.locale, spoken = locale(language)
	switch {
	case who.user == "":
		return who, missing("USER_ID"), false
	case !identifier(who.user):
		return who, malformed("USER_ID"), false
	case !identifier(who.idType):
		return who, malformed("USER_ID_TYPE"), false
	case !spoken:
		return who, malformed("LOCALE"), false
	}
	return who, answer{}, true
}

// kioskName returns the name of the kiosk that a request is from. Over TLS it
// is that of its certificate, which the listener has verified; without TLS
// there is none, and only this machine is believed.
func (s *Server) kioskName(r *http.Request) (name string, known bool) {
	if r.TLS == nil {
		return "", near(r) && !s.opts.KioskTLS
	}
	if len(r.TLS.VerifiedChains) == 0 {
		return "", false
	}
	name = r.TLS.VerifiedChains[0][0].Subject.CommonName
	return name, name != ""
}

// initiate answers a kiosk's request for a user token. The contract is in the
// comment on gateway.Client.UserToken.
func (s *Server) initiate(r *http.Request, ev *Event) answer {
	var known bool
	if ev.Kiosk, known = s.kioskName(r); !known {
		return fail(http.StatusForbidden, "KIOSK_CERTIFICATE_REQUIRED")
	}
	var in struct {
		Correlation string `json:"correlationId"`
		User        string `json:"userId"`
		IDType      string `json:"userIdType"`
		Locale      string `json:"locale"`
	}
	if !decode(r, &in) {
		return malformed("INITIATE_REQUEST")
	}
	switch {
	case in.Correlation == "":
		return missing("CORRELATION_ID")
	case !identifier(in.Correlation):
		return malformed("CORRELATION_ID")
	}
	ev.CorrelationID = in.Correlation
	f, err := s.store.flow(in.Correlation)
	if err != nil {
		return s.broken(r, err)
	}
	by := asker{kiosk: ev.Kiosk}
	if f != nil && in.User == "" {
		by.renewal = true
		in.User, in.IDType = f.UserID, f.UserIDType
	}
	who, wrong, right := name(in.User, in.IDType, in.Locale)
	if !right {
		return wrong
	}
	f, a := s.obtain(r, in.Correlation, who, by)
	if f == nil {
		return a
	}
	return fine(http.StatusOK, map[string]string{"token": f.Token, "expiresAt": strconv.FormatInt(f.Expires.Unix(), 10)})
}

// obtain initiates the flow of a person at the gateway, or renews its token
// (call 2). Without a flow the answer says why. The flow that is returned holds
// the token even where none is kept.
func (s *Server) obtain(r *http.Request, correlation string, who person, by asker) (*flow, answer) {
	// Person and id are on disk before the gateway hears of them: its answer may
	// be lost, and its callback finds the flow whatever happens in between.
	_, err := s.change(correlation, func(f *flow) error {
		switch {
		case f.anothers(who):
			return errOtherUser
		case by.renewal && f.Kiosk != "" && f.Kiosk != by.kiosk:
			return errOtherKiosk
		}
		f.UserID, f.UserIDType, f.Kiosk = who.user, who.idType, cmp.Or(f.Kiosk, by.kiosk)
		f.Initiated++
		return nil
	})
	switch {
	case errors.Is(err, errOtherUser):
		return nil, fail(http.StatusConflict, duplicateSession)
	case errors.Is(err, errOtherKiosk):
		return nil, fail(http.StatusForbidden, "FLOW_BELONGS_TO_ANOTHER_KIOSK")
	case err != nil:
		return nil, s.broken(r, err)
	}
	got, err := s.initiateFlow(r.Context(), correlation, who)
	if err != nil {
		return s.notInitiated(r, correlation, err)
	}
	f, err := s.change(correlation, func(f *flow) error {
		if f.anothers(who) { // the flow was forgotten, and is somebody else's now
			return errOtherUser
		}
		f.UserID, f.UserIDType, f.Token, f.Expires = who.user, who.idType, got.Token.Value, got.Expires
		if f.Expires.IsZero() {
			f.Expires = s.opts.Now().Add(60 * 24 * time.Hour) // the contract's
		}
		f.Asked = 0
		f.expect(s.opts.Now(), s.opts.FallbackAfter)
		return nil
	})
	switch {
	case errors.Is(err, errOtherUser):
		return nil, fail(http.StatusConflict, duplicateSession)
	case err != nil:
		return nil, s.broken(r, err)
	}
	f.Token = got.Token.Value
	return f, answer{}
}

// notInitiated is obtain where the gateway gave no token. Whoever the gateway
// certainly did nothing for is not bound to the flow by having tried.
func (s *Server) notInitiated(r *http.Request, correlation string, cause error) (*flow, answer) {
	_, tokenless := errors.AsType[*tokenError](cause)
	g, known := errors.AsType[*gateway.Error](cause)
	duplicate := hasCause(cause, duplicateSession)
	refused := !duplicate && (tokenless || known && (g.Disposition == kiosk.Final || g.Disposition == kiosk.NewToken))
	if !duplicate && !refused {
		return nil, s.upstream(r, cause)
	}
	theirs := false
	f, err := s.change(correlation, func(f *flow) error {
		// Asked for the first time, no answer can have been lost: somebody else
		// has initiated the flow.
		theirs = duplicate && f.Initiated == 1 && f.Expires.IsZero()
		if refused || theirs {
			f.Initiated = max(0, f.Initiated-1)
		}
		if f.Initiated == 0 && f.Expires.IsZero() {
			f.UserID, f.UserIDType, f.Kiosk = "", "", ""
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, s.broken(r, err)
	case refused:
		return nil, s.upstream(r, cause)
	case f.Token != "":
		return f, answer{}
	case theirs:
		return nil, fail(http.StatusConflict, duplicateSession)
	}
	// The gateway has given the token, and its answer was lost. An operator may
	// have the flow reset at the gateway; the kiosk's capture has to wait.
	s.log.ErrorContext(r.Context(), "user token is lost: the gateway has initiated the flow and does not give its token again",
		slog.String("correlation", correlation))
	return nil, answer{status: http.StatusServiceUnavailable, cause: "USER_TOKEN_IS_LOST", retryAfter: time.Minute}
}

// anothers reports whether a flow is another person's.
func (f *flow) anothers(who person) bool {
	return f != nil && f.UserID != "" && (f.UserID != who.user || f.UserIDType != who.idType)
}

func (s *Server) initiateFlow(ctx context.Context, correlation string, who person) (got gateway.Flow, err error) {
	err = s.tokens.use(ctx, func(t gateway.Token) error {
		got, err = s.opts.Gateway.InitiateFlow(ctx, t, gateway.FlowRequest{
			Flow: gateway.StandaloneLiveness, Source: gateway.SDK, SessionID: correlation,
			UserID: who.user, UserIDType: who.idType, Locale: who.locale,
		})
		return err
	})
	return got, err
}

// begin initiates a flow for the front end:
//
//	POST /v1/flows
//	{"userId":"…","userIdType":"CUSTOMER_ID","locale":"id","correlationId":""}
//
//	201 {"correlationId":"…","token":"…","expiresAt":"<epoch s>"}
//
// All but userId may be left out. Who repeats a request that got no answer
// gives a correlation id: then it has one effect.
func (s *Server) begin(r *http.Request, ev *Event) answer {
	var in struct {
		User        string `json:"userId"`
		IDType      string `json:"userIdType"`
		Locale      string `json:"locale"`
		Correlation string `json:"correlationId"`
	}
	if !decode(r, &in) {
		return malformed("FLOW_REQUEST")
	}
	who, wrong, right := name(in.User, in.IDType, cmp.Or(in.Locale, "id"))
	if !right {
		return wrong
	}
	in.Correlation = cmp.Or(in.Correlation, "flow-"+rand.Text())
	if !identifier(in.Correlation) {
		return malformed("CORRELATION_ID")
	}
	ev.CorrelationID = in.Correlation
	f, a := s.obtain(r, in.Correlation, who, asker{})
	if f == nil {
		return a
	}
	return fine(http.StatusCreated, map[string]string{
		"correlationId": f.CorrelationID, "token": f.Token, "expiresAt": strconv.FormatInt(f.Expires.Unix(), 10),
	})
}
