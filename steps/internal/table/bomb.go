package table

import "fmt"

const (
	// freeSize is how many unpacked bytes of a file are taken whatever they were packed to.
	freeSize = 64 << 20
	// maxRatio is how many times longer than the file its text may be beyond
	// that. Tables with a lot in common reach 30; what is made to fill disks 1000.
	maxRatio = 200
)

// Swollen says what is wrong with a packed file of so many bytes that has made
// so many unpacked ones: nil unless it was made to fill disks.
func Swollen(unpacked, packed int64) error {
	if unpacked <= freeSize || unpacked/maxRatio < packed {
		return nil
	}
	return fmt.Errorf("unpacked, the file is more than %d times as long; if it really is a table, unpack it first", maxRatio)
}
