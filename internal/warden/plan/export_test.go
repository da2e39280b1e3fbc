package plan

import "github.com/brig-engine/brig/internal/kernel/clone"

// Lower makes the program of a plan and tells which descriptors it wants.
func (p *Plan) Lower() (*clone.Program, []string, error) {
	l, err := p.Link()
	if err != nil {
		return nil, nil, err
	}
	return l.Program, l.Inputs, nil
}
