package portal

import (
	"cmp"
	"math"
	"slices"
)

// ranges is what a scan has still to read of an entity's ids, shared out to
// requests so that several can be read at once.
//
// A request reads fifty pages. Its last portion is a chain: each page begins
// after the last item of the one before, and the portal stops where the chain
// comes to its end. Any portion before it is a single page, which can't fail.
//
// Where a range has to end for its items to fill the pages is guessed from how
// many items there were for an id lately. A range with more items than that is
// none the worse: what is left goes with the next request. One with fewer wastes
// room in a request, and a gap in the ids could waste many. So ranges are read at
// once only while guesses come true and little was wasted so far; else one
// request follows the other, each without an end, and none is wasted.
type ranges struct {
	left []idRange // what requests left unread, ascending, all of it below rest
	rest idRange   // above all that was asked for
	end  int64     // the last id of all
	seen int64     // where the chain began that rest's density is from
	// trust is how many requests may be under way at once.
	trust  int
	asked  int     // requests
	wasted float64 // of them, by guesses
}

const (
	// mostAhead is how many requests are under way at once at most, and how many
	// requests' pages are held for those below them: the memory of a scan.
	mostAhead = 3
	// mostWasted and wastedShare are what guesses may cost: a request, and a
	// twentieth of all.
	mostWasted, wastedShare = 1, 0.05
	// spare is how many items more than its pages hold a range should have: what
	// is left of it can go elsewhere, room in its request can't.
	spare = 20
	// manyPages are enough to guess where they will end: on fewer, chance tells.
	manyPages = 20
	// alike is how much two densities differ at most that are alike.
	alike = 1.5
)

// idRange are the ids after one, up to another. Last is [openEnd] if there is
// none.
type idRange struct {
	after, last int64
	density     float64 // items for an id, as far as known; 0: not known
}

const openEnd = math.MaxInt64

func (r idRange) empty() bool { return r.after >= r.last }

// before is the first id above the range, [openEnd] if it has no end.
func (r idRange) before() int64 {
	if r.last == openEnd {
		return openEnd
	}
	return r.last + 1
}

// most is how many pages the range can hold.
func (r idRange) most() int64 {
	ids := r.last - r.after
	pages := ids / pageSize
	if ids%pageSize > 0 {
		pages++
	}
	return pages
}

// pages is how many pages the range should hold.
func (r idRange) pages() int64 {
	if r.density == 0 {
		return r.most()
	}
	return max(1, min(r.most(), int64(math.Ceil(float64(r.last-r.after)*r.density/pageSize))))
}

// portion is what one request reads of a range.
type portion struct {
	idRange
	pages   int  // at most
	front   bool // above all that was asked for before
	guessed bool // the range ends where these pages should
}

// chain takes a portion of some pages from the beginning of the range: as far as
// they should reach, if that is to be guessed, else all of it.
func (r idRange) chain(pages int, guess bool) (p portion, remainder idRange) {
	end := r.last
	if guess && r.density > 0 && r.last != openEnd {
		items := pages * pageSize
		if r.density < 1 {
			items += spare
		}
		ids := float64(items) / r.density
		if ids < float64(r.last-r.after) {
			end = r.after + int64(ids)
		}
	}
	p = portion{idRange: idRange{r.after, end, r.density}, guessed: end < r.last}
	p.pages = int(min(int64(pages), p.most()))
	return p, idRange{end, r.last, r.density}
}

// split makes a number of single pages of the range.
func (r idRange) split(pages int64) []portion {
	var portions []portion
	step := (r.last - r.after + pages - 1) / pages
	for after := r.after; after < r.last; after += step {
		portions = append(portions, portion{idRange: idRange{after, min(after+step, r.last), r.density}, pages: 1})
	}
	return portions
}

// next is what a request of so many pages is to read; nothing if all has been
// asked for. If the lowest is wanted, nothing new is begun while something is
// left of what was.
func (r *ranges) next(length int, lowest bool) []portion {
	var portions []portion
	for len(r.left) > 0 && len(portions) < length {
		one, room := r.left[0], length-len(portions)
		r.left = r.left[1:]
		last := len(r.left) == 0 && (r.rest.empty() || lowest)
		if last || one.pages() >= int64(room) {
			p, _ := one.chain(room, false)
			return r.ask(append(portions, p))
		}
		portions = append(portions, one.split(one.pages())...)
	}
	if room := length - len(portions); room > 0 && !r.rest.empty() && (!lowest || len(portions) == 0) {
		var p portion
		p, r.rest = r.rest.chain(room, r.trust > 1 && (length >= manyPages || r.rest.density == 1))
		p.front = true
		portions = append(portions, p)
	}
	return r.ask(portions)
}

func (r *ranges) ask(portions []portion) []portion {
	if len(portions) > 0 {
		r.asked++
	}
	return portions
}

// read notes what a portion came to: the items that were read, the last one's id,
// and whether that was all that there is.
func (r *ranges) read(p portion, items int, last int64, all bool) {
	to := p.last
	if !all {
		to = max(last, p.after)
	}
	density := p.density
	if to > p.after {
		density = min(1, float64(items)/float64(to-p.after))
	}
	if !all {
		r.back(idRange{to, p.last, density})
	}
	if !p.front || to == p.after {
		return
	}
	if p.after >= r.seen {
		r.seen, r.rest.density = p.after, density
	}
	if p.guessed && all {
		r.wasted += 1 - float64(items)/float64(p.pages*pageSize)
	}
	foreseen := density*alike > p.density && p.density*alike > density
	if r.trust = min(r.trust+1, mostAhead); !foreseen || r.wasted > mostWasted+wastedShare*float64(r.asked) {
		r.trust = 1
	}
}

// back takes a range back that was asked for and not read.
func (r *ranges) back(left idRange) {
	if left.empty() {
		return
	}
	if left.last == r.end {
		r.rest = left
		return
	}
	at, _ := slices.BinarySearchFunc(r.left, left.after, func(one idRange, after int64) int { return cmp.Compare(one.after, after) })
	r.left = slices.Insert(r.left, at, left)
}

// lowest is the id after which something is left to be asked for.
func (r *ranges) lowest() int64 {
	if len(r.left) > 0 {
		return r.left[0].after
	}
	if r.rest.empty() {
		return openEnd
	}
	return r.rest.after
}
