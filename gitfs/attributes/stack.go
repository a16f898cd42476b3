package attributes

import "strings"

// Stack is the files of attributes that speak of what is in one folder: its own and those
// of the folders above. A Stack is not changed once made.
type Stack struct {
	parent *Stack
	file   *File  // nil if the folder has none
	prefix string // path of the folder with a slash at its end, "" for the top
	macros map[string][]setting
}

// builtin is the macro that needs no definition.
var builtin = map[string][]setting{"binary": {{"binary", True}, {"diff", False}, {"merge", False}, {"text", False}}}

// NewStack begins a stack with the file at the top of a tree, which may be nil.
func NewStack(file *File) *Stack {
	s := &Stack{file: file, macros: builtin}
	if file == nil {
		return s
	}
	for _, r := range file.rules {
		if !r.macro {
			continue
		}
		if len(s.macros) == len(builtin) {
			s.macros = map[string][]setting{"binary": builtin["binary"]}
		}
		s.macros[r.pattern] = append([]setting{{r.pattern, True}}, r.settings...)
	}
	return s
}

// Enter is the stack for a folder below; file is nil if it has none of its own.
func (s *Stack) Enter(folder string, file *File) *Stack {
	return &Stack{parent: s, file: file, prefix: s.prefix + folder + "/", macros: s.macros}
}

// Of says what the attributes named are for the entry of a name in the stack's folder.
func (s *Stack) Of(name string, folder bool, attributes ...string) []Value {
	l := lookup{values: map[string]Value{}, macros: s.macros}
	path := s.prefix + name
	for level := s; level != nil; level = level.parent {
		if level.file == nil {
			continue
		}
		below := strings.TrimPrefix(path, level.prefix)
		for i := len(level.file.rules) - 1; i >= 0; i-- {
			if r := &level.file.rules[i]; r.matches(below, folder) {
				l.take(r.settings, 0)
			}
		}
	}
	found := make([]Value, len(attributes))
	for i, attribute := range attributes {
		found[i] = l.values[attribute]
	}
	return found
}

// lookup collects what is said of a path; what is said first counts.
type lookup struct {
	values map[string]Value
	macros map[string][]setting
}

// maxMacros bounds how deep macros name each other.
const maxMacros = 16

func (l *lookup) take(settings []setting, depth int) {
	for i := len(settings) - 1; i >= 0; i-- {
		s := settings[i]
		if _, said := l.values[s.name]; said {
			continue
		}
		l.values[s.name] = s.value
		if macro, ok := l.macros[s.name]; ok && s.value == True && depth < maxMacros {
			l.take(macro, depth+1)
		}
	}
}
