package api

// What a Client reads streams with.
var (
	ReadEvents       = readEvents
	ReadVerification = readVerification
)
