package uploadpack

import (
	"context"
	"errors"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/protocol"
)

// at is the conversation about the repository as it was at the moment that a command names;
// "" is the one about what is served anyway. The objects are the same: what refs named then
// is still there.
func (c *conversation) at(ctx context.Context, moment string) (*conversation, error) {
	if moment == "" {
		return c, nil
	}
	if c.repo.Past == nil {
		return nil, protocol.Refuse("the server option \"at\" has no use here: this is the repository at one moment only")
	}
	past, err := c.repo.Past(ctx, moment)
	var missing *domain.NotFoundError
	var invalid *domain.InvalidError
	switch {
	case errors.As(err, &missing):
		return nil, protocol.Refuse("%s", missing.Message)
	case errors.As(err, &invalid):
		return nil, protocol.Refuse("%s", invalid.Message)
	case err != nil:
		return nil, err
	case past.Version > c.repo.Snapshot.Version:
		return nil, protocol.Refuse("the repository has just come to that position; try again")
	}
	then := *c
	then.repo = &Repository{Snapshot: past, Objects: c.repo.Objects, Hides: c.repo.Hides}
	return &then, nil
}
