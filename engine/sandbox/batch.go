package sandbox

import (
	"strings"
)

// maxCommands is how many commands of a batch run; the rest are errors.
const maxCommands = 50

// batch runs the commands of a batch one after another. Its answer is five
// maps under the names of the commands; a map of numeric names 0, 1, 2 becomes a
// list, an empty one is [] (How to call REST, batch).
type batch struct {
	x       *exchange
	results *array
	errors  *array
	totals  *array
	nexts   *array
	times   *array
}

// batch runs the commands in the order given; size is how many of them ran. It
// stops at the cut-off of the request, and after the first failure where halt is
// true.
func (x *exchange) batch(params *array) (answer object, size int) {
	b := &batch{x: x, results: &array{}, errors: &array{}, totals: &array{}, nexts: &array{}, times: &array{}}
	var commands *array
	halt := false
	for key, val := range params.all() {
		switch strings.ToLower(key) {
		case "cmd":
			commands, _ = val.(*array) // whatever isn't a map holds no commands
		case "halt":
			halt = truthy(val)
		}
	}
	stop := commands.len()
	if x.half {
		stop = (stop + 1) / 2
	}
	for name, val := range commands.all() {
		text, ok := val.(string)
		if !ok {
			continue // skipped without a trace (observed)
		}
		if x.ctx.Err() != nil || x.aborted || size >= stop {
			break
		}
		size++
		if err := b.command(name, text, size); err != nil && halt {
			break
		}
	}
	size = min(size, maxCommands)
	x.portal.stats.batch(size)
	return object{
		{"result", b.results},
		{"result_error", b.errors},
		{"result_total", b.totals},
		{"result_next", b.nexts},
		{"result_time", b.times},
	}, size
}

func (b *batch) command(name, text string, number int) *apiError {
	r := b.run(text, number)
	b.x.record.ran(number-1, r.err)
	if r.err != nil {
		b.errors.set(name, r.err.body())
		return r.err
	}
	b.results.set(name, r.value)
	b.times.set(name, r.time)
	if r.total != nil {
		b.totals.set(name, *r.total)
	}
	if r.next != nil {
		b.nexts.set(name, *r.next)
	}
	return nil
}

func (b *batch) run(text string, number int) *result {
	if number > maxCommands {
		return &result{err: fault(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")}
	}
	name, query := splitCommand(text)
	name = strings.ToLower(methodName(name))
	switch name {
	case "batch", "download", "upload":
		return &result{err: fault(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")}
	}
	m, ok := b.x.portal.methods[name]
	if !ok {
		return &result{err: noMethod()}
	}
	params := parseQuery(query)
	b.resolve(params)
	return b.x.execute(m, params)
}

// splitCommand separates method and query as PHP's parse_url does: what
// follows an unencoded # is lost, and raw control characters become
// underscores.
func splitCommand(text string) (name, query string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, text)
	text, _, _ = strings.Cut(text, "#")
	name, query, _ = strings.Cut(text, "?")
	return name, query
}

// methodName strips what may stand around the name of a method in a path.
func methodName(path string) string {
	return strings.TrimSuffix(strings.Trim(path, "/"), ".json")
}

func noMethod() *apiError { return fault(404, "ERROR_METHOD_NOT_FOUND", "Method not found!") }
