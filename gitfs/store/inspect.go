package store

import (
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// Inspector looks at the objects of a pack while they are checked, so that none of them
// has to be made a second time for it. Several goroutines ask it at the same time. What it
// thinks of them it tells its owner; Receive goes on.
type Inspector interface {
	// Commit is shown a commit. content is not to be kept or changed.
	Commit(id git.ObjectID, content []byte)
	// Blob is asked for a sink for the content of a blob of so many bytes, nil if it is not
	// to be shown.
	Blob(size int64) BlobSink
}

// BlobSink is written the content of one blob, in pieces that are not to be kept, by one
// goroutine.
type BlobSink interface {
	io.Writer
	// End names the blob once it has been written whole. It is not called if the pack
	// turns out to be no good.
	End(id git.ObjectID)
}

// inspect shows an object that is in memory.
func inspect(i Inspector, id git.ObjectID, typ object.Type, content []byte) {
	switch {
	case i == nil:
	case typ == object.TypeCommit:
		i.Commit(id, content)
	case typ == object.TypeBlob:
		if sink := i.Blob(int64(len(content))); sink != nil {
			_, _ = sink.Write(content) // a sink has no errors of its own
			sink.End(id)
		}
	}
}

// inspectBody shows a blob that may be in a file.
func inspectBody(i Inspector, id git.ObjectID, b *body) error {
	if i == nil {
		return nil
	}
	sink := i.Blob(b.size)
	if sink == nil {
		return nil
	}
	if _, err := io.Copy(sink, b.reader()); err != nil {
		return err
	}
	sink.End(id)
	return nil
}
