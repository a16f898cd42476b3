package receivepack

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/gitfs/inspect"
	"github.com/annal-git/annal/gitfs/store"
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

// inspector looks at what the push brings, nil if nothing is demanded of it.
func (p *push) inspector(ctx context.Context) (*inspect.Inspector, error) {
	content := p.demanded.Content()
	if content.None() {
		return nil, nil
	}
	return inspect.New(ctx, content, p.pusher, p.server.config.Keys)
}

// judgeContent refuses every ref but deletions if something is wrong with what came with
// the push: none of it may get into the repository, where any later push could name it.
func (p *push) judgeContent(ctx context.Context, i *inspect.Inspector, q *store.Quarantine, base *store.Objects) error {
	var moves []*command
	var tips []inspect.Tip
	for _, c := range p.pending() {
		if !c.IsDelete() {
			moves, tips = append(moves, c), append(tips, inspect.Tip{Ref: c.Name, ID: c.New})
		}
	}
	refusals, err := i.Finish(ctx, q, base, tips)
	if err != nil || len(refusals) == 0 {
		return err
	}
	first := map[string]*rules.Refusal{}
	for n, r := range refusals {
		p.warn(oneLine("refused by push rule " + r.Rule + ": " + r.Ref + ": " + r.Text))
		if first[r.Ref] == nil {
			first[r.Ref] = &refusals[n]
		}
	}
	for _, c := range moves {
		if r := first[c.Name]; r != nil {
			c.reason = "push rule " + r.Rule + ": " + r.Text
		} else {
			c.reason = reasonCompany
		}
	}
	p.refusals = append(p.refusals, refusals...)
	p.settleAtomic()
	return nil
}

const reasonCompany = "not moved, because something else in this push breaks a push rule; push this ref alone"

// tellRefusals reports what rules have refused.
func (p *push) tellRefusals(ctx context.Context) {
	if len(p.refusals) > 0 && p.repo.Refused != nil {
		p.repo.Refused(ctx, p.refusals)
	}
}
