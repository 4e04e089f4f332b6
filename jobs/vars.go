package jobs

import (
	"slices"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// variable is one entry of vars. What it may use depends on the stream, so each stream has a view of it.
type variable struct {
	name  engine.Word
	node  *node
	value *engine.Value // not compiled
	used  bool          // by a step of any stream
}

// varView is a variable as one stream sees it.
type varView struct {
	*variable
	value  *engine.Value   // compiled against the stream
	faults engine.Problems // reported where a step uses it
	used   bool            // by a step of the stream
}

// vars reads the names and values of the variables.
func (d *decoder) vars(n *node) []*variable {
	if n == nil || n.faulty {
		return nil
	}
	if n.shape != mapping {
		d.fault(n.pos, "write name: ${{ … }}", "vars is a mapping of names, not %s", n.describe())
		return nil
	}
	values := &stepDecoder{decoder: d}
	vars := make([]*variable, 0, len(n.pairs))
	for _, p := range n.pairs {
		if err := expression.CheckName(p.key.Text); err != nil {
			d.fault(p.key.Pos, "", "variable %v", err)
			continue
		}
		vars = append(vars, &variable{name: p.key, node: p.value, value: values.valueOf(p.value, "variable "+p.key.Text)})
	}
	return vars
}

// openVars compiles the variables against what the stream that begins has. Each sees those above it. What is wrong with
// one counts where a step uses it: a stream may lack the columns of another.
func (s *stepper) openVars() {
	s.views = nil
	for _, v := range s.vars {
		view := &varView{variable: v, value: clone(v.value)}
		trial := &decoder{options: s.options, lines: s.lines, job: s.job, mapsUsed: s.mapsUsed}
		trial.compile(placed{view.value, v.node}, s.streamScope(), "")
		view.faults = trial.problems
		s.views = append(s.views, view)
	}
}

// clone copies a value that is not compiled.
func clone(v *engine.Value) *engine.Value {
	c := *v
	c.List = nil
	for _, entry := range v.List {
		c.List = append(c.List, clone(entry))
	}
	return &c
}

// varTypes are the types of the variables that the stream has so far. Nil: the job has none.
func (s *stepper) varTypes() map[string]expression.Type {
	if len(s.vars) == 0 {
		return nil
	}
	types := make(map[string]expression.Type, len(s.views))
	for _, view := range s.views {
		types[view.name.Text] = view.value.Type()
	}
	return types
}

// useVars gives the stream the variables that an expression uses, and those that they are made of. What is wrong with
// them is reported once.
func (s *stepper) useVars(e engine.Expr) {
	for _, use := range e.Uses() {
		i := slices.IndexFunc(s.views, func(v *varView) bool { return use.Name == "vars" && v.name.Text == use.Member })
		if i < 0 || s.views[i].used {
			continue
		}
		view := s.views[i]
		view.used, view.variable.used = true, true
		for _, fault := range view.faults {
			if !slices.Contains(s.problems, fault) {
				s.problems = append(s.problems, fault)
			}
		}
		s.useVars(view.value)
	}
	if s.stream.Source == nil {
		return // a stream without a beginning, which is reported
	}
	s.stream.Vars = nil
	for _, view := range s.views {
		if view.used {
			s.stream.Vars = append(s.stream.Vars, &engine.Var{Name: view.name, Value: view.value})
		}
	}
}

// closeVars judges the variables that no step uses.
func (s *stepper) closeVars() {
	for _, view := range s.views {
		switch {
		case view.variable.used:
		case len(view.faults) > 0:
			s.problems = append(s.problems, view.faults...)
		default:
			s.warn(view.name.Pos, "", "leave it out, or write vars."+view.name.Text+" in a step", "variable %q is not used", view.name.Text)
		}
	}
}
