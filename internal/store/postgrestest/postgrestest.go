// Package postgrestest runs a PostgreSQL server of one's own from the programs of a package such as Debian's, for tests.
package postgrestest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	role         = "perdure"
	startTimeout = time.Minute
)

// Server is a running PostgreSQL server. It listens on a socket in a directory of its own and nowhere else, and keeps nothing on disk for
// longer than it runs.
type Server struct {
	dir       string
	process   *exec.Cmd
	stdin     io.Closer
	databases atomic.Int64
}

// script runs the server until its own standard input ends, which it also does when the process that started it is killed, and tidies up.
const script = `"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=300 >"$2/log" 2>&1 &
read -r _
kill -INT $!
wait $!
rm -rf "$2"`

// Start runs a server. PostgreSQL refuses to run as root; then it runs as the user postgres, whom its package made.
func Start(ctx context.Context) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	// Not a test's own directory, which another user could not enter; and short, since paths of sockets have 107 bytes.
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		return nil, err
	}
	as, err := owner(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(dir, "data"), "--username", role,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("postgrestest: initdb: %w\n%s", err, output), os.RemoveAll(dir))
	}
	// It outlives the context, and is told to stop in its own way.
	process := exec.Command("sh", "-c", script, "sh", bin, dir)
	process.SysProcAttr, process.Dir = as, dir
	stdin, err := process.StdinPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{dir: dir, process: process, stdin: stdin}
	if err := s.await(ctx); err != nil {
		// Without its log the error is what there is.
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("postgrestest: %w\n%s", err, bytes.TrimSpace(log)), s.Stop())
	}
	return s, nil
}

// programs returns the directory of the newest PostgreSQL.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		version := func(path string) int {
			// What is no version is the oldest.
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("postgrestest: PostgreSQL is not installed: install Debian's package postgresql, or put initdb and postgres into PATH")
	}
	return filepath.Dir(path), nil
}

// owner gives dir to the user that the server runs as, and returns how to become that user.
func owner(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("postgrestest: PostgreSQL does not run as root: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// await returns when the server answers.
func (s *Server) await(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is that of a database, which may not be there.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s&sslmode=disable", database, s.dir, role)
}

// NewDatabase makes a database, a copy of another one unless that is empty, and returns its name. Nobody may use the other meanwhile.
func (s *Server) NewDatabase(ctx context.Context, copyOf string) (string, error) {
	name := fmt.Sprintf("d%d", s.databases.Add(1))
	statement := "CREATE DATABASE " + name
	if copyOf != "" {
		statement += " TEMPLATE " + pgx.Identifier{copyOf}.Sanitize()
	}
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return name, err
}

// Stop ends the server and removes what it kept.
func (s *Server) Stop() error {
	return errors.Join(s.stdin.Close(), s.process.Wait())
}
