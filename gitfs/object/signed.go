package object

import "bytes"

// Signed takes a commit apart into what was signed and the signature, as git
// verify-commit does: the signature is the value of the header gpgsig, and all the rest is
// what it is of. The signature is empty if there is none, or more than one.
func Signed(commit []byte) (payload, signature []byte) {
	rest, signatures := commit, 0
	inside := false // of the header of the signature
	for len(rest) > 0 {
		line, after := cutLine(rest)
		whole := rest[:len(rest)-len(after)]
		rest = after
		if len(line) == 0 {
			payload = append(append(payload, whole...), rest...)
			break
		}
		switch value, begins := bytes.CutPrefix(line, []byte("gpgsig ")); {
		case begins:
			inside = true
			signatures++
			signature = append(append(signature, value...), '\n')
		case inside && line[0] == ' ':
			signature = append(append(signature, line[1:]...), '\n')
		default:
			inside = false
			payload = append(payload, whole...)
		}
	}
	if signatures != 1 {
		return payload, nil
	}
	return payload, signature
}
