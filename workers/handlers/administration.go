package handlers

import (
	"context"
	"log/slog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/repository"
)

// Administration writes a line into the node's log for whatever is not a push, or a large file
// of one: for those
// who collect logs and want to be warned there when rights or accounts change. It names
// nobody; who an actor is can be asked as long as he is not forgotten.
func Administration(logger *slog.Logger) Handler {
	push, file := repository.RefsUpdated{}.EventType(), lfs.ObjectAdded{}.EventType()
	return Handler{
		Name:  "administration",
		Wants: func(eventType string) bool { return eventType != push && eventType != file },
		Handle: func(ctx context.Context, e domain.Recorded) error {
			logger.InfoContext(ctx, "administration", "event", e.Event.EventType(), "stream", string(e.Stream), "position", e.Position,
				"actor", int64(e.Meta.Actor), "auth", e.Meta.Auth, "request", e.Meta.RequestID, "node", e.Meta.Node, "at", e.At)
			return nil
		},
	}
}
