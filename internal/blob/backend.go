package blob

import (
	"context"
	"time"
)

// backend keeps bytes under names, in a directory or in a bucket. A name has slashes between its parts, and the parts are safe as file
// names: a [Store] has checked them. Nothing here is tried twice: that is for Temporal to decide.
type backend interface {
	// put keeps data under a name, whole or not at all, and durably once it returns. Repeating it makes the entry young again and does
	// no other harm, and neither does another process that does the same at the same time.
	put(ctx context.Context, name string, data []byte) error
	// get returns what is under a name. It fails with [ErrNotFound] if nothing is, and with [ErrCorrupt] if that is longer than most
	// bytes, which it does not read then.
	get(ctx context.Context, name string, most int64) ([]byte, error)
	// copy is put with what is under another name. It fails with [ErrNotFound] if nothing is.
	copy(ctx context.Context, from, to string) error
	// list returns the entries right below dir, which ends in "/", in the order of their names: at most a number of them, from after the
	// given name on, which need not be there. Fewer mean that there are no more. A dir that is not there has none.
	list(ctx context.Context, dir, after string, most int) ([]entry, error)
	// dirs returns the names of the directories right below dir in the same way. Their order is that of the names with a "/" at the end.
	dirs(ctx context.Context, dir, after string, most int) ([]string, error)
	// remove removes names. What is not there is no error; a directory is gone with the last that was in it.
	remove(ctx context.Context, names ...string) error
}

// entry is something that a backend keeps.
type entry struct {
	name     string // below the directory that was listed, without it
	modified time.Time
}
