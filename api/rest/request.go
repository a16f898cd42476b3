package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/annal-git/annal/domain"
)

// Limits of what a client may send.
const (
	maxBody  = 10 << 20 // bytes of JSON
	maxDepth = 64       // levels of JSON
)

// decode reads a JSON body into v. What does not fit is a *domain.InvalidError that
// names the field.
func (c *call) decode(v any) error { return c.decodeAs("application/json", v) }

// decodeAs is decode for JSON of a media type of its own.
func (c *call) decodeAs(expected string, v any) error {
	r := c.Request()
	if kind := r.Header.Get("Content-Type"); kind != "" {
		// A page of another site can send forms and plain text without asking, JSON not.
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != expected {
			return &statusError{status: http.StatusUnsupportedMediaType, message: "HTTP 415 Unsupported Media Type"}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &statusError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("The request body is limited to %d bytes.", maxBody)}
	}
	if err != nil {
		return domain.Invalid("", "The request body could not be read.")
	}
	if err := checkJSON(body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return domain.Invalid(wrong.Field, "%s cannot be a %s.", fieldName(wrong.Field), strings.Fields(wrong.Value)[0])
		}
		return domain.Invalid("", "The request body is not what is expected here.")
	}
	return nil
}

func fieldName(field string) string {
	if field == "" {
		return "The request body"
	}
	return fmt.Sprintf("The field %q", field)
}

// checkJSON refuses what encoding/json lets through and readers disagree about:
// text that is not UTF-8, NUL, deep nesting and a name given twice in an object.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return domain.Invalid("", "The request body is not valid UTF-8.")
	}
	type level struct {
		names map[string]bool // nil in an array
		name  string          // the one whose value comes next; "" before a name
		value bool
	}
	var stack []level
	path := func() string {
		var names []string
		for _, l := range stack {
			if l.name != "" {
				names = append(names, l.name)
			}
		}
		return strings.Join(names, ".")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	seen := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && seen && len(stack) == 0 {
			return nil
		}
		if err != nil {
			return domain.Invalid(path(), "The request body is not valid JSON.")
		}
		if seen && len(stack) == 0 {
			return domain.Invalid("", "The request body holds more than one JSON value.")
		}
		seen = true
		if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
			return domain.Invalid(path(), "%s contains the character U+0000, which is not allowed.", fieldName(path()))
		}
		if top := len(stack) - 1; top >= 0 && stack[top].names != nil && !stack[top].value {
			if name, ok := token.(string); ok {
				if stack[top].names[name] {
					return domain.Invalid(name, "The field %q is given twice.", name)
				}
				stack[top].names[name] = true
				stack[top].name, stack[top].value = name, true
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			fallthrough
		default:
			if top := len(stack) - 1; top >= 0 {
				stack[top].name, stack[top].value = "", false
			}
		}
		if len(stack) > maxDepth {
			return domain.Invalid(path(), "The request body is nested more than %d levels deep.", maxDepth)
		}
	}
}

// flag reads a query parameter that is true, false or absent.
func (c *call) flag(name string, absent bool) (bool, error) {
	text := c.QueryParam(name)
	if text == "" {
		return absent, nil
	}
	value, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, domain.Invalid(name, "The parameter %q must be true or false.", name)
	}
	return value, nil
}

// choice reads a query parameter that is one of a few words in any case, which are
// given in upper case; absent is returned if it is not there.
func (c *call) choice(name, absent string, words ...string) (string, error) {
	text := c.QueryParam(name)
	if text == "" {
		return absent, nil
	}
	for _, word := range words {
		if strings.EqualFold(word, text) {
			return word, nil
		}
	}
	return "", domain.Invalid(name, "The parameter %q must be one of %s.", name, strings.Join(words, ", "))
}
