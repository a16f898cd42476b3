// Package packer writes packs for others to read, out of the packs of a
// repository. What is stored is copied as it is wherever it can be: deltas keep
// their form when their base goes out before them or is known to the reader, and
// only what has lost its base is inflated and deflated again. No new deltas are
// searched for.
package packer
