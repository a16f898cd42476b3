package rest

import (
	"net/http"
	"strconv"
)

func (a *API) propertyRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: apiPath + "/application-properties", summary: "What this server is",
			handle: a.handleGetProperties, answer: restProperties{},
		},
		{
			method: http.MethodGet, path: "/plugins/servlet/applinks/whoami", summary: "The caller's user name, as plain text",
			handle: a.handleWhoAmI, answer: "",
		},
	}
}

type restProperties struct {
	Version     string `json:"version"`
	BuildNumber string `json:"buildNumber"`
	BuildDate   string `json:"buildDate"` // epoch milliseconds
	DisplayName string `json:"displayName"`
}

// handleGetProperties asks nobody who he is: clients begin with it.
func (a *API) handleGetProperties(c *call) error {
	return c.json(http.StatusOK, restProperties{
		Version: a.Version, BuildNumber: a.BuildNumber, DisplayName: a.DisplayName,
		BuildDate: strconv.FormatInt(a.BuildDate.UnixMilli(), 10),
	})
}

func (a *API) handleWhoAmI(c *call) error {
	return c.Blob(http.StatusOK, "text/plain;charset=UTF-8", []byte(c.caller.User.Name))
}
