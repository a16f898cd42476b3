package rest

// CheckJSON is exported for the fuzz test.
var CheckJSON = checkJSON
