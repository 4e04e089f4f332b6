package journal

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/bxflow/bxflow/engine"
)

// Files implements [engine.History].
func (j *Journal) Files(ctx context.Context, portal string, typeID int, item int64, field string) ([]engine.File, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT file_id, name, size, sha256, crc FROM files
		WHERE portal = ? AND type_id = ? AND item_id = ? AND field = ? ORDER BY file_id, sha256`, portal, typeID, item, field)
	if err != nil {
		return nil, fault(j.path, err)
	}
	defer rows.Close()
	var files []engine.File
	for rows.Next() {
		var f engine.File
		var sum int64
		if err := rows.Scan(&f.ID, &f.Name, &f.Size, &f.SHA256, &sum); err != nil {
			return nil, fault(j.path, err)
		}
		if checksum(fileRow(portal, typeID, item, field, f)) != sum {
			return nil, &DamagedError{Path: j.path, Fault: "what is known of a file does not fit its checksum"}
		}
		files = append(files, f)
	}
	return files, fault(j.path, rows.Err())
}

// keepFiles notes the files that finished changes have put into their items.
func (r *Run) keepFiles(ctx context.Context, tx *sql.Tx, cs []engine.Change) error {
	portal := r.header.Portal.ID
	for i := range cs {
		c := &cs[i]
		if c.State != engine.StateDone || c.Kind == engine.KindDelete || c.ID == 0 {
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(c.Fields)) {
			for _, f := range engine.Uploaded(c.Fields[field]) {
				row := fileRow(portal, c.TypeID, c.ID, field, f)
				_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO files (portal, type_id, item_id, field, sha256, file_id, name, size, crc)
					VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, append(row, checksum(row))...)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fileRow are the values of a row of files, without its checksum.
func fileRow(portal string, typeID int, item int64, field string, f engine.File) []any {
	return []any{portal, int64(typeID), item, field, f.SHA256, f.ID, f.Name, f.Size}
}
