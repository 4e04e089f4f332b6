package portal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// KeptTokens is the folder where programs of this user keep the tokens of
// applications: bxflow in the user's configuration folder, which nobody empties
// as one may a cache.
func KeptTokens() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("the folder for the application's tokens: %w; set HOME or XDG_CONFIG_HOME", err)
	}
	return filepath.Join(dir, "bxflow"), nil
}

// tokenFile keeps a pair. A nil one keeps nothing.
type tokenFile struct {
	path string
}

// newTokenFile is the file of one authorisation of one application: a new one
// has another refresh token to begin with, and thereby another file.
func newTokenFile(app Application) *tokenFile {
	if app.Folder == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(app.ClientID + "\x00" + app.Refresh.text))
	return &tokenFile{path: filepath.Join(app.Folder, "tokens-"+hex.EncodeToString(sum[:8])+".json")}
}

// tokenWait is how long another process may take to renew: longer than it asks
// a token server that doesn't answer. One that was stopped is not waited for.
const tokenWait = 5 * time.Minute

// lock keeps other processes from spending the same refresh token.
func (f *tokenFile) lock(ctx context.Context) (unlock func(), err error) {
	if f == nil {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return nil, fmt.Errorf("the application's tokens can't be kept: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	lock := flock.New(f.path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("another process has been renewing them for minutes; end it")
		}
		return nil, fmt.Errorf("the application's tokens: %w", err)
	}
	return func() { _ = lock.Close() }, nil // closing is all that can be done
}

// load reads the pair; there may be none yet. A file that is damaged has cost
// the authorisation, and so is told instead of passed over.
func (f *tokenFile) load() (pair, error) {
	if f == nil {
		return pair{}, nil
	}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return pair{}, nil
	}
	if err != nil {
		return pair{}, fmt.Errorf("the application's tokens: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxGrant))
	if err != nil {
		return pair{}, fmt.Errorf("the application's tokens: %w", err)
	}
	var p pair
	if json.Unmarshal(raw, &p) != nil || p.Access == "" || p.Refresh == "" || len(p.Access)+len(p.Refresh) > 2*maxToken {
		return pair{}, fmt.Errorf("the application's tokens in %s are damaged; delete the file and %s", f.path, reauthorise)
	}
	return p, nil
}

// tokenPlace is where a new pair will be written.
type tokenPlace struct {
	file *os.File
	path string
}

// place makes a file beside the one that it will replace. Whoever has the lock is
// alone here, so that what others left who died in the middle can go.
func (f *tokenFile) place() (*tokenPlace, error) {
	if f == nil {
		return nil, nil //nolint:nilnil // a place in memory
	}
	left, _ := filepath.Glob(f.path + ".[0-9]*") // the pattern is sound
	for _, path := range left {
		_ = os.Remove(path) // it can stay where it can't be removed
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*") // with 0600
	if err != nil {
		return nil, fmt.Errorf("the application's tokens can't be kept: %w", err)
	}
	p := &tokenPlace{file: file, path: f.path}
	if _, err := file.Write(make([]byte, 2*maxToken)); err != nil { // room on the disk
		p.discard()
		return nil, fmt.Errorf("the application's tokens can't be kept: %w", err)
	}
	return p, nil
}

// fill writes the pair, durably, and puts it in place of the old one.
func (p *tokenPlace) fill(next pair) error {
	if p == nil {
		return nil
	}
	raw, err := json.Marshal(next) //nolint:gosec // the file is there to keep the tokens
	if err == nil {
		_, err = p.file.WriteAt(raw, 0)
	}
	if err == nil {
		err = p.file.Truncate(int64(len(raw)))
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err = errors.Join(err, p.file.Close()); err == nil {
		err = os.Rename(p.file.Name(), p.path)
	}
	if err != nil {
		p.discard()
		return err
	}
	syncFolder(filepath.Dir(p.path))
	return nil
}

// discard leaves the old pair in place.
func (p *tokenPlace) discard() {
	if p != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}

// syncFolder makes a rename outlast a power cut, where the system can do that.
func syncFolder(path string) {
	if dir, err := os.Open(path); err == nil { //nolint:gosec // the user's own folder
		_ = dir.Sync()
		_ = dir.Close()
	}
}
