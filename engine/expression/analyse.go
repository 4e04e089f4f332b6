package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// analysis walks a syntax tree before its types are checked. It finds every name that the scope does not have, all at
// once and with the nearest that it has, and collects the members that are used.
type analysis struct {
	source excerpt
	scope  Scope
	table  map[string]function

	locals   []string // names bound by `let` around the present node
	depth    int      // predicates around the present node
	uses     []Use
	usesNow  bool
	problems Errors
}

// fault records a problem at a node.
func (a *analysis) fault(at ast.Node, hint, format string, args ...any) {
	a.problems = append(a.problems, a.source.fault(at.Location().From, hint, format, args...))
}

// root analyses a whole expression.
func (a *analysis) root(node ast.Node) {
	if use, ok := a.memberOf(node); ok && use.Member == "id" && a.scope.Planned[use.Name] {
		a.uses = append(a.uses, use)
		return
	}
	a.visit(node)
}

// visit analyses a node and everything below it.
func (a *analysis) visit(node ast.Node) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		a.identifier(n)
	case *ast.MemberNode:
		a.member(n)
	case *ast.CallNode:
		a.call(n)
	case *ast.BuiltinNode:
		a.builtin(n)
	case *ast.BinaryNode:
		if n.Operator == ".." {
			a.rangeOf(n)
		}
		a.all(n.Left, n.Right)
	case *ast.VariableDeclaratorNode:
		a.visit(n.Value)
		a.locals = append(a.locals, n.Name)
		a.visit(n.Expr)
		a.locals = a.locals[:len(a.locals)-1]
	default:
		a.all(children(node)...)
	}
}

// all analyses several nodes.
func (a *analysis) all(nodes ...ast.Node) {
	for _, n := range nodes {
		if n != nil {
			a.visit(n)
		}
	}
}

