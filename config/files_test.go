package config

import (
	"strings"
	"testing"
	"time"
)

func TestValidateFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Files)
		want   string // empty: it is valid
	}{
		"as they are":    {func(*Files) {}, ""},
		"large":          {func(f *Files) { f.MaxSize, f.MaxLines = 10*GiB, 1_000_000 }, ""},
		"no size":        {func(f *Files) { f.MaxSize = 0 }, "files.max_size: "},
		"no lines":       {func(f *Files) { f.MaxLines = 0 }, "files.max_lines: must be between 1 and 1000000"},
		"too many lines": {func(f *Files) { f.MaxLines = 1_000_001 }, "files.max_lines: must be between"},
		"gone at once":   {func(f *Files) { f.ExpireAfter = time.Minute }, "files.expire_after: must be at least 1h0m0s"},
	} {
		c := Default()
		tt.change(&c.Files)
		if err := c.Validate(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}
