package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// What a job reads night after night is left by others, who may be late, or still
// writing.

// longestSettling is how long a file is waited for that goes on changing.
const longestSettling = 10 * time.Minute

// errNoFile says that a pattern matches no file.
var errNoFile = errors.New("there is none")

// gone says whether there is no such file.
func (in input) gone() bool {
	_, err := os.Stat(in.path)
	return errors.Is(err, fs.ErrNotExist)
}

// newestOf is the file that was changed last; of several, the one whose name comes
// last.
func newestOf(inputs []input) ([]input, error) {
	var newest []input
	var at time.Time
	for _, in := range inputs {
		info, err := os.Stat(in.path)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", in.name, bare(err))
		}
		if !info.ModTime().Before(at) {
			newest, at = []input{in}, info.ModTime()
		}
	}
	return newest, nil
}

// awaitSettled waits until nobody has written to the files for as long as
// `settled` says.
func (s *Read) awaitSettled(ctx context.Context) error {
	if s.Settled.Text == "" {
		return nil
	}
	still, err := time.ParseDuration(s.Settled.Text)
	if err != nil || still <= 0 || still > longestSettling {
		return engine.Problems{{
			Pos: s.Settled.Pos, Msg: fmt.Sprintf("settled: %q is not a time up to %s", s.Settled.Text, longestSettling), Hint: "write for example 30s or 2m",
		}}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longestSettling, errRestless)
	defer cancel()
	for _, in := range s.inputs {
		if err := in.settled(ctx, still); errors.Is(err, errRestless) {
			return fmt.Errorf("file %q has been written to for %s, and is to be left alone for %s before it is read; see who writes to it", in.name, longestSettling, still)
		} else if err != nil {
			return err
		}
	}
	return nil
}

var errRestless = errors.New("it goes on changing")

// settled waits until a file has been left alone for so long: by its time, or by
// what is seen of it, as another machine's clock may be ahead.
func (in input) settled(ctx context.Context, still time.Duration) error {
	var before fs.FileInfo
	for {
		info, err := os.Stat(in.path)
		if err != nil {
			return fmt.Errorf("file %q: %w", in.name, bare(err))
		}
		left := min(still-time.Since(info.ModTime()), still)
		if left <= 0 || before != nil && info.Size() == before.Size() && info.ModTime().Equal(before.ModTime()) {
			return nil
		}
		before = info
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(left):
		}
	}
}
