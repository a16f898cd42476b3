package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
)

func (a *API) maintenanceRoutes() []route {
	return []route{{
		method: http.MethodPut, path: annalPath + "/node/maintenance",
		summary: "Begin or end maintenance of this node: it says so at /status, and takes no changes until it ends",
		handle:  a.handleSetMaintenance, body: restMaintenance{}, answer: restMaintenance{},
	}}
}

type restMaintenance struct {
	Enabled *bool `json:"enabled"`
}

func (a *API) handleSetMaintenance(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.SysAdmin); err != nil {
		return err
	}
	var body restMaintenance
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.Enabled == nil {
		return domain.Invalid("enabled", "Say whether maintenance shall be on: {\"enabled\": true} or {\"enabled\": false}.")
	}
	a.Log.SetMaintenance(*body.Enabled)
	a.Node.SetMaintenance(*body.Enabled)
	return writeJSON(c, http.StatusOK, body)
}
