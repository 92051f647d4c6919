// Package partner is a sample partner backend: what a bank runs between its own
// front end, the kiosks and the identity gateway.
package partner
