// Package relay opens evidence that kiosks sealed for it and hands it to the
// identity gateway.
package relay
