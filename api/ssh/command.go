package ssh

import (
	"errors"
	"strings"
)

// maxCommand bounds the line of an exec request, in bytes.
const maxCommand = 4 << 10

var errCommand = errors.New("the command cannot be understood")

// parseCommand reads a command with its arguments as git writes it: words, quoted as a shell
// would read them back. Everything that means something else to a shell is refused unless it
// is quoted, and so are options. "git upload-pack" is git-upload-pack.
func parseCommand(line string) (name string, arguments []string, err error) {
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return "", nil, errCommand
	}
	if words[0] == "git" && len(words) > 1 {
		words = append([]string{"git-" + words[1]}, words[2:]...)
	}
	for _, word := range words {
		if word == "" || word[0] == '-' {
			return "", nil, errCommand
		}
	}
	return words[0], words[1:], nil
}

// split makes words of a line.
func split(line string) ([]string, error) {
	if len(line) > maxCommand {
		return nil, errCommand
	}
	var words []string
	var word strings.Builder
	var quote byte // that is open, 0 if none
	begun := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c < ' ' || c == 0x7f:
			return nil, errCommand
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			word.WriteByte(c)
		case c == '\\':
			if i++; i == len(line) || line[i] < ' ' || line[i] == 0x7f {
				return nil, errCommand
			}
			word.WriteByte(line[i])
			begun = true
		case quote == '"':
			if c == '$' || c == '`' {
				return nil, errCommand
			}
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ' ':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case strings.IndexByte("|&;<>()$`*?[]#{}!^=", c) >= 0:
			return nil, errCommand
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errCommand
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
