package expression

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// The names that every scope may have beside the ids of steps.
const (
	nameRow    = "row"
	nameParams = "params"
	nameEnv    = "env"
	nameVars   = "vars"
	nameMaps   = "maps"
	namePlan   = "plan"
	nameNow    = "now"
	nameLast   = "last_run"
	nameNull   = "null"
)

// namePick is the only function that takes a map of the job.
const namePick = "pick"

// Compile compiles an expression whose value may be of any type. Its error is [Errors].
func Compile(source string, scope Scope) (*Program, error) {
	return compile(excerptOf(source, source, 0), scope)
}

// CompileCondition compiles an expression that must be true or false. A ${{ … }} around the whole of it is accepted, text
// around one is not. A value of an open record is judged when it is known. Its error is [Errors].
func CompileCondition(source string, scope Scope) (*Program, error) {
	inner, problem := unwrap(source)
	if problem != nil {
		return nil, Errors{problem}
	}
	p, err := compile(inner, scope)
	if err != nil {
		return nil, err
	}
	value := p.program.Node().Nature()
	if value.Kind == reflect.Bool || unknown(value) && p.open(scope) {
		p.condition = true
		return p, nil
	}
	return nil, Errors{inner.fault(0, "compare it with something, for instance == \"sim\"",
		"a condition must be true or false, this is %s", p.Type())}
}

// compile parses, analyses, type-checks and compiles.
func compile(source excerpt, scope Scope) (p *Program, err error) {
	if len(source.text) > MaxSource {
		return nil, Errors{source.fault(0, "", "the expression is longer than %d bytes", MaxSource)}
	}
	if strings.TrimSpace(source.text) == "" {
		return nil, Errors{source.fault(0, "", "the expression is empty")}
	}
	defer func() {
		// expr-lang reports its faults as errors, but a panic in its checker would otherwise end the program.
		if r := recover(); r != nil {
			p, err = nil, Errors{source.fault(0, "", "%v", r)}
		}
	}()
	table := functions()
	config := configure(scope, table)
	tree, err := parser.ParseWithConfig(source.text, config)
	if err != nil {
		return nil, Errors{source.placed(err)}
	}
	a := analysis{source: source, scope: scope, table: table}
	a.root(tree.Node)
	if len(a.problems) > 0 {
		return nil, a.problems
	}
	p = &Program{source: source, uses: a.uses, usesNow: a.usesNow, direct: directUse(&a, tree.Node)}
	if _, err := new(checker.Checker).PatchAndCheck(tree, config); err != nil {
		e := source.placed(err)
		if msg, hint := mismatch(tree.Node, err); msg != "" {
			e.Msg, e.Hint = msg, hint
		}
		return nil, Errors{e}
	}
	if p.program, err = compiler.Compile(tree, config); err != nil {
		return nil, Errors{source.placed(err)}
	}
	p.machines.New = func() any { return &vm.VM{MemoryBudget: memoryBudget} }
	return p, nil
}

// directUse is the member that the whole expression consists of, if it is no more than that.
func directUse(a *analysis, node ast.Node) *Use {
	use, ok := a.memberOf(node)
	if !ok {
		return nil
	}
	return &use
}

// configure describes the scope and the functions to expr-lang. Its optimizer is left out: it gains nothing at the
// speed of a portal, and expressions that it folds escape the limits.
func configure(scope Scope, table map[string]function) *conf.Config {
	config := conf.CreateNew()
	config.Optimize = false
	config.MaxNodes = MaxNodes
	expr.Env(environment(scope))(config)
	expr.DisableAllBuiltins()(config)
	for name, f := range table {
		switch {
		case f.builtin:
			expr.EnableBuiltin(name)(config)
		case f.call != nil: // now() is rewritten instead
			expr.Function(name, f.call, f.types...)(config)
		}
	}
	for name, f := range operators() {
		expr.Function(name, f.call, f.types...)(config)
	}
	for name := range config.Disabled {
		delete(config.Builtins, name)
	}
	expr.Patch(&rewriter{table: table, natures: make(map[ast.Node]*nature.Nature)})(config)
	return config
}

// environment is the scope as types.
func environment(scope Scope) types.Map {
	env := types.Map{
		nameNow:    types.TypeOf(time.Time{}),
		nameLast:   types.Any, // null before the first
		nameParams: recordType(&Record{Fields: scope.Params}),
		nameEnv:    recordType(recordOf(scope.Env, String)),
	}
	if scope.Row != nil {
		env[nameRow] = recordType(scope.Row)
	}
	if scope.Vars != nil {
		env[nameVars] = recordType(&Record{Fields: scope.Vars})
	}
	if len(scope.Maps) > 0 {
		env[nameMaps] = recordType(recordOf(scope.Maps, Any))
	}
	if scope.Plan != nil {
		env[namePlan] = recordType(scope.Plan)
	}
	for id, item := range scope.Items {
		env[id] = recordType(itemRecord(item))
	}
	return env
}

// itemRecord adds to an item's fields what every item has.
func itemRecord(item *Record) *Record {
	if item == nil {
		return nil
	}
	fields := map[string]Type{"id": Int, "created": Bool}
	maps.Copy(fields, item.Fields)
	return &Record{Fields: fields, Open: item.Open, Other: item.Other}
}

// recordOf is a record whose members are all of one type.
func recordOf(names []string, t Type) *Record {
	fields := make(map[string]Type, len(names))
	for _, name := range names {
		fields[name] = t
	}
	return &Record{Fields: fields}
}

// recordType is a record as expr-lang describes it.
func recordType(r *Record) types.Map {
	m := make(types.Map, len(r.Fields)+1)
	for name, t := range r.Fields {
		m[name] = t.static()
	}
	if r.Open {
		m[types.Extra] = r.Other.static()
	}
	return m
}

