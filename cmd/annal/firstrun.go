package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/setup"
	"github.com/annal-git/annal/api/status"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

// administratorName is that of the administrator whose password is given at start.
const administratorName = "admin"

// firstRun makes the administrator if a password was given, or prepares the set-up
// link. link is empty once there is an administrator.
func firstRun(ctx context.Context, s *settings, log *eventstore.Log, users *access.Reader, hash *credentials.Authenticator) (token string, err error) {
	has, err := users.HasAdministrator(ctx)
	if err != nil || has {
		return "", err
	}
	password, err := s.adminPassword()
	if err != nil {
		return "", err
	}
	if password == "" {
		return rand.Text(), nil
	}
	err = setup.Create(ctx, log, hash, setup.Administrator{Name: administratorName, DisplayName: "Administrator", Password: password}, domain.Metadata{Auth: "setup"})
	var conflict *domain.ConflictError
	if errors.As(err, &conflict) {
		return "", nil // another node was first
	}
	return "", err
}

// adminPassword is what the file or the environment says.
func (s *settings) adminPassword() (string, error) {
	if s.AdminPasswordFile == "" {
		return os.Getenv("ANNAL_ADMIN_PASSWORD"), nil
	}
	text, err := os.ReadFile(s.AdminPasswordFile)
	if err != nil {
		return "", fmt.Errorf("admin-password-file: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", &settingError{"admin-password-file", s.AdminPasswordFile, "the file must hold the password"}
	}
	return password, nil
}

// setupPart mounts the set-up and notices when it has been used.
type setupPart struct {
	handler *setup.Handler
	users   *access.Reader
	state   *status.Node
}

func (p setupPart) Mount(e *echo.Echo) {
	e.Any("/setup", func(c echo.Context) error {
		p.handler.ServeHTTP(c.Response(), c.Request())
		if has, err := p.users.HasAdministrator(c.Request().Context()); err == nil && has {
			p.state.Configured()
		}
		return nil
	})
}
