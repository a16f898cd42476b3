package revwalk

import (
	"container/heap"

	"github.com/annal-git/annal/domain/git"
)

// queued is a commit that a walk has still to visit.
type queued struct {
	id git.ObjectID
	Commit
}

// queue gives commits newest first; of equal times, those with the smaller id.
type queue struct{ heap commitHeap }

func (q *queue) push(id git.ObjectID, c Commit) { heap.Push(&q.heap, queued{id, c}) }

func (q *queue) pop() queued { return heap.Pop(&q.heap).(queued) }

func (q *queue) peek() queued { return q.heap[0] }

func (q *queue) len() int { return len(q.heap) }

type commitHeap []queued

func (h commitHeap) Len() int { return len(h) }
func (h commitHeap) Less(i, j int) bool {
	if h[i].Time != h[j].Time {
		return h[i].Time > h[j].Time
	}
	return string(h[i].id[:]) < string(h[j].id[:])
}
func (h commitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *commitHeap) Push(x any)   { *h = append(*h, x.(queued)) }
func (h *commitHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
