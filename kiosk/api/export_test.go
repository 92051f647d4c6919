package api

// ReadEvents is what a Client reads a stream with.
var ReadEvents = readEvents
