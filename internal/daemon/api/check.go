package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/daemon/damage"
)

// Brig's own: what is wrong in the engine's directories (GET), and mended (POST). With contents=1 every object of the
// store is read.
func (s *Server) checkRoutes(mux *http.ServeMux) {
	mux.Handle("GET /brig/check", handler(s.check))
	mux.Handle("POST /brig/check", handler(s.check))
	mux.Handle("POST /brig/policy/check", handler(s.policyCheck))
	mux.Handle("GET /brig/policy", handler(s.policyShow))
}

// secondLook is how long after a first look the second one is taken: what was under way is done by then.
const secondLook = 300 * time.Millisecond

func (s *Server) check(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	report, err := s.look(ctx, boolParam(r, "contents"))
	if err == nil && len(report.Damages) > 0 {
		first := report.Damages
		time.Sleep(secondLook)
		report, err = s.look(ctx, report.Contents)
		report.Damages = damage.Both(first, report.Damages)
	}
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		damage.Repair(context.WithoutCancel(ctx), report.Damages)
	}
	WriteJSON(w, http.StatusOK, report)
	return nil
}

// look asks everybody who keeps something.
func (s *Server) look(ctx context.Context, contents bool) (damage.Report, error) {
	report := damage.Report{Checked: map[string]int{}, Damages: []damage.Damage{}, Contents: contents}
	for _, of := range []struct {
		kind string
		look func() ([]damage.Damage, int, error)
	}{
		{"images", func() ([]damage.Damage, int, error) { return s.ImageCheck(ctx, contents) }},
		{"volumes", func() ([]damage.Damage, int, error) { return s.Volumes.Check(ctx) }},
		{"networks", s.Networks.Check},
		{"containers", func() ([]damage.Damage, int, error) { return s.Engine.Check(ctx) }},
	} {
		found, n, err := of.look()
		if err != nil {
			return report, err
		}
		slices.SortStableFunc(found, func(a, b damage.Damage) int { return strings.Compare(a.Kind+a.Object+a.What, b.Kind+b.Object+b.What) })
		report.Checked[of.kind] = n
		report.Damages = append(report.Damages, found...)
	}
	return report, nil
}

// verdict is what would become of a request to create a container.
type verdict struct {
	Allowed  bool
	Level    string `json:",omitempty"` // that is in effect
	Refusals []refused
	Granted  []granted // what the administrator's policy gives of it
	Warnings []string
}

type granted struct {
	Rule string // as policy.toml has it
	Line int    // of policy.toml; 0: the policy where none was applied
}

type refused struct {
	Option string
	Value  string `json:",omitempty"`
	Reason string
	Allow  string `json:",omitempty"` // what would be allowed, or who could allow it
	Status int    // that the request to create would be answered with
}

// policyCheck answers the body and the query of a request to create a container, and creates none.
func (s *Server) policyCheck(w http.ResponseWriter, r *http.Request) error {
	req, err := createRequest(w, r)
	if err != nil {
		return err
	}
	refusals, eff, err := s.Engine.Refusals(req)
	if err != nil {
		return err
	}
	v := verdict{Allowed: len(refusals) == 0, Level: string(eff.Level), Refusals: []refused{}, Granted: []granted{},
		Warnings: append([]string{}, eff.Warnings...)}
	for _, g := range eff.Granted {
		v.Granted = append(v.Granted, granted{g.Need, g.Line})
	}
	for _, x := range refusals {
		v.Refusals = append(v.Refusals, refused{x.Option, x.Value, x.Reason, x.Allow, status(x.Class)})
	}
	WriteJSON(w, http.StatusOK, v)
	return nil
}

// policyShow answers with the administrator's policy as it is in force.
func (s *Server) policyShow(w http.ResponseWriter, _ *http.Request) error {
	p, err := s.Engine.Policy()
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, p)
	return nil
}
