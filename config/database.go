package config

import (
	"path/filepath"
	"strings"

	"perdure/internal/secret"
)

// Database is where organizations, members, keys and connectors are kept. Its URL is given in one of three ways; without any it is an
// SQLite file in the data directory.
type Database struct {
	URL     secret.String `mapstructure:"url"`      // Load fills it from URLEnv or URLFile
	URLEnv  string        `mapstructure:"url_env"`  // name of an environment variable that holds the URL
	URLFile string        `mapstructure:"url_file"` // path of a file that holds the URL

	MaxConnections     int `mapstructure:"max_connections"`      // of one process
	MaxIdleConnections int `mapstructure:"max_idle_connections"` // of these, that wait for work
}

func (d *Database) resolve(env environment) error {
	return secretSource{path: "database.url", value: &d.URL, env: d.URLEnv, file: d.URLFile}.resolve(env)
}

func (d Database) validate(v *validation) {
	// A URL may hold a password: it is not repeated.
	if url := d.URL.Reveal(); url != "" && !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		v.report("database.url", "must be postgres://user:password@host:5432/database; without it the database is a file in data.dir")
	}
	// A refresh of a grant holds one for as long as an authorization server takes.
	v.atLeast("database.max_connections", int64(d.MaxConnections), 2)
	v.atLeast("database.max_idle_connections", int64(d.MaxIdleConnections), 1)
}

// HasDatabase reports whether it is said where the database is.
func (c Config) HasDatabase() bool { return !c.Database.URL.IsZero() || c.Data.Dir != "" }

// DatabaseFile is the file of the database. It matters only while Database.URL is empty.
func (c Config) DatabaseFile() string { return filepath.Join(c.Data.Dir, "perdure.db") }
