package store

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zlib"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// complete makes a thin pack whole: the objects of the repository that its deltas
// are based on are put behind its entries. A base that the pack turned out to make
// itself is not needed twice.
func (rc *receiver) complete() error {
	t, spool := &rc.table, &rc.q.spool
	missing, err := rc.basesToAppend()
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		var trailer [pack.TrailerSize]byte
		if _, err := spool.ReadAt(trailer[:], spool.size-pack.TrailerSize); err != nil {
			return err
		}
		rc.id = git.ObjectID(trailer)
		return nil
	}
	if err := spool.truncate(spool.size - pack.TrailerSize); err != nil {
		return err
	}
	for _, id := range missing {
		if err := rc.appendBase(id); err != nil {
			return err
		}
	}
	if err := spool.overwrite(pack.AppendHeader(nil, uint32(len(t.entries))), 0); err != nil {
		return err
	}
	sum := sha1.New()
	if _, err := io.Copy(sum, spool.reader()); err != nil {
		return err
	}
	rc.id = git.ObjectID(sum.Sum(nil))
	_, err = spool.Write(rc.id[:])
	return err
}

// basesToAppend returns the bases that only the repository has. Deltas against the
// others get their base in the pack.
func (rc *receiver) basesToAppend() (missing []git.ObjectID, err error) {
	changed := false
	for _, id := range rc.resolver.thin {
		entry := none
		if node, ok := rc.links.nodes[id]; ok {
			entry = rc.links.entry[node]
		}
		if entry == none {
			missing = append(missing, id)
			continue
		}
		changed = true
		from, to := rc.table.refsOf(id)
		for _, ref := range rc.table.refs[from:to] {
			rc.table.entries[ref.entry].base = entry
		}
	}
	slices.SortFunc(missing, func(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	if changed {
		err = rc.table.checkDepth(rc.limits.DeltaDepth)
	}
	return missing, err
}

// appendBase writes one object of the repository: its stored bytes if it is stored
// whole, for they are good already, else deflated fast, for maintenance will find
// it a better form.
func (rc *receiver) appendBase(id git.ObjectID) error {
	base, spool := rc.q.base, &rc.q.spool
	p, pos, ok := base.Find(id)
	if !ok {
		return ErrNotFound
	}
	from, err := p.Entry(rc.ctx, pos)
	if err != nil {
		return err
	}
	e := received{offset: spool.size, id: id, base: none, kind: from.Kind, size: from.Size, appended: true}
	sum := crc32.NewIEEE()
	out := io.MultiWriter(spool, sum)
	if !from.Kind.IsDelta() {
		if _, err := out.Write(pack.AppendEntryHeader(nil, from)); err != nil {
			return err
		}
		if err := p.CopyStored(rc.ctx, out, from.DataOffset, from.End); err != nil {
			return err
		}
	} else {
		typ, size, r, err := base.Open(rc.ctx, id)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		e.kind, e.size = pack.Kind(typ), size
		if _, err := out.Write(pack.AppendEntryHeader(nil, pack.Entry{Kind: e.kind, Size: size})); err != nil {
			return err
		}
		zw := fastDeflaters.Get().(*zlib.Writer)
		defer func() {
			zw.Reset(io.Discard) // and not what is in quarantine
			fastDeflaters.Put(zw)
		}()
		zw.Reset(out)
		if _, err := io.Copy(zw, r); err != nil {
			return err
		}
		if err := zw.Close(); err != nil {
			return err
		}
	}
	if spool.size > rc.limits.PackBytes {
		return &LimitError{What: "pack with the bases of its deltas", Limit: rc.limits.PackBytes, Unit: "bytes"}
	}
	e.end, e.crc = spool.size, sum.Sum32()
	rc.table.add(e)
	return nil
}

// fastDeflaters are used again: a new one takes a megabyte, and most pushes need a few.
var fastDeflaters = sync.Pool{New: func() any {
	zw, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // fails only for a level that there is not
	return zw
}}

// checkSpecialFiles looks into the files that Git itself reads.
func (rc *receiver) checkSpecialFiles() error {
	view := rc.q.view
	ids := make([]git.ObjectID, 0, len(rc.links.special))
	for id := range rc.links.special {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		special := rc.links.special[id]
		if special&object.Gitmodules != 0 {
			_, data, err := view.Read(rc.ctx, id)
			var tooLarge *TooLargeError
			if errors.As(err, &tooLarge) || len(data) > object.MaxGitmodules {
				return &object.CheckError{ID: id, Type: object.TypeBlob, Kind: "gitmodulesLarge", Detail: ".gitmodules is too large to be parsed"}
			}
			if err != nil {
				return err
			}
			if err := object.CheckGitmodules(id, data); err != nil {
				return err
			}
		}
		if special&object.Gitattributes != 0 {
			if err := rc.checkGitattributes(id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (rc *receiver) checkGitattributes(id git.ObjectID) error {
	_, size, r, err := rc.q.view.Open(rc.ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return object.CheckGitattributes(id, size, r)
}
