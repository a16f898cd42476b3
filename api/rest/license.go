package rest

import (
	"math"
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) licenseRoutes() []route {
	return []route{{
		method: http.MethodGet, path: apiPath + "/admin/license", summary: "How many users may log in, and how many can",
		handle: a.handleGetLicense, answer: restLicense{},
	}}
}

// restLicense has Bitbucket's shape, for the scripts that watch it. There is nothing to buy:
// the seats are what the operator says they are, for ever.
type restLicense struct {
	MaximumNumberOfUsers     int           `json:"maximumNumberOfUsers"`
	UnlimitedNumberOfUsers   bool          `json:"unlimitedNumberOfUsers"`
	NumberOfDaysBeforeExpiry int           `json:"numberOfDaysBeforeExpiry"`
	DaysBeforeExpiry         int           `json:"daysBeforeExpiry"`
	ServerID                 string        `json:"serverId"`
	Status                   licenseStatus `json:"status"`
}

type licenseStatus struct {
	ServerID             string `json:"serverId"`
	CurrentNumberOfUsers int    `json:"currentNumberOfUsers"`
}

func (a *API) handleGetLicense(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	seats, err := a.Users.Seats(c.ctx())
	if err != nil {
		return err
	}
	license := restLicense{
		MaximumNumberOfUsers: a.LicensedUsers, UnlimitedNumberOfUsers: a.LicensedUsers == 0,
		NumberOfDaysBeforeExpiry: math.MaxInt32, DaysBeforeExpiry: math.MaxInt32,
		ServerID: a.ServerID, Status: licenseStatus{ServerID: a.ServerID, CurrentNumberOfUsers: seats},
	}
	if license.UnlimitedNumberOfUsers {
		license.MaximumNumberOfUsers = -1
	}
	return c.json(http.StatusOK, license)
}

// seated refuses to let users and members of groups log in for whom there are no seats.
// Requests at the same moment may exceed them by what each of them adds.
func (a *API) seated(c *call, users []domain.UserID, groups []domain.GroupID) error {
	if a.LicensedUsers == 0 {
		return nil
	}
	more, err := a.Users.Unseated(c.ctx(), users, groups)
	if err != nil {
		return err
	}
	return a.seatsFor(c, more)
}

// seatedBy is seated for those who become members of a group, if that lets them log in.
func (a *API) seatedBy(c *call, g access.Group, users []domain.UserID, groups []domain.GroupID) error {
	gives, err := a.Users.HeldByGroup(c.ctx(), g.ID)
	if err != nil || len(gives) == 0 {
		return err
	}
	return a.seated(c, users, groups)
}

// seatsFor refuses to let so many more users log in than there are seats.
func (a *API) seatsFor(c *call, more int) error {
	if a.LicensedUsers == 0 || more == 0 {
		return nil
	}
	seats, err := a.Users.Seats(c.ctx())
	if err != nil {
		return err
	}
	if seats+more > a.LicensedUsers {
		return forbidden("There are no seats left: more users would be able to log in than are licensed. Deactivate some, or have the operator raise licensed-users.")
	}
	return nil
}
