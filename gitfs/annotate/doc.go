// Package annotate makes annotated tags, which nobody has pushed.
package annotate
