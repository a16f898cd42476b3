package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/lfs"
)

func (a *API) lfsRoutes() []route {
	const enabled = "/rest/git-lfs/admin/projects/{projectKey}/repos/{repositorySlug}/enabled"
	routes := []route{
		{method: http.MethodGet, path: enabled, summary: "Say whether Git LFS is on in a repository: 404 if not", handle: a.handleIsLFSEnabled, variant: true},
		{method: http.MethodPut, path: enabled, summary: "Switch Git LFS on in a repository", handle: a.switchLFS(true), variant: true},
		{method: http.MethodDelete, path: enabled, summary: "Switch Git LFS off in a repository; its objects stay", handle: a.switchLFS(false), variant: true},
	}
	for _, level := range ruleLevels {
		path := annalPath + level.path + "/lfs"
		routes = append(routes,
			route{method: http.MethodGet, path: path, summary: "Get how much Git LFS holds for " + level.of + ", and may", handle: a.getLFS(level), answer: restLFS{}},
			route{method: http.MethodPut, path: path, summary: "Set the quota of Git LFS for " + level.of + ", in bytes; 0 is none", handle: a.setLFSQuota(level), body: lfsQuotaBody{}, answer: restLFS{}})
	}
	return routes
}

type restLFS struct {
	Enabled *bool `json:"enabled,omitempty"` // of a repository
	Quota   int64 `json:"quota"`             // bytes; 0: none
	Objects int64 `json:"objects"`
	Size    int64 `json:"size"` // bytes of the objects, without those that a fork has from its origin
}

type lfsQuotaBody struct {
	Quota *int64 `json:"quota"`
}

// lfsTarget finds the project or repository of the path for one of its administrators.
func (a *API) lfsTarget(c *call, level ruleLevel) (lfs.Target, error) {
	if level.repository {
		found, err := a.repository(c, rights.RepoAdmin)
		return lfs.Target{Repository: found.ID}, err
	}
	found, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), rights.ProjectAdmin)
	return lfs.Target{Project: found.ID}, err
}

func (a *API) answerLFS(c *call, t lfs.Target) error {
	if t.Repository != 0 {
		found, err := a.LFS.Repository(c.ctx(), t.Repository)
		if err != nil {
			return err
		}
		on := !found.Off
		return c.json(http.StatusOK, restLFS{Enabled: &on, Quota: found.Settings.Quota, Objects: found.Objects, Size: found.Used})
	}
	found, err := a.LFS.Project(c.ctx(), t.Project)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, restLFS{Quota: found.Quota, Objects: found.Objects, Size: found.Bytes})
}

func (a *API) getLFS(level ruleLevel) handler {
	return func(c *call) error {
		target, err := a.lfsTarget(c, level)
		if err != nil {
			return err
		}
		return a.answerLFS(c, target)
	}
}

// setLFSQuota is for those who pay for the disks.
func (a *API) setLFSQuota(level ruleLevel) handler {
	return func(c *call) error {
		target, err := a.lfsTarget(c, level)
		if err != nil {
			return err
		}
		if err := a.judge.Global(c.ctx(), c.caller, rights.SysAdmin); err != nil {
			return err
		}
		var body lfsQuotaBody
		if err := c.decode(&body); err != nil {
			return err
		}
		if body.Quota == nil {
			return domain.Invalid("quota", "The quota is required: a number of bytes, or 0 for any.")
		}
		if err := a.changeLFS(c, target, func(s *lfs.Settings) { s.Quota = *body.Quota }); err != nil {
			return err
		}
		return a.answerLFS(c, target)
	}
}

func (a *API) changeLFS(c *call, t lfs.Target, change func(*lfs.Settings)) error {
	return execute(a, c, t.Stream(), lfs.Evolve, func(s lfs.Settings, change func(*lfs.Settings)) ([]domain.Event, error) {
		to := s
		change(&to)
		return lfs.Change(s, t, to)
	}, change)
}

func (a *API) handleIsLFSEnabled(c *call) error {
	repository, err := a.repository(c, rights.RepoRead)
	if err != nil {
		return err
	}
	found, err := a.LFS.Repository(c.ctx(), repository.ID)
	if err != nil {
		return err
	}
	if found.Off {
		return domain.NotFound("lfs", "Git LFS is off in this repository.")
	}
	return c.none()
}

func (a *API) switchLFS(on bool) handler {
	return func(c *call) error {
		repository, err := a.repository(c, rights.RepoAdmin)
		if err != nil {
			return err
		}
		if err := a.changeLFS(c, lfs.Target{Repository: repository.ID}, func(s *lfs.Settings) { s.Off = !on }); err != nil {
			return err
		}
		return c.none()
	}
}
