package rest

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

func (a *API) logRoutes() []route {
	const path = annalPath + "/log"
	return []route{
		{
			method: http.MethodGet, path: path + "/receipt",
			summary: "Prove that an event is in the signed log, to whoever may read it: one file to keep",
			handle:  a.handleGetReceipt, query: []string{"position"}, answer: tree.Receipt{},
		},
		{
			method: http.MethodGet, path: path + "/checkpoint", summary: "Get the newest signed checkpoint of the log (C2SP tlog-checkpoint)",
			handle: a.handleGetCheckpoint, answer: "",
		},
		{
			method: http.MethodGet, path: path + "/keys", summary: "List the public keys that sign the log, the first one first",
			handle: a.handleGetLogKeys, answer: []tree.SignedKey{},
		},
		{
			method: http.MethodGet, path: path + "/tile/{path}",
			summary: "Get a tile of the log's tree (C2SP tlog-tiles); those with entries are for system administrators",
			handle:  a.handleGetTile, answer: []byte(nil), tail: true,
		},
	}
}

func (a *API) handleGetReceipt(c *call) error {
	position, err := c.position("position")
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	absent := domain.NotFound("event", "There is no event %d that you may read.", position)
	event, found, err := a.Log.ReadEvent(c.ctx(), position)
	if err != nil {
		return err
	}
	if !found {
		return absent
	}
	may, err := a.mayReadEvents(c, []eventstore.Stored{event})
	if err != nil {
		return err
	}
	if !may(event.Stream) {
		return absent
	}
	receipt, err := a.Receipts.Prove(c.ctx(), event)
	var early *tree.NotCoveredError
	if errors.As(err, &early) {
		return &domain.UnavailableError{Message: fmt.Sprintf("Event %d is recorded, but no signed checkpoint covers it yet. Ask again in a second.", position)}
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, receipt)
}

func (a *API) handleGetCheckpoint(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	signed, err := a.Receipts.Checkpoint(c.ctx())
	if err != nil {
		return err
	}
	if signed == "" {
		return &domain.UnavailableError{Message: "Nothing has been signed yet. Ask again in a second."}
	}
	return c.String(http.StatusOK, signed)
}

func (a *API) handleGetLogKeys(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	keys, err := a.Receipts.Keys(c.ctx())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, keys)
}

func (a *API) handleGetTile(c *call) error {
	path, err := tree.ParsePath("tile/" + c.tail())
	need := rights.LicensedUser
	if path.Entries {
		need = rights.SysAdmin
	}
	if err := a.judge.Global(c.ctx(), c.caller, need); err != nil {
		return err
	}
	if err != nil {
		return domain.NotFound("tile", "There is no such tile.")
	}
	data, err := a.Receipts.File(path)
	if err != nil {
		return err
	}
	if path.Width == tree.TileWidth {
		c.Response().Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	return c.Blob(http.StatusOK, "application/octet-stream", data)
}
