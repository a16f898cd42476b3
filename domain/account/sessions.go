package account

import "github.com/annal-git/annal/domain"

// SessionsEnded logs a user out of every browser, on every node.
type SessionsEnded struct {
	ID domain.UserID `json:"id"`
}

// EventType implements domain.Event.
func (SessionsEnded) EventType() string { return "user.sessions_ended.v1" }

// EndSessions logs the user out everywhere.
type EndSessions struct{}

func (EndSessions) command() {}
