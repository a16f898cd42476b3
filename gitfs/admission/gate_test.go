package admission_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/admission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoMoreThanAllowedAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := admission.Config{Running: rapid.IntRange(1, 5).Draw(t, "running"), PerUser: rapid.IntRange(1, 3).Draw(t, "per user"), Waiting: 100}
		g := admission.New(config)
		users := make([]atomic.Int64, 4)
		var all atomic.Int64
		var wg sync.WaitGroup
		for i := range rapid.IntRange(1, 60).Draw(t, "requests") {
			user := rapid.IntRange(0, len(users)-1).Draw(t, "user")
			gone := rapid.IntRange(0, 9).Draw(t, "gone") == 0
			wg.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if gone {
					cancel()
				}
				leave, err := g.Enter(ctx, fmt.Sprint(user))
				if err != nil {
					if !gone || !errors.Is(err, context.Canceled) {
						t.Errorf("request %d: %v", i, err)
					}
					return
				}
				if n := all.Add(1); n > int64(config.Running) {
					t.Errorf("%d at a time, %d allowed", n, config.Running)
				}
				if n := users[user].Add(1); n > int64(config.PerUser) {
					t.Errorf("%d of one user at a time, %d allowed", n, config.PerUser)
				}
				users[user].Add(-1)
				all.Add(-1)
				leave()
				leave()
			})
		}
		wg.Wait()
		running, waiting := g.Load()
		if running != 0 || waiting != 0 {
			t.Errorf("%d running and %d waiting are left", running, waiting)
		}
	})
}

// One user's storm costs another user's request no more than the next free place.
func TestOthersAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New(admission.Config{Running: 2, PerUser: 2})
		inside, err := g.Enter(t.Context(), "storm")
		require.NoError(t, err)
		second, err := g.Enter(t.Context(), "storm")
		require.NoError(t, err)
		var order []string
		var mu sync.Mutex
		enter := func(name string) {
			leave, err := g.Enter(t.Context(), name)
			require.NoError(t, err)
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
			leave()
		}
		for range 50 {
			go enter("storm")
		}
		synctest.Wait()
		go enter("somebody")
		synctest.Wait()
		inside()
		synctest.Wait()
		require.Equal(t, "somebody", order[0])
		second()
		synctest.Wait()
		require.Len(t, order, 51)
	})
}

func TestFullQueueAndPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.New(admission.Config{Running: 1, Waiting: 1, Patience: 30 * time.Second})
		leave, err := g.Enter(t.Context(), "a")
		require.NoError(t, err)
		waited := make(chan error)
		go func() {
			_, err := g.Enter(t.Context(), "b")
			waited <- err
		}()
		synctest.Wait()
		_, err = g.Enter(t.Context(), "c")
		var busy *admission.BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, "the server is busy: 1 requests are waiting already; try again in 10 seconds", err.Error())
		require.ErrorAs(t, <-waited, &busy)
		require.Contains(t, busy.Limit, "30s")
		leave()
		leave, err = g.Enter(t.Context(), "c")
		require.NoError(t, err)
		leave()
	})
}
