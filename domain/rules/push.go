package rules

import (
	"regexp"

	"github.com/annal-git/annal/domain"
)

// PushRules is what may be demanded of what a push brings. A rule that is nil is as the
// project has it, and off if that has none. All are off at first.
type PushRules struct {
	RejectForcePush *bool      `json:"rejectForcePush,omitempty"`
	MaxFileSize     *int64     `json:"maxFileSize,omitempty"` // of a file, in bytes; 0 is no limit
	Committer       *Committer `json:"committer,omitempty"`
	Message         *Message   `json:"message,omitempty"`
	Signed          *bool      `json:"signed,omitempty"`      // every commit by a key of its committer
	ScanSecrets     *bool      `json:"scanSecrets,omitempty"` // no file may hold a secret
}

// Committer demands that commits are by the one who pushes them.
type Committer struct {
	Enabled bool `json:"enabled"`
	Author  bool `json:"author,omitempty"` // the author must be, too, and not the committer alone
}

// Message demands something of the messages of commits.
type Message struct {
	Pattern      string `json:"pattern"` // RE2, found anywhere in the message; "" demands nothing
	ExemptMerges bool   `json:"exemptMerges,omitempty"`
}

// Bounds of patterns in push rules, in bytes, and of their number in one project or
// repository.
const (
	MaxRegexp      = 1024
	MaxSecretRules = 100
	MaxName        = 255
)

// SecretRule tells secrets, or with an allowance what is none: lines that LineRegex is
// found in, in files by whose path PathRegex is found. Either may be "", not both. They are
// RE2.
type SecretRule struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	LineRegex string `json:"lineRegex,omitempty"`
	PathRegex string `json:"pathRegex,omitempty"`
}

func (r SecretRule) check() error {
	if r.Name == "" {
		return domain.Invalid("name", "The name is required.")
	}
	if err := domain.CheckText("name", r.Name, MaxName, false); err != nil {
		return err
	}
	if r.LineRegex == "" && r.PathRegex == "" {
		return domain.Invalid("lineRegex", "A regular expression for lines or for paths is required.")
	}
	if err := checkRegexp("lineRegex", r.LineRegex); err != nil {
		return err
	}
	return checkRegexp("pathRegex", r.PathRegex)
}

func (p PushRules) check() error {
	if p.MaxFileSize != nil && *p.MaxFileSize < 0 {
		return domain.Invalid("maxFileSize", "The size of files cannot be negative.")
	}
	if p.Message != nil {
		return checkRegexp("message.pattern", p.Message.Pattern)
	}
	return nil
}

func checkRegexp(field, pattern string) error {
	if len(pattern) > MaxRegexp {
		return domain.Invalid(field, "The regular expression is limited to %d bytes.", MaxRegexp)
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return domain.Invalid(field, "The regular expression is not one of RE2: %s.", err)
	}
	return nil
}

// over is p with the rules of a project where p has none.
func (p PushRules) over(project PushRules) PushRules {
	return PushRules{
		RejectForcePush: either(p.RejectForcePush, project.RejectForcePush),
		MaxFileSize:     either(p.MaxFileSize, project.MaxFileSize),
		Committer:       either(p.Committer, project.Committer),
		Message:         either(p.Message, project.Message),
		Signed:          either(p.Signed, project.Signed),
		ScanSecrets:     either(p.ScanSecrets, project.ScanSecrets),
	}
}

func either[T any](own, inherited *T) *T {
	if own != nil {
		return own
	}
	return inherited
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
