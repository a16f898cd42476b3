// Package maintenance keeps the packs of all repositories few and the shared home free of
// what nobody needs.
//
// # Who works
//
// Repositories are dealt out to leases, by their number, so that over all nodes one works
// on a repository at a time. The lease only saves work: what a job has made is registered
// by a claim that is decided on the newest state of the repository's stream, so two that
// work at once do no harm, and a push is never in the way.
//
// # How a file goes
//
// A pack that the repository does not list was superseded, or no event ever named it,
// because a push was refused or its node died. Either way its files go like this, and
// each step can be repeated:
//
//  1. It is noted when it was first seen not to be listed, by the clock of the database.
//  2. After a day, or for what was never listed after two, all nodes are asked, and each
//     answers once it has closed the pack.
//  3. The files are moved to the trash of the repository.
//  4. The log is asked to say that they are gone. It does not for a pack that is listed
//     after all, since a push of the same objects may have found its file and kept it:
//     then the files are moved back.
//  5. A day later the trash is emptied.
//
// A push that found the file before step 3 and comes to the log after step 4 is told by
// the log to look again (repository.PacksRemovedError). So no step rests on how long
// anything takes.
package maintenance
