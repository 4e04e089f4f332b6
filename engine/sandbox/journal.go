package sandbox

// journal is the data file: every change of the contents, in order. A nil
// journal keeps nothing.
type journal struct{}

func (j *journal) identity(s *store)                   {}
func (j *journal) row(table string, id int64, rec any) {}
func (j *journal) item(e *entity, it *item)            {}
func (j *journal) removed(e *entity, id int64)         {}
func (j *journal) flush() error                        { return nil }
func (j *journal) close() error                        { return nil }

// openStore opens the contents of a portal.
func openStore(o Options) (*store, error) {
	spec, err := parseSeed(o.Seed)
	if err != nil {
		return nil, err
	}
	s := newStore(nil, o.Zone)
	s.fill(spec)
	return s, nil
}

func (s *store) reset(seed string) error {
	spec, err := parseSeed(seed)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.fill(spec)
	return nil
}
