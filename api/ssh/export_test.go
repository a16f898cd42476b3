package ssh

// ParseCommand is the parser of exec requests, for tests.
var ParseCommand = parseCommand
