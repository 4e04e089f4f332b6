package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// Rows are the rows of a query, one after the other: never more than one is held.
type Rows struct {
	source *Source
	ctx    context.Context //nolint:containedctx // database/sql ties rows to the context of their query, too
	cancel context.CancelFunc
	db     *sql.DB
	rows   *sql.Rows
	header []string
	types  []string // as the database calls them
	line   int
}

// query connects, which must not take longer than patience, and begins to read.
func (r *Rows) query(statement string, args []any) error {
	slow := fmt.Errorf("there was no answer within %s", patience)
	connect, done := context.WithTimeoutCause(r.ctx, patience, slow)
	defer done()
	conn, err := r.db.Conn(connect)
	if err != nil {
		if r.ctx.Err() == nil && connect.Err() != nil {
			err = slow
		}
		return r.source.unreachable(r.ctx, err)
	}
	tx, err := conn.BeginTx(r.ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return r.source.fault(r.ctx, err)
	}
	r.rows, err = tx.QueryContext(r.ctx, statement, args...) //nolint:rowserrcheck,sqlclosecheck // Next and Close do
	if err != nil {
		return r.source.fault(r.ctx, err)
	}
	if r.header, err = r.rows.Columns(); err != nil {
		return r.source.fault(r.ctx, err)
	}
	types, err := r.rows.ColumnTypes()
	if err != nil {
		return r.source.fault(r.ctx, err)
	}
	for _, t := range types {
		r.types = append(r.types, t.DatabaseTypeName())
	}
	return nil
}

// Header are the names of the columns.
func (r *Rows) Header() []string { return r.header }

// Dialect is how rows that failed are written.
func (r *Rows) Dialect() table.Dialect { return table.Dialect{Delimiter: ',', Encoding: "utf-8"} }

// Next returns the next row, io.EOF after the last. A [table.RowError] is the
// fault of a single row.
func (r *Rows) Next() (table.Row, error) {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return table.Row{}, r.source.fault(r.ctx, err)
		}
		return table.Row{}, io.EOF
	}
	r.line++
	values := make([]any, len(r.header))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	if err := r.rows.Scan(into...); err != nil {
		return table.Row{}, r.source.fault(r.ctx, err)
	}
	row := table.Row{Line: r.line, Fields: make([]string, len(values))}
	var fault *table.RowError
	for i, v := range values {
		text, reason := textOf(v, r.types[i], r.source.kind == sqlite)
		row.Fields[i] = text
		if reason != "" && fault == nil {
			fault = &table.RowError{Name: "sql", Line: r.line, Column: r.header[i], Fault: reason, Remedy: "leave the column out, or convert it in the query"}
		}
	}
	if fault != nil {
		return row, fault
	}
	return row, nil
}

// Close ends the query, without reading what is left of it.
func (r *Rows) Close() error {
	r.cancel()
	if r.rows != nil {
		_ = r.rows.Close() // it tells that the query was cancelled
	}
	if err := r.db.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return r.source.fault(r.ctx, err)
	}
	return nil
}