// static is the type as expr-lang describes it.
func (t Type) static() types.Type {
	switch t {
	case String:
		return types.String
	case Int:
		return types.Int
	case Float:
		return types.Float64
	case Bool:
		return types.Bool
	case Time:
		return types.TypeOf(time.Time{})
	case List:
		return types.Array(types.Any)
	case Any:
	}
	return types.Any
}

// rewriter replaces what expr-lang would do without limits, or with a clock of its own.
type rewriter struct {
	table map[string]function
	// natures are the types of operators that were replaced: the nodes in their place have none until they are checked.
	natures map[ast.Node]*nature.Nature
}

// Visit implements [ast.Visitor].
func (r *rewriter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if n.Value == nameNull {
			ast.Patch(node, &ast.NilNode{})
		}
	case *ast.CallNode:
		r.clock(node, n)
	case *ast.BinaryNode:
		name, ok := checkedOperator(n.Operator, n.Nature(), r.nature(n.Left), r.nature(n.Right))
		if !ok {
			return
		}
		callee := &ast.IdentifierNode{Value: name}
		callee.SetLocation(n.Location())
		ast.Patch(node, &ast.CallNode{Callee: callee, Arguments: []ast.Node{n.Left, n.Right}})
		r.natures[*node] = n.Nature()
	}
}

// nature is the type of a node, also of a replaced one.
func (r *rewriter) nature(node ast.Node) *nature.Nature {
	if n, ok := r.natures[node]; ok {
		return n
	}
	return node.Nature()
}

// clock turns now() into the frozen time, and hands that time to the functions that depend on it.
func (r *rewriter) clock(node *ast.Node, call *ast.CallNode) {
	id, ok := call.Callee.(*ast.IdentifierNode)
	switch {
	case !ok:
	case id.Value == nameNow:
		ast.Patch(node, &ast.IdentifierNode{Value: nameNow})
	case r.table[id.Value].needsNow:
		now := &ast.IdentifierNode{Value: nameNow}
		now.SetLocation(call.Location())
		call.Arguments = append([]ast.Node{now}, call.Arguments...)
	}
}

// mismatch says in plain words what is wrong with an operator's operands, if that is what the error is about. Text beside
// a number is the commonest fault of all: cells are text.
func mismatch(node ast.Node, err error) (msg, hint string) {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return "", ""
	}
	finder := &mismatchFinder{at: fe.From, argument: strings.HasPrefix(fe.Message, "cannot use ")}
	ast.Walk(&node, finder)
	return finder.msg, finder.hint
}

// mismatchFinder looks at the operator at a place, or at the argument of a function there.
type mismatchFinder struct {
	at        int
	argument  bool
	msg, hint string
}

// Visit implements [ast.Visitor].
func (f *mismatchFinder) Visit(node *ast.Node) {
	if call, ok := (*node).(*ast.CallNode); ok && f.argument {
		f.call(call)
	}
	if f.argument || (*node).Location().From != f.at {
		return
	}
	switch n := (*node).(type) {
	case *ast.UnaryNode:
		f.msg = fmt.Sprintf("%q cannot be put before a value of type %s", n.Operator, typeOf(n.Node.Nature()))
		if n.Node.Nature().IsString() {
			f.hint = "compare it with something, for instance == \"sim\""
		}
	case *ast.BinaryNode:
		left, right := typeOf(n.Left.Nature()), typeOf(n.Right.Nature())
		if n.Operator == "matches" && left == String && right == String {
			return // the regular expression is wrong, which the error says
		}
		f.msg = fmt.Sprintf("%q cannot be put between %s and %s", n.Operator, left, right)
		numeric := func(t Type) bool { return t == Int || t == Float }
		switch {
		case n.Operator == "||" || n.Operator == "or":
			f.hint = "for a value in place of a blank one write default(value, fallback)"
		case n.Operator == "in" && right == String:
			f.hint = "a part of a text is looked for with: text contains part"
		case left == String && numeric(right), numeric(left) && right == String:
			f.hint = "one side is text: make a number of it with number(…) or int(…), or text of the other with string(…)"
		}
	}
}

// call looks for a wrong argument.
func (f *mismatchFinder) call(n *ast.CallNode) {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || strings.HasPrefix(id.Value, operatorPrefix) {
		return
	}
	for _, argument := range n.Arguments {
		if argument.Location().From != f.at {
			continue
		}
		is := typeOf(argument.Nature())
		f.msg = fmt.Sprintf("%s does not take %s here", id.Value, is)
		switch is {
		case String:
			f.hint = "number(…), int(…) and date(…) make something else of text"
		case Int, Float, Bool, Time:
			f.hint = "string(…) makes text of it"
		case Any, List:
		}
	}
}

// CheckName tells whether a step or another thing of a job may have this name in expressions: a letter or underscore,
// then letters, digits and underscores, and no word of the language or function.
func CheckName(name string) error {
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return fmt.Errorf("%q has %q in it; use letters, digits and underscores, with a letter first", name, r)
		}
	}
	switch name {
	case "":
		return fmt.Errorf("%q is empty; use letters, digits and underscores", name)
	case nameRow, nameParams, nameEnv, nameVars, nameMaps, namePlan, nameNow, nameLast, nameNull,
		"nil", "true", "false", "not", "and", "or", "in", "let", "if", "else", "matches", "contains", "startsWith", "endsWith":
		return fmt.Errorf("%q is a word of the expression language; choose another name", name)
	}
	if _, ok := functions()[name]; ok {
		return fmt.Errorf("%q is the name of a function; choose another name", name)
	}
	return nil
}
