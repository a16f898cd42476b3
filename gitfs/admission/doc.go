// Package admission decides how many expensive requests a node works on at a time, whose
// turn is next, and who is asked to come back later. A storm of clones queues instead of
// taking all memory, and nobody's storm keeps others out.
package admission
