// Package secrets finds what looks like a secret in text: tokens of well-known services,
// private keys, and what rules of a project or repository add.
//
// Most text holds none, so that what decides the speed is how fast that is known. Every
// built-in rule has keywords that its secrets begin with or are named by; one pass over
// the text skips from one place where a keyword could end to the next (the algorithm of
// Wu and Manber), and only where one stands its rule is asked.
//
// Text is taken in pieces and in bounded memory. Findings name rule and line and never
// hold the secret itself.
package secrets
