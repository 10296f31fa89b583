package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes, written as a whole number with an optional unit: 512, 100KB (100,000), 32MiB (33,554,432).
type Bytes int64

// The units that a size can be written with, besides B.
const (
	KB  Bytes = 1000
	MB        = 1000 * KB
	GB        = 1000 * MB
	KiB Bytes = 1024
	MiB       = 1024 * KiB
	GiB       = 1024 * MiB
)

var errBytes = errors.New("must be a size such as 100KB or 32MiB (units: B, KB, MB, GB, KiB, MiB, GiB)")

// UnmarshalText reads a size. Units are not case-sensitive and may follow a space.
func (b *Bytes) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BGIKMbgikm")
	unit, ok := unitOf(string(text[len(number):]))
	if !ok {
		return errBytes
	}
	n, err := strconv.ParseInt(strings.TrimRight(number, " "), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return errBytes
	}
	*b = Bytes(n) * unit
	return nil
}

// MarshalText writes the size as String does.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String returns the size in the largest unit that divides it: 32MiB, 100KB, 1500B.
func (b Bytes) String() string {
	for _, name := range []string{"GiB", "GB", "MiB", "MB", "KiB", "KB"} {
		if unit, _ := unitOf(name); b != 0 && b%unit == 0 {
			return strconv.FormatInt(int64(b/unit), 10) + name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

func unitOf(name string) (Bytes, bool) {
	switch strings.ToLower(name) {
	case "", "b":
		return 1, true
	case "kb":
		return KB, true
	case "mb":
		return MB, true
	case "gb":
		return GB, true
	case "kib":
		return KiB, true
	case "mib":
		return MiB, true
	case "gib":
		return GiB, true
	}
	return 0, false
}
