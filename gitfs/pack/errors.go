package pack

import "fmt"

// CorruptError says that bytes are not what the format asks for. Reason is shown
// to people who push.
type CorruptError struct {
	Reason string
}

func (e *CorruptError) Error() string { return "corrupt pack: " + e.Reason }

func corrupt(format string, args ...any) error {
	return &CorruptError{Reason: fmt.Sprintf(format, args...)}
}
