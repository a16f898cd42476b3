package credentials

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/annal-git/annal/domain"
)

// DefaultShortestPassword is how many characters a new password must have, unless the operator
// says otherwise.
const DefaultShortestPassword = 8

// NewPassword makes the hash to store of the password that a user chooses, who will be called
// name. Errors are *domain.InvalidError for a password that cannot be used or breaks a rule, and
// ctx.Err().
//
// The rules follow NIST SP 800-63B: long enough, and none that is guessed first; nothing about
// which characters it is made of.
func (a *Authenticator) NewPassword(ctx context.Context, name, password string) (string, error) {
	lower := strings.ToLower(strings.TrimSpace(password))
	switch {
	case password == "":
		return "", domain.Invalid("password", "The password must not be empty.")
	case utf8.RuneCountInString(password) < a.shortest:
		return "", domain.Invalid("password", "The password must have at least %d characters.", a.shortest)
	case name != "" && lower == strings.ToLower(name):
		return "", domain.Invalid("password", "The password must not be the user's name.")
	case common[lower], strings.Trim(lower, lower[:1]) == "":
		return "", domain.Invalid("password", "This password is one of those that are guessed first. Choose another.")
	}
	return a.HashPassword(ctx, password)
}

// HashPassword makes the hash to store of a password, whatever the rules for new ones. Errors
// are *domain.InvalidError for a password that cannot be used, and ctx.Err().
func (a *Authenticator) HashPassword(ctx context.Context, password string) (string, error) {
	switch {
	case password == "":
		return "", domain.Invalid("password", "The password must not be empty.")
	case len(password) > maxPassword || !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return "", domain.Invalid("password", "The password must be text of at most %d bytes.", maxPassword)
	case isToken(password), OAuthAccess.Hash(password) != nil:
		return "", domain.Invalid("password", "The password must not look like a token.")
	}
	return a.hasher.hash(ctx, password)
}

// common are the passwords of eight characters and more that every list of guesses starts with.
var common = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`
		12345678 123456789 1234567890 0123456789 87654321 987654321 9876543210 12341234 11223344 112233445566
		123123123 147258369 789456123 password password1 password12 password123 password1234 passw0rd p@ssw0rd p@ssword
		pa55word passwort passwort1 qwertyui qwertyuiop qwerty123 qwerty1234 qwertz123 qwertzuiop asdfghjk asdfghjkl
		zxcvbnm123 1qaz2wsx 1q2w3e4r 1q2w3e4r5t q1w2e3r4 qazwsxedc zaq12wsx abcdefgh abcd1234 abc12345 abcdef123 a1b2c3d4
		iloveyou iloveyou1 sunshine princess football baseball superman starwars trustno1 whatever computer internet
		letmein1 letmein123 welcome1 welcome123 changeme changeme1 changeme123 changeit adminadmin admin123 admin1234
		administrator rootroot root1234 toor1234 testtest test1234 secret12 mysecret default1 guestguest
		bitbucket bitbucket1 atlassian annalannal`) {
		set[word] = true
	}
	return set
}()
