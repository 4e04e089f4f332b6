package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

func newPortalCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Check that a portal answers, as whom, and with which rights",
		Example: "  bxflow portal check --portal sandbox",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			return a.withPortal(c.Context(), a.checkPortal)
		},
	}
}

// checkPortal asks who the webhook is and what it may do. A right that jobs
// can't do without is an error, after all has been printed.
func (a *app) checkPortal(ctx context.Context, s *session) error {
	catalog, err := s.Catalog(ctx, engine.Needs{})
	if err != nil {
		return err
	}
	scopes, err := s.scopes(ctx)
	if err != nil {
		return err
	}
	l := checkList(catalog.Portal, s, scopes)
	if a.flags.format == "json" {
		err = l.JSON(a.stdout)
	} else {
		err = l.Sheet(a.stdout, a.terminal(a.stdout))
	}
	if err != nil {
		return err
	}
	if !slices.Contains(scopes, "crm") {
		return errors.New("the webhook lacks the right crm; add it in the portal: Developer resources, Integrations")
	}
	return nil
}

func checkList(p engine.PortalInfo, s *session, scopes []string) report.List {
	limits := s.target.limits
	return report.List{
		Columns: []string{"portal", "id", "user", "user_id", "admin", "scopes", "rate", "burst", "operating", "window", "request"},
		Rows: [][]any{{
			p.Address, p.ID, p.User, p.UserID, p.Admin, strings.Join(scopes, ", "),
			limits.Rate, limits.Burst, shortSpan(limits.Operating), shortSpan(limits.Window), shortSpan(limits.Request),
		}},
	}
}

// shortSpan is a duration without its empty units: 8m, not 8m0s.
func shortSpan(d time.Duration) string {
	text := d.String()
	for _, empty := range []string{"m0s", "h0m"} {
		if short, ok := strings.CutSuffix(text, empty); ok {
			text = short + empty[:1]
		}
	}
	return text
}

// scopes are the rights of the webhook.
func (s *session) scopes(ctx context.Context) ([]string, error) {
	result, err := s.Call(ctx, "scope", nil)
	if err != nil {
		return nil, err
	}
	var scopes []string
	if err := json.Unmarshal(result.Value, &scopes); err != nil {
		return nil, fmt.Errorf("scope: %w", err)
	}
	return scopes, nil
}
