// Package file keeps files of JSON lines: what batches are made of, and what comes of them. A file belongs to an organization.
//
// # Parts
//
// A file is kept in parts of whole lines, each a blob; the database has their index. So a range of lines, or of bytes, is read without the
// rest, in the memory of one part. A line of an upload may hold tools with their authorization, so each part is sealed, whatever else is
// encrypted, for its place: the file's ID and the part's number. A part cannot be opened in the place of another.
//
// # Uploads and outputs
//
// An upload is checked line by line while it comes ([Service.Create]) and becomes a file once it is complete: nobody ever sees a half. An
// output is begun, grows by parts and is finished ([Service.Begin], [Service.Append], [Service.Finish]); what it has can be read meanwhile.
// These three are steps of a workflow and may be repeated.
//
// # What goes when
//
// Each file expires. One that something holds ([Service.Hold]), such as a batch that runs, neither expires nor can be deleted. Blobs of
// uploads that were cut off belong to no file: the daily sweep asks [Service.Missing] for those, and [Service.Expire] deletes what has expired.
package file

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"perdure/internal/blob"
	"perdure/internal/bytecache"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// File is what is known of a file beside its content.
type File = store.File

// What files are for. These are OpenAI's words.
const (
	PurposeBatch       = "batch"        // an upload with requests
	PurposeBatchOutput = "batch_output" // what came of them
)

// idPrefix is OpenAI's, which programs look at to tell a file from other things.
const idPrefix = "file-"

var idPattern = regexp.MustCompile(`^file-[0-9a-f]{32}$`)

// IsID reports whether an ID can be one of a file. It need not exist.
func IsID(id string) bool { return idPattern.MatchString(id) }

// lastID keeps the IDs of a process in the order of their making, also within a microsecond.
var lastID struct {
	sync.Mutex
	micros int64
}

// NewID returns an ID for a file. Later ones are greater, so that a list can go on behind one that was deleted: 64 bits of time, and 64
// that nobody guesses.
func NewID() string {
	lastID.Lock()
	lastID.micros = max(lastID.micros+1, time.Now().UnixMicro())
	micros := lastID.micros
	lastID.Unlock()
	id := make([]byte, 16)
	binary.BigEndian.PutUint64(id, uint64(micros))
	rand.Read(id[8:])
	return idPrefix + hex.EncodeToString(id)
}

// Limits bound uploads.
type Limits struct {
	Bytes int64 // of a file
	Lines int   // of a file, without blank ones
	Line  int   // bytes of one
}

// Options are all that a Service needs.
type Options struct {
	Store  *store.Store
	Blobs  *blob.Stores
	Sealer *secret.Sealer
	Limits Limits
	// ExpireAfter is how long a file lives for which nobody says another time.
	ExpireAfter time.Duration
	Logger      *slog.Logger
}

// Service keeps files. It is safe for concurrent use, also by several processes.
type Service struct {
	Options
	// opened are the parts that lines were read of last. A batch asks for its lines one by one, each worker for many of the same part.
	opened *bytecache.Cache
	// opening has those who want the same part at the same time wait for one of them.
	opening singleflight.Group
}

// openedBytes bounds the opened parts that are kept: some thirty, each of which serves a batch.
const openedBytes = 16 << 20

// New returns a service.
func New(o Options) *Service { return &Service{Options: o, opened: bytecache.New(openedBytes)} }

// binding is the place of a part.
func binding(id string, part int) secret.Binding {
	return secret.Binding{Purpose: "file", FileID: id, Part: fmt.Sprint(part)}
}
