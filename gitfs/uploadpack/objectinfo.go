package uploadpack

import (
	"context"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/protocol"
)

// objectInfo answers the command object-info: the sizes of objects.
func (c *conversation) objectInfo(ctx context.Context, args *arguments) error {
	size := false
	var ids []git.ObjectID
	for {
		line, ok, err := args.line()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		key, value, _ := strings.Cut(line, " ")
		switch {
		case line == "size":
			size = true
		case key == "oid":
			id, err := protocol.ParseID(value)
			if err != nil {
				return err
			}
			if len(ids) >= c.config.MaxWants {
				return protocol.Refuse("more than %d objects in one request", c.config.MaxWants)
			}
			ids = append(ids, id)
		default:
			return protocol.Refuse("object-info: unexpected line: %q", protocol.Clip(line))
		}
	}
	if len(ids) == 0 {
		return c.lines.Flush()
	}
	if err := c.checkVisible(ctx, ids); err != nil {
		return err
	}
	if size {
		_ = c.lines.Printf("size\n")
	}
	for _, id := range ids {
		if !size {
			_ = c.lines.Printf("%s\n", id)
			continue
		}
		_, n, err := c.repo.Objects.Header(ctx, id)
		if err != nil {
			return err
		}
		_ = c.lines.Printf("%s %d\n", id, n)
	}
	return c.lines.Flush()
}
