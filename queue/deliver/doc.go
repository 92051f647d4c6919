// Package deliver carries records from the outbox to the identity gateway. It
// holds the product's only retry loop.
//
// # One delivery
//
// A record needs up to seven calls: a user token of the partner backend unless
// the launch brought one, upload URLs of the gateway, two uploads to the object
// store, the confirmation, and polls until there is a verdict. A round carries
// a record as far as it goes; a record has one round at a time, and the records
// of one session are delivered in their order.
//
// Every call may be made twice: after a power cut, a lost answer or a new token
// the same capture is sent again. It takes effect once, because of one rule:
// before the confirmation is sent, it is durable which submission it is for and
// that its images are there. From then on the same submission is confirmed, or
// found to be confirmed already (409), and no other one is ever begun, not even
// if the gateway denies that one (404): it may have taken effect all the same.
// The denial is waited out, and staff has to look if it lasts. All other marks
// save work and may be lost: a token is asked for again, an image is uploaded
// again, a verdict is polled for again. They are written together with the next
// one that counts, when a round ends early, and after a call that took long.
//
// The gateway keeps one session for all captures of a person, and may name the
// submission of an earlier one when it is asked for URLs. A submission that
// takes no images is therefore never this record's: what was confirmed for a
// record is confirmed again without asking for URLs.
//
// A verdict ends the record: Settle, or Recapture if the gateway asks for
// other images (RETRY). Recapture first makes the record a dead letter for
// staff, and then the person is told, if they are still there: the record of
// their new capture takes the letter away again. A record that no retry can
// deliver becomes a dead letter with a reason.
//
// # Who goes first
//
// The record that was stored last is taken to be that of a person who waits,
// for two minutes. It has a lane of its own, behind no backlog and no hanging
// upload, and is not subject to the bandwidth cap; its own waits are 15 seconds
// at most. A few such lanes are there for people who come soon after each
// other. Of the other records the oldest goes first.
//
// # Waiting
//
// A failure of a record's own makes that record wait, with full jitter, and
// nobody else. A failure that all records share opens the Breaker of the
// service it came from: the gateway, the object store or the partner backend.
// While it is open, a record that needs the service waits, whatever else it
// could do; one of them at a time probes. Records that do not need it go on: in
// an outage of the partner backend those that have a token, in one of the
// store those that wait for their verdict. A person who arrives probes at once.
// After an outage the backlog starts gently: see Breaker.
//
// Three records in a row that are refused at the same step open the breaker
// too, by 5xx or by what may be said of all kiosks, such as 403 or a 401 to a new
// token: one alone may be poison, three are an outage. A refusal by the partner
// backend's 401 or 403 is always of the kiosk, and opens the breaker at once.
// A record that fails time and again while others of the same service succeed
// opens nothing any more. If it is refused 200 times in a row while others are
// not, it becomes a dead letter, and after a week of tries if there are no
// others. Tries in an outage do not count.
//
// Tokens of people who are booked are fetched one at a time while nobody waits,
// and none more often than every twelve hours.
//
// # Restarts and clocks
//
// Failure counts of records and services survive a restart; waits are drawn
// anew from them. They are kept sparingly: a record's when its wait is 15
// seconds or more, a service's when an outage begins and when nothing is left
// of it, and between that every 15 seconds at most. A wall clock that is wrong cannot make anything wait longer
// than it would otherwise, with two bounds: a server's Retry-After from before
// the restart is believed for 15 minutes at most, and the age of a submission
// counts as 32 hours at most when the next poll is planned, which is then four
// hours away at most. Within one run
// nothing depends on the wall clock.
//
// # The words
//
// EventDeferred and Stats say why something waits, in these words. The words
// of kiosk.Trouble are the gateway's, and with "store_" or "partner_" before
// them the other services':
//
//	dns          the host name does not resolve
//	connect      no route, nobody listens, or no answer for a cause not known
//	timeout      no answer in time
//	broken       the connection ended before the answer
//	clock        by this kiosk's clock no certificate can be right: set it
//	certificate  not accepted, or not the pinned one
//	proxy        the configured proxy refuses or cannot be reached
//	portal       something in between answered: sign in to the network
//	garbled      an answer that cannot be read
//	busy         the service asks for fewer calls (429)
//	unavailable  the service says so itself (5xx), or refuses everybody (403)
//
// These are a record's own:
//
//	token            the gateway refused a new token too
//	urls             the store refused new upload URLs too
//	submission_lost  the gateway denies a submission that may be confirmed
//	inconsistent     answers that contradict each other
//	storage          the outbox failed: see the log for its error
//
// Dead letters have the gateway's cause as their reason, such as
// INVALID_CONFIRM_UPLOAD_REQUEST, or call and status where there is none, such
// as status_http_400, or one of these:
//
//	needs_recapture   the gateway wants other images, and nobody was there
//	token_expired     the partner backend does not renew the token
//	submission_lost   the gateway goes on denying a submission that may be confirmed
//	session_closed    an earlier submission of the session has ended it
//	stays_initiated   confirmed, and a week later the gateway has not begun
//	refused_http_500  refused so, or with another status, time and again
//	unreadable        the record does not open with this device's key
package deliver
