package eventstore

import (
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/gpgkey"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/ratelimit"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
)

// Types is the registry of every event type Annal has ever written. A name stays
// for ever and keeps its shape; a changed shape gets a new name. Each has a sample
// in testdata/events, which is decoded by a test for as long as there are logs.
func Types() *Registry {
	r := NewRegistry()

	Register[cluster.Created](r)
	Register[cluster.SigningKeyChanged](r)
	Register[cluster.EpochStarted](r)
	Register[cluster.ProjectionRetried](r)
	Register[cluster.ProjectionSkipped](r)

	Register[project.Created](r)
	Register[project.Updated](r)
	Register[project.Deleted](r)

	Register[repository.Created](r)
	Register[repository.Forked](r)
	Register[repository.Renamed](r)
	Register[repository.Moved](r)
	Register[repository.SettingsChanged](r)
	Register[repository.DefaultBranchChanged](r)
	Register[repository.Deleted](r)
	Register[repository.Restored](r)
	Register[repository.RefsUpdated](r)
	Register[repository.PacksCombined](r)
	Register[repository.PacksRemoved](r)

	Register[account.Created](r)
	Register[account.ProfileChanged](r)
	Register[account.PasswordSet](r)
	Register[account.Deactivated](r)
	Register[account.Activated](r)
	Register[account.TokenCreated](r)
	Register[account.TokenChanged](r)
	Register[account.TokenRevoked](r)
	Register[account.SSHKeyAdded](r)
	Register[account.SSHKeyRemoved](r)
	Register[account.SessionsEnded](r)
	Register[account.IdentityLinked](r)
	Register[account.ApplicationAuthorized](r)
	Register[account.ApplicationRevoked](r)
	Register[account.Erased](r)

	Register[access.Granted](r)
	Register[access.Revoked](r)
	Register[access.GroupGranted](r)
	Register[access.GroupRevoked](r)
	Register[access.DefaultChanged](r)

	Register[group.Created](r)
	Register[group.Renamed](r)
	Register[group.MembersAdded](r)
	Register[group.MembersRemoved](r)
	Register[group.Deleted](r)

	Register[rules.RestrictionSet](r)
	Register[rules.RestrictionRemoved](r)
	Register[rules.ModelSet](r)
	Register[rules.PushRulesSet](r)
	Register[rules.SecretRuleSet](r)
	Register[rules.SecretRuleRemoved](r)
	Register[rules.AllowanceSet](r)
	Register[rules.AllowanceRemoved](r)

	Register[gpgkey.Added](r)
	Register[gpgkey.Removed](r)

	Register[lfs.ObjectAdded](r)
	Register[lfs.Locked](r)
	Register[lfs.Unlocked](r)
	Register[lfs.SettingsChanged](r)
	Register[oauth.ClientCreated](r)
	Register[oauth.ClientChanged](r)
	Register[oauth.ClientSecretChanged](r)
	Register[oauth.ClientDeleted](r)

	Register[ratelimit.SettingsChanged](r)
	Register[ratelimit.UsersSet](r)
	Register[ratelimit.UserReset](r)

	return r
}
