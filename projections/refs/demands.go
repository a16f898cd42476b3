package refs

import (
	"context"
	"sync/atomic"

	"github.com/annal-git/annal/domain/rules"
	ruled "github.com/annal-git/annal/projections/rules"
)

// demands remembers what is made of the rules of a repository and of its project. Snapshots
// with the same rules of their own share it.
type demands struct{ last atomic.Pointer[combination] }

// combination is what a project's rules make of those of a repository.
type combination struct {
	project   *rules.State
	effective *rules.Effective
}

// demanded is what is demanded of pushes to the repository, nil for nothing.
func (s *Snapshot) demanded(of *ruled.OfProject) *rules.Effective {
	if of.State == nil && s.rules == nil {
		return nil
	}
	last := s.demands.last.Load()
	if last == nil || last.project != of.State {
		last = &combination{of.State, rules.Combine(of.State, s.rules)}
		s.demands.last.Store(last)
	}
	return last.effective
}

func (s *Snapshot) ownRules() rules.State {
	if s.rules == nil {
		return rules.State{}
	}
	return *s.rules
}

func (s *Snapshot) rulesBytes() int64 {
	if s.rules == nil {
		return 0
	}
	return 2 * s.rules.Bytes() // with what is made of them
}

func (s *Snapshot) setRules(state rules.State) { s.rules, s.demands = &state, &demands{} }

// Demanded is what is demanded of pushes to a repository, nil for nothing: by the rules of
// its snapshot and by those that its project has had since that was read, or newer ones.
func (r *Reader) Demanded(ctx context.Context, s *Snapshot) (*rules.Effective, error) {
	of, err := r.projects.Get(ctx, s.project)
	if err != nil {
		return nil, err
	}
	return s.demanded(of), nil
}
