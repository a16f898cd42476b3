package audit

import (
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/ratelimit"
)

// Large files, locks and their settings, and rate limits, take the permission that their API asks
// for.
func TestRightsToActs(t *testing.T) {
	t.Parallel()
	const id domain.RepositoryID = 7
	lock := lfs.Lock{ID: 1, Repository: id, Path: "a", Owner: 2}
	target := lfs.Target{Repository: id}
	for _, tt := range []struct {
		event  domain.Event
		stream domain.Stream
		need   access.Permission
	}{
		{lfs.ObjectAdded{Repository: id, Size: 1}, lfs.Stream(id), access.RepoWrite},
		{lfs.Locked{Lock: lock}, lfs.Stream(id), access.RepoWrite},
		{lfs.Unlocked{Lock: lock}, lfs.Stream(id), access.RepoWrite},
		{lfs.Unlocked{Lock: lock, Forced: true}, lfs.Stream(id), access.RepoAdmin},
		{lfs.SettingsChanged{Target: target, Settings: lfs.Settings{Off: true}}, target.Stream(), access.RepoAdmin},
		{lfs.SettingsChanged{Target: target, Settings: lfs.Settings{Quota: 1}}, target.Stream(), access.SysAdmin},
		{ratelimit.SettingsChanged{}, ratelimit.Stream, access.Admin},
		{ratelimit.UsersSet{Users: []domain.UserID{2}, Own: ratelimit.Own{Exempt: true}}, ratelimit.Stream, access.Admin},
		{ratelimit.UserReset{User: 2}, ratelimit.Stream, access.Admin},
	} {
		for _, has := range []access.Permission{access.RepoRead, access.RepoWrite, access.RepoAdmin, access.SysAdmin} {
			r := newRights()
			u := newUser()
			if u.onOne[id] = (held{permission: has}); has == access.SysAdmin {
				u.holdings = newHoldings()
				u.global = held{permission: has}
			}
			r.users[2] = u
			p := &parsed{event: tt.event, kind: tt.event.EventType(), stream: []byte(tt.stream), moment: 1 << 40}
			p.who.Actor = 2
			if err := r.judge(p); (err == nil) != has.Implies(tt.need) {
				t.Errorf("%s with %s: %v", p.kind, has, err)
			}
		}
	}
}
