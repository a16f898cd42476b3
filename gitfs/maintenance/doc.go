// Package maintenance combines the packs of a repository into fewer: each push brings a
// pack, and a look-up must not cost more the more pushes there were.
//
// Choose says what is due. Small packs are rolled up, so that each pack that is left has
// at least twice as many objects as all smaller ones together; when what is not in the
// largest pack has grown large, all are combined anew, into one pack with a bitmap and a commit-graph of
// whatever a ref names or has ever named, and one of the rest. Nothing is dropped: the
// objects of every position of the log stay.
//
// Native git does the work, in a scratch repository in the local home whose packs are
// links to the files that the log lists, and whose refs are written from ours. It sees
// neither the folder of the shared home, which may hold files that nobody has registered,
// nor anything to delete. What it has made is compared with what it was made of, id by
// id, and every entry is read again, before it goes to the shared home.
//
// A new pack counts once the caller has registered it. A crash before that leaves a
// scratch folder, which the next Open removes, and perhaps files on the shared home that
// no repository lists.
package maintenance
