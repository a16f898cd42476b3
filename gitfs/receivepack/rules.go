package receivepack

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
)

// askRules finds out what is demanded of the push, and of whom.
func (p *push) askRules(ctx context.Context) (err error) {
	if p.demanded, err = p.repo.Snapshot.Demands(ctx); err != nil || p.repo.Pusher == nil {
		return err
	}
	p.pusher, err = p.repo.Pusher(ctx, p.demanded)
	return err
}

// judgeForced judges once more what turns out to leave commits behind.
func (p *push) judgeForced(c *command) {
	if refusal := p.demanded.Judge(p.pusher, c.RefUpdate, p.repo.Snapshot.Head); refusal != nil {
		p.refuse(c, *refusal)
	}
}

// refuse keeps a ref where it is because of a rule.
func (p *push) refuse(c *command, refusal rules.Refusal) {
	c.reason = refusal.Text
	p.refusals = append(p.refusals, refusal)
}

// settle takes over the result of a decision about a command.
func (p *push) settle(c *command, result git.RefResult) {
	c.reason = result.Reason
	if result.Rule != "" {
		p.refusals = append(p.refusals, rules.Refusal{Rule: result.Rule, Ref: c.Name, Text: result.Reason})
	}
}

// tellRefusals reports what rules have refused.
func (p *push) tellRefusals(ctx context.Context) {
	if len(p.refusals) > 0 && p.repo.Refused != nil {
		p.repo.Refused(ctx, p.refusals)
	}
}
