package portal

import (
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
// room in a request, and a gap in the ids could waste many. So the ranges that
// are read at once are few until guesses have come true, and one by one, as long
// as need be, after one that was far from it.
type ranges struct {
	left []idRange // what requests left unread, ascending, all of it below rest
	rest idRange   // above all that was asked for
	end  int64     // the last id of all
	seen int64     // where the chain began that rest's density is from
	// trust is how many requests may be under way at once.
	trust int
}

// mostAhead is how many requests are read ahead of whoever takes the items. It
// bounds the memory that a scan needs.
const mostAhead = 4

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

// pages is how many pages the range will hold, with a little to spare.
func (r idRange) pages() int64 {
	if r.density == 0 {
		return r.most()
	}
	return max(1, min(r.most(), int64(math.Ceil(float64(r.last-r.after)*r.density*1.1/pageSize))))
}

// portion is what one request reads of a range.
type portion struct {
	idRange
	pages   int  // at most
	guessed bool // the range ends where these pages should
}

// cut takes a portion of some pages from the beginning of the range.
func (r idRange) cut(pages int) (p portion, remainder idRange) {
	end := r.last
	if r.density > 0 && r.last != openEnd {
		ids := float64(pages*pageSize) / r.density
		if r.density < 1 {
			ids *= 1.02 // rather too much than too little
		}
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
		last := len(r.left) == 1 && (r.rest.empty() || lowest)
		if last || one.pages() >= int64(room) {
			p, remainder := one.cut(room)
			if r.left[0] = remainder; remainder.empty() {
				r.left = r.left[1:]
			}
			return append(portions, p)
		}
		r.left = r.left[1:]
		portions = append(portions, one.split(one.pages())...)
	}
	if room := length - len(portions); room > 0 && !r.rest.empty() && (!lowest || len(portions) == 0) {
		var p portion
		p, r.rest = r.rest.cut(room)
		portions = append(portions, p)
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
	if p.pages > 1 && p.after >= r.seen && to > p.after {
		r.seen = p.after
		r.rest.density = density
	}
	if p.guessed {
		if r.trust = min(r.trust+1, mostAhead); all && items*2 < p.pages*pageSize {
			r.trust = 1
		}
	}
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

// back takes a range back that was asked for and not read.
func (r *ranges) back(left idRange) {
	if left.empty() {
		return
	}
	if left.last == r.end {
		r.rest = left
		return
	}
	at, _ := slices.BinarySearchFunc(r.left, left, func(a, b idRange) int { return int(min(1, max(-1, a.after-b.after))) })
	r.left = slices.Insert(r.left, at, left)
}