// children lists the nodes below one that binds no name and has no rule of its own.
func children(node ast.Node) []ast.Node {
	switch n := node.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.SliceNode:
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

// identifier analyses a name that stands by itself.
func (a *analysis) identifier(n *ast.IdentifierNode) {
	name := n.Value
	switch {
	case slices.Contains(a.locals, name), name == nameNull, name == nameLast:
	case name == nameNow:
		a.usesNow = true
	case a.record(name) != nil:
		a.fault(n, fmt.Sprintf("name one of its members, like %s.%s", name, a.sample(name)),
			"%q is a whole record", name)
	default:
		if f, ok := a.table[name]; ok {
			a.fault(n, "call it: "+f.doc.Signature, "%q is a function", name)
			return
		}
		a.unknown(n, name)
	}
}

// unknown reports a name that the scope does not have.
func (a *analysis) unknown(n ast.Node, name string) {
	if name == nameRow {
		hint := "only the steps below a `read` have one"
		if ids := keys(a.scope.Items); len(ids) > 0 {
			hint = "use a field of " + strings.Join(ids, " or ")
		}
		a.fault(n, hint, "there is no row here")
		return
	}
	if name == nameVars {
		a.fault(n, "list them under vars:; steps below a `read` or `select` see them", "there are no variables here")
		return
	}
	if name == nameMaps {
		a.fault(n, "list them under maps:; steps below a `read` or `select` see them", "there are no maps here")
		return
	}
	if name == namePlan {
		a.fault(n, "use it under guard:", "there is no plan here")
		return
	}
	a.fault(n, Suggest(name, a.names()), "unknown name %q", name)
}

// member analyses x.y and x["y"].
func (a *analysis) member(n *ast.MemberNode) {
	use, ok := a.memberOf(n)
	if ok {
		if use.Name == nameMaps {
			a.fault(n, fmt.Sprintf("write pick(value, maps.%s)", use.Member), "maps.%s is a whole map", use.Member)
			return
		}
		if use.Member == "id" && a.scope.Planned[use.Name] {
			a.fault(n, fmt.Sprintf("let ${{ %s.id }} stand alone or directly inside text", use.Name),
				"%s.id is not known yet: the item may first be made when the plan is applied", use.Name)
			return
		}
		a.use(n, use)
		return
	}
	if id, isName := n.Node.(*ast.IdentifierNode); isName && a.record(id.Value) != nil && !slices.Contains(a.locals, id.Value) {
		a.fault(n.Property, "", "the member of %q must be written out", id.Value)
		return
	}
	if id, isName := n.Node.(*ast.IdentifierNode); isName && id.Value == nameNow {
		a.fault(n.Property, "write format(now, \"2006\") for the year, \"01\" for the month, \"02\" for the day", "now has no parts")
		return
	}
	a.all(n.Node, n.Property)
}

// memberOf tells which member of which record a node reads, if it reads one.
func (a *analysis) memberOf(node ast.Node) (Use, bool) {
	if chain, ok := node.(*ast.ChainNode); ok {
		node = chain.Node
	}
	m, ok := node.(*ast.MemberNode)
	if !ok {
		return Use{}, false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	if !ok || a.record(id.Value) == nil || slices.Contains(a.locals, id.Value) {
		return Use{}, false
	}
	property, ok := m.Property.(*ast.StringNode)
	if !ok {
		return Use{}, false
	}
	line, column := a.source.position(id.Location().From)
	return Use{Name: id.Value, Member: property.Value, Optional: m.Optional, Line: line, Column: column}, true
}

// use checks a member against its record.
func (a *analysis) use(n *ast.MemberNode, use Use) {
	record := a.record(use.Name)
	if _, known := record.Fields[use.Member]; !known && !record.Open {
		hint := longer(use, keys(record.Fields))
		switch use.Name {
		case nameRow:
			a.fault(n.Property, hint, "unknown column %q", use.Member)
		case nameParams:
			a.fault(n.Property, hint, "unknown parameter %q", use.Member)
		case nameVars:
			if hint == "" {
				hint = "name it under vars:, above those that use it"
			}
			a.fault(n.Property, hint, "unknown variable %q", use.Member)
		case nameMaps:
			a.fault(n.Property, hint, "unknown map %q", use.Member)
		case nameEnv:
			a.fault(n.Property, "list it under env:", "environment variable %q is not listed", use.Member)
		default:
			a.fault(n.Property, hint, "unknown field %q of %s", use.Member, use.Name)
		}
		return
	}
	a.uses = append(a.uses, use)
}

// longer is the remedy for an unknown member: the way to write a name that begins with it, as e-mail does with e, or else
// the nearest.
func longer(use Use, known []string) string {
	for _, name := range known {
		rest, begins := strings.CutPrefix(name, use.Member)
		r, _ := utf8.DecodeRuneInString(rest)
		if begins && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
			return fmt.Sprintf("did you mean %s[%q]?", use.Name, name)
		}
	}
	return Suggest(use.Member, known)
}

// call analyses name(…).
func (a *analysis) call(n *ast.CallNode) {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		a.fault(n, "write name(value), for instance trim(row.name)", "values have no functions of their own")
		a.all(n.Arguments...)
		return
	}
	f, ok := a.table[id.Value]
	switch {
	case id.Value == nameNow && len(n.Arguments) == 0:
		a.usesNow = true
	case !ok || f.builtin:
		a.fault(id, a.instead(id.Value), "unknown function %q", id.Value)
	case len(n.Arguments) < f.min || f.max >= 0 && len(n.Arguments) > f.max:
		a.fault(id, "write "+f.doc.Signature, "%s takes %s, got %d", id.Value, f.arity(), len(n.Arguments))
	default:
		a.usesNow = a.usesNow || f.needsNow
		a.literals(n, f)
	}
	a.all(a.chosen(id.Value, n.Arguments)...)
}

// chosen takes the map of the job that pick chooses from out of the arguments, the only place where one may stand.
func (a *analysis) chosen(function string, arguments []ast.Node) []ast.Node {
	const at = 1
	if function != namePick || len(arguments) <= at {
		return arguments
	}
	use, ok := a.memberOf(arguments[at])
	m, plain := arguments[at].(*ast.MemberNode)
	if !ok || !plain || use.Name != nameMaps {
		return arguments
	}
	a.use(m, use)
	return slices.Delete(slices.Clone(arguments), at, at+1)
}

