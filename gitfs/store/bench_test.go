package store_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/store"
)

// BenchmarkSmallPush is the part of a push of one commit that is the store's: receiving and
// publishing a pack of three objects into a repository of many packs.
func BenchmarkSmallPush(b *testing.B) {
	for _, publish := range []bool{false, true} {
		b.Run(fmt.Sprintf("publish=%t", publish), func(b *testing.B) {
			s, _ := open(b)
			f := forge(b)
			f.blob("first")
			packs := push(b, s, nil, f.bytes())
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				f := forge(b)
				f.tree(treeEntry("100644", "a", f.blob(fmt.Sprint("blob ", i))))
				packed := f.bytes()
				b.StartTimer()
				q, err := s.Receive(b.Context(), storage, pin(b, s, packs...), bytes.NewReader(packed), store.ReceiveOptions{ToEnd: true})
				if err != nil {
					b.Fatal(err)
				}
				if publish {
					if err := q.Publish(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				if err := q.Discard(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReceive takes in a whole history.
func BenchmarkReceive(b *testing.B) {
	packed := packObjects(b, gitfstest.Bundle(b, "go-git.bundle"), "HEAD\n")
	s, _ := open(b)
	b.SetBytes(int64(len(packed)))
	b.ReportAllocs()
	for b.Loop() {
		q, err := s.Receive(b.Context(), storage, nil, bytes.NewReader(packed), store.ReceiveOptions{ToEnd: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Discard(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFind looks up objects that are there and such as are not, in a repository of
// one large pack and many small ones.
func BenchmarkFind(b *testing.B) {
	for _, count := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s, _ := open(b)
			var packs []git.Pack
			for i := range count {
				f := forge(b)
				for j := range 3 {
					f.blob(fmt.Sprint(i, " ", j))
				}
				packs = push(b, s, packs, f.bytes())
			}
			o := pin(b, s, packs...)
			there := o.Packs()[count/2].Index().ID(0)
			missing := git.ObjectID{1, 2, 3}
			for b.Loop() {
				if !o.Has(there) || o.Has(missing) {
					b.Fatal("wrong")
				}
			}
		})
	}
}
