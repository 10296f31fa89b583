package config

import "time"

// Files bounds what is uploaded for batches, and says how long it is kept. One line is bounded by http.max_body.
type Files struct {
	MaxSize     Bytes         `mapstructure:"max_size"`     // of one file
	MaxLines    int           `mapstructure:"max_lines"`    // of one file
	ExpireAfter time.Duration `mapstructure:"expire_after"` // unless the upload says another time
}

const (
	// mostLines keeps what is known of each line while a file is uploaded within 64 MB.
	mostLines = 1_000_000
	// shortestFile is what a batch may take at the least.
	shortestFile = time.Hour
)

func (f Files) validate(v *validation) {
	v.atLeast("files.max_size", int64(f.MaxSize), 1)
	if f.MaxLines < 1 || f.MaxLines > mostLines {
		v.report("files.max_lines", "must be between 1 and %d", mostLines)
	}
	if f.ExpireAfter < shortestFile {
		v.report("files.expire_after", "must be at least %v: a batch reads its file while it runs", shortestFile)
	}
}
