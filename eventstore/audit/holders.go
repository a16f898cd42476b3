package audit

import (
	"errors"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// onHolder is which user an event is about, if that is one who holds an access key, or a token of a
// project or repository. Whoever administers those makes, changes and ends them.
func onHolder(r *rights, p *parsed) (domain.UserID, bool) {
	id, ok := ownAct(p)
	switch e := p.event.(type) {
	case account.Created:
		return e.ID, e.Type.Holds()
	case account.SSHKeyAdded:
		id, ok = e.User, true
	case account.SSHKeyRemoved:
		id, ok = e.User, true
	case account.Deactivated:
		id, ok = e.ID, true
	}
	return id, ok && r.user(id).holds
}

// judgeOnHolder lets everybody make one, since it holds nothing, and the maker do what he likes
// with it until somebody has granted it something.
func (r *rights) judgeOnHolder(p *parsed, u *user, id domain.UserID) error {
	holder := r.users[id]
	if holder == nil || holder.maker == p.who.Actor && len(holder.projects)+len(holder.onOne) == 0 {
		return nil
	}
	err := errors.New("nobody administers what a user without grants holds")
	for project := range holder.projects {
		if err = r.need(p, u, access.ProjectAdmin, project, 0); err == nil {
			return nil
		}
	}
	for repository := range holder.onOne {
		if err = r.need(p, u, access.RepoAdmin, r.repositories[repository], repository); err == nil {
			return nil
		}
	}
	return err
}
