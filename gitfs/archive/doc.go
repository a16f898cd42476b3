// Package archive writes the files of a tree as one stream, as git archive does: tar (to
// the byte), tar.gz and zip, with what .gitattributes says about export-ignore,
// export-subst, line ends and ident. Server answers upload-archive, the protocol of
// "git archive --remote".
//
// A file is in memory as a whole only if it is to be changed on its way, and only up to
// MaxConverted bytes; all others are streamed from their packs. What an archive costs ends
// with its context.
package archive
