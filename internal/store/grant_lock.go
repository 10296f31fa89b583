package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"sync"
)

// grantSession is a time in which a grant is one caller's.
type grantSession struct {
	q       querier // for the grant's row
	tx      *sql.Tx // that q is, if it is one
	conn    *sql.Conn
	release func()
}

// commit makes true what was written with q.
func (g *grantSession) commit() error {
	if g.tx == nil {
		return nil
	}
	return g.tx.Commit()
}

// abandon gives a transaction up, with its locks and its connection.
func (g *grantSession) abandon() {
	if g.tx == nil {
		return
	}
	_ = g.tx.Rollback() // after a commit, or on a broken connection, there is nothing to roll back
	g.conn.Close()
	g.tx = nil
}

// end lets others have the grant.
func (g *grantSession) end() {
	g.abandon()
	g.release()
}

// hold waits for the grant within this process, so that many callers who find the same token expired wait with one connection, and then
// for other processes.
func (s *Store) hold(ctx, held context.Context, key GrantKey) (*grantSession, error) {
	release, err := s.locks.acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	session, err := s.engine.holdGrant(ctx, held, s.db, key)
	if err != nil {
		release()
		return nil, err
	}
	unlock := session.release
	session.release = func() {
		unlock()
		release()
	}
	return session, nil
}

// holdGrant: the lock is the row's, taken when it is read.
func (postgres) holdGrant(ctx, held context.Context, db *sql.DB, _ GrantKey) (*grantSession, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(held, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &grantSession{q: tx, tx: tx, conn: conn, release: func() {}}, nil
}

// grantLockFiles is in how many files the locks of all grants are. Two grants in one file wait for each other, which is rare and short.
const grantLockFiles = 256

// holdGrant locks a file instead of the row: SQLite has no locks of rows, and a transaction would keep everybody from writing.
func (e sqlite) holdGrant(ctx, _ context.Context, db *sql.DB, key GrantKey) (*grantSession, error) {
	dir := e.file + ".locks"
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%q %q %q", key.Organization, key.Connector, key.User)
	unlock, err := lockFile(ctx, filepath.Join(dir, fmt.Sprintf("grants-%02x", h.Sum32()%grantLockFiles)))
	if err != nil {
		return nil, err
	}
	return &grantSession{q: db, release: unlock}, nil
}

// keyedLock is a lock for each grant. The zero value is ready to use.
type keyedLock struct {
	mu    sync.Mutex
	turns map[GrantKey]*turn
}

// turn is the lock of one key, as long as somebody has it or waits for it.
type turn struct {
	free  chan struct{} // holds one value while nobody has the lock
	users int
}

func (l *keyedLock) acquire(ctx context.Context, key GrantKey) (release func(), err error) {
	l.mu.Lock()
	t := l.turns[key]
	if t == nil {
		if l.turns == nil {
			l.turns = map[GrantKey]*turn{}
		}
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		l.turns[key] = t
	}
	t.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(l.turns, key)
		}
	}
	select {
	case <-t.free:
		return func() {
			t.free <- struct{}{}
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
