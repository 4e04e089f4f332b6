package steps

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// Sample is the beginning of a file as read takes it.
type Sample struct {
	Columns []string
	Rows    [][]string // without those that read would refuse
	Dialect string     // how the file is written, for people
}

// Sampled reads a file's header and its first rows, at most so many.
func Sampled(ctx context.Context, path string, rows int) (*Sample, error) {
	t, closer, err := input{path: path, name: path}.open(ctx, table.Options{})
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	sample := &Sample{Columns: t.Header(), Dialect: fmt.Sprint(t.Dialect())}
	for range rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if _, bad := errors.AsType[*table.RowError](err); bad {
			continue
		}
		if err != nil {
			return nil, err
		}
		sample.Rows = append(sample.Rows, row.Fields)
	}
	return sample, nil
}
