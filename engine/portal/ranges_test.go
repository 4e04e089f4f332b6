package portal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bxflow/bxflow/engine/portal"
)

// However the ids are spread, reading several ranges at once takes hardly more
// requests than reading page after page would, and no memory beyond its bound.
func TestScan_ranges(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	some := func(from, to int64, share float64) []int64 {
		var ids []int64
		for id := from; id <= to; id++ {
			if random.Float64() < share {
				ids = append(ids, id)
			}
		}
		return ids
	}
	tests := map[string]struct {
		ids  []int64
		more int // requests than the least possible
	}{
		"none":                             {nil, 0},
		"one":                              {some(1, 1, 1), 0},
		"a request's worth":                {some(1, 2500, 1), 0},
		"one more":                         {some(1, 2501, 1), 0},
		"all of 10,000":                    {some(1, 10_000, 1), 0},
		"all of 130,000":                   {some(1, 130_000, 1), 0},
		"most of 130,000":                  {some(1, 130_000, 0.97), 2},
		"half of 130,000":                  {some(1, 130_000, 0.5), 2},
		"one in fifty of 2,000,000":        {some(1, 2_000_000, 0.02), 2},
		"a great gap":                      {slices.Concat(some(1, 20_000, 1), some(5_000_000, 5_020_000, 1)), 2},
		"dense, then sparse":               {slices.Concat(some(1, 20_000, 1), some(20_001, 500_000, 0.05)), 3},
		"sparse, then dense":               {slices.Concat(some(1, 500_000, 0.05), some(500_001, 520_000, 1)), 2},
		"a dense part amid a sparse":       {slices.Concat(some(1, 300_000, 0.01), some(300_001, 360_000, 1), some(360_001, 660_000, 0.01)), 3},
		"ever denser":                      {slices.Concat(some(1, 100_000, 0.1), some(100_001, 200_000, 0.3), some(200_001, 300_000, 0.6), some(300_001, 400_000, 0.9)), 4},
		"many gaps of a request's width":   {gaps(random, 100_000, 5000, 5000), 4},
		"some of each, ending with nobody": {slices.Concat(some(1, 3000, 0.9), some(900_000, 900_010, 1)), 1},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		tt := tests[name]
		for _, length := range []int{50, 7, 1} {
			t.Run(fmt.Sprintf("%s, %d pages", name, length), func(t *testing.T) {
				t.Parallel()
				got := portal.Ranges(tt.ids, length)
				least := max(1, (len(tt.ids)+length*50-1)/(length*50))
				t.Logf(name+": %d items: %d requests, least %d; %d pages waited", len(tt.ids), got.Requests, least, got.Waited)
				if diff := slices.Compare(got.IDs, tt.ids); diff != 0 {
					t.Errorf("read %d ids, want %d", len(got.IDs), len(tt.ids))
				}
				more := tt.more
				if length < 50 {
					more += least * 6 / 100
				}
				if got.Requests > least+more {
					t.Errorf("took %d requests, want at most %d more than %d", got.Requests, more, least)
				}
				if got.Waited > 300 {
					t.Errorf("%d pages waited", got.Waited)
				}
			})
		}
	}
}

// gaps are ids with parts missing.
func gaps(random *rand.Rand, n int, there, missing int64) []int64 {
	var ids []int64
	id := int64(1)
	for len(ids) < n {
		for range 1 + random.Int64N(2*there) {
			ids = append(ids, id)
			id++
		}
		id += random.Int64N(2 * missing)
	}
	return ids
}