// instead is the remedy for an unknown function: what does the same here, for the commonest ones of spreadsheets, or else
// the nearest name.
func (a *analysis) instead(name string) string {
	switch strings.ToLower(name) {
	case "if", "se":
		return "write condition ? value : other"
	case "today", "hoje":
		return "write date(now)"
	case "concat", "concatenate", "concatenar":
		return "put + between texts"
	case "left", "right", "mid", "substr", "substring":
		return "write text[0:3] for the first three characters, text[-3:] for the last"
	case "proper", "capitalize":
		return "write title(text)"
	case "substitute":
		return "write replace(text, old, new)"
	case "iferror", "coalesce", "ifnull":
		return "write default(value, fallback)"
	}
	return Suggest(name, keys(a.table))
}

// literals lets a function judge the arguments that are written out.
func (a *analysis) literals(n *ast.CallNode, f function) {
	if f.literal == nil {
		return
	}
	for i, argument := range n.Arguments {
		text, ok := argument.(*ast.StringNode)
		if !ok {
			continue
		}
		if err := f.literal(i, text.Value); err != nil {
			a.fault(text, "", "%s", err)
		}
	}
}

// builtin analyses a call of one of expr-lang's own functions.
func (a *analysis) builtin(n *ast.BuiltinNode) {
	if f, ok := a.table[n.Name]; !ok || !f.builtin {
		a.fault(n, a.instead(n.Name), "unknown function %q", n.Name)
	}
	for _, argument := range n.Arguments {
		if _, ok := argument.(*ast.PredicateNode); !ok {
			a.visit(argument)
			continue
		}
		a.depth++
		if a.depth > maxPredicateDepth {
			a.fault(n, "", "more than %d lists are searched inside each other", maxPredicateDepth)
		}
		a.visit(argument)
		a.depth--
	}
}

// rangeOf checks that a..b is short. Its ends must be literals, since there is no other way to know.
func (a *analysis) rangeOf(n *ast.BinaryNode) {
	from, okFrom := n.Left.(*ast.IntegerNode)
	to, okTo := n.Right.(*ast.IntegerNode)
	switch {
	case !okFrom || !okTo:
		a.fault(n, "", "the ends of a range must be whole numbers from 0, written out")
	case to.Value-from.Value >= MaxRange:
		a.fault(n, "", "the range has more than %d elements", MaxRange)
	}
}

// record finds the record of a name, or nil.
func (a *analysis) record(name string) *Record {
	switch name {
	case nameRow:
		return a.scope.Row
	case namePlan:
		return a.scope.Plan
	case nameParams:
		return &Record{Fields: a.scope.Params}
	case nameEnv:
		return recordOf(a.scope.Env, String)
	case nameVars:
		if a.scope.Vars == nil {
			return nil
		}
		return &Record{Fields: a.scope.Vars}
	case nameMaps:
		if len(a.scope.Maps) == 0 {
			return nil
		}
		return recordOf(a.scope.Maps, Any)
	}
	return itemRecord(a.scope.Items[name])
}

// sample is a member of a record, for a message.
func (a *analysis) sample(name string) string {
	if members := keys(a.record(name).Fields); len(members) > 0 {
		return members[0]
	}
	return "name"
}

// names lists everything that may stand by itself or before a dot.
func (a *analysis) names() []string {
	names := append([]string{nameNow, nameLast, nameNull, nameParams}, a.locals...)
	if len(a.scope.Env) > 0 {
		names = append(names, nameEnv)
	}
	if a.scope.Row != nil {
		names = append(names, nameRow)
	}
	if a.scope.Vars != nil {
		names = append(names, nameVars)
	}
	if len(a.scope.Maps) > 0 {
		names = append(names, nameMaps)
	}
	if a.scope.Plan != nil {
		names = append(names, namePlan)
	}
	return append(names, keys(a.scope.Items)...)
}

// keys lists the keys of a map in order.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
