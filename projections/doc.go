// Package projections is the frame of the read models, which have a package each
// below it: it moves a projection by a page of the log together with its checkpoint,
// sets events aside that a projection cannot apply, and rebuilds or verifies a
// projection from the log while the site runs.
//
// There are two kinds. Inline projections (refs, catalog, access) move in the
// transaction that appends the event. Asynchronous ones (activity, reposearch)
// follow the log with a checkpoint of their own. Both have the same shape, so the
// same code rebuilds them.
package projections
