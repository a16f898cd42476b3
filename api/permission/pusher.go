package permission

import (
	"context"
	"strconv"
	"strings"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain/rules"
)

// Pusher is a caller as the rules of a repository know him, which is named by its
// project's key and its slug. demanded are those rules, nil for none.
func (j Judge) Pusher(ctx context.Context, caller credentials.Caller, key, slug string, demanded *rules.Effective) (rules.Pusher, error) {
	p := rules.Pusher{
		User: caller.User.ID, AccessKey: accessKey(caller),
		Names: []string{caller.User.DisplayName, caller.User.Name}, Email: caller.User.Email,
		Project: strings.ToUpper(key), Repository: strings.ToUpper(key) + "/" + strings.ToLower(slug),
	}
	if caller.Anonymous() || !demanded.ExemptsGroups() {
		return p, nil
	}
	var err error
	p.Groups, err = j.Users.Groups(ctx, caller.User.ID)
	return p, err
}

// accessKey is the number of the access key that a caller has come with, 0 if with none.
// Such a key is a user of its own, whose name no person can have (domain/access/adr/0001);
// which key it is, the way says by which he came.
func accessKey(caller credentials.Caller) int64 {
	number, ok := strings.CutPrefix(caller.Auth, "ssh-key:")
	if !ok || !strings.HasPrefix(caller.User.Name, "access-key/") {
		return 0
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return id
}
