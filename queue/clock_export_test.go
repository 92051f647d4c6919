package queue

import "time"

// What the tests of the clock hold to account besides the API.

// A Clock is the clock in the file.
type Clock = clock

// A Moment is all that can be asked of time at once.
type Moment = moment

// ClockAt returns the clock at a later moment.
func ClockAt(c Clock, m Moment) Clock { return c.at(m) }

// DecodeClock decodes the clock.
func DecodeClock(b []byte) (Clock, error) { return decodeClock(b) }

// Stamp returns what a record notes of the clock.
func Stamp(c Clock) int64 { return c.stamp() }

// Age returns how old a record with that stamp is.
func Age(c Clock, stamp int64) (time.Duration, bool) { return c.age(stamp) }

// Machine reads this machine's boot id and how long it runs.
func Machine() Reading { return machine()() }

// DecodeLine decodes a line of the proof of erasure.
func DecodeLine(b []byte) (any, error) { return decodeLine(b) }
