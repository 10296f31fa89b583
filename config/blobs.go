package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"perdure/internal/secret"
)

// Blobs is where large values are kept: in a bucket of an object store that speaks S3, or, without one, below the data directory.
type Blobs struct {
	Bucket    string `mapstructure:"bucket"`
	Endpoint  string `mapstructure:"endpoint"`   // URL of the object store
	Region    string `mapstructure:"region"`     // optional
	Prefix    string `mapstructure:"prefix"`     // of the names of all objects; optional
	PathStyle bool   `mapstructure:"path_style"` // the bucket is in the path of URLs

	// Without an access key the credentials are those that AWS's own tools would find. The secret key is given in one of three ways.
	AccessKey     string        `mapstructure:"access_key"`
	SecretKey     secret.String `mapstructure:"secret_key"`      // Load fills it from SecretKeyEnv or SecretKeyFile
	SecretKeyEnv  string        `mapstructure:"secret_key_env"`  // name of an environment variable that holds it
	SecretKeyFile string        `mapstructure:"secret_key_file"` // path of a file that holds it

	SweepEvery time.Duration `mapstructure:"sweep_every"` // how often values are looked for whose workflow has expired
	SweepGrace time.Duration `mapstructure:"sweep_grace"` // how old they must be
}

const (
	// shortestSweep keeps a sweep from being all that a worker does.
	shortestSweep = 10 * time.Minute
	// shortestGrace is far more than the start of a run takes, and than the clocks of machines differ.
	shortestGrace = time.Hour
)

// bucketName is what all object stores take.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// prefixForm has no part that a client would take for a way up, and ends a part.
var prefixForm = regexp.MustCompile(`^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*$`)

func (b *Blobs) resolve(env environment) error {
	return secretSource{path: "blobs.secret_key", value: &b.SecretKey, env: b.SecretKeyEnv, file: b.SecretKeyFile}.resolve(env)
}

func (b Blobs) validate(v *validation) {
	if b.SweepEvery < shortestSweep {
		v.report("blobs.sweep_every", "must be at least %v", shortestSweep)
	}
	if b.SweepGrace < shortestGrace {
		v.report("blobs.sweep_grace", "must be at least %v: values are written before their run exists", shortestGrace)
	}
	if b.Bucket == "" {
		for _, key := range []struct {
			name string
			set  bool
		}{
			{"endpoint", b.Endpoint != ""},
			{"region", b.Region != ""},
			{"prefix", b.Prefix != ""},
			{"path_style", b.PathStyle},
			{"access_key", b.AccessKey != ""},
			{"secret_key", !b.SecretKey.IsZero()},
		} {
			if key.set {
				v.report("blobs."+key.name, "is for the bucket that blobs.bucket names, which is not set: set it, or remove this key")
			}
		}
		return
	}
	b.validateBucket(v)
}

// validateBucket does not repeat the endpoint: people put credentials into URLs.
func (b Blobs) validateBucket(v *validation) {
	if !bucketName.MatchString(b.Bucket) {
		v.report("blobs.bucket", "a bucket's name is 3 to 63 lower-case letters, digits, - and .")
	}
	if !prefixForm.MatchString(b.Prefix) {
		v.report("blobs.prefix", "must be folders of letters, digits, ., _ and -, each with a / behind it, for example perdure/")
	}
	u, err := url.Parse(b.Endpoint)
	switch {
	case b.Endpoint == "":
		v.report("blobs.endpoint", "is not set: name the object store, for example https://s3.eu-central-1.amazonaws.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u):
		v.report("blobs.endpoint", "must be an http or https URL, for example https://s3.eu-central-1.amazonaws.com")
	case u.User != nil:
		v.report("blobs.endpoint", "must not contain a user name or password: use blobs.access_key and blobs.secret_key_file")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(b.Endpoint, "#") || strings.Trim(u.Path, "/") != "":
		v.report("blobs.endpoint", "must end after the port: the bucket is blobs.bucket")
	}
	switch {
	case b.AccessKey == "" && !b.SecretKey.IsZero():
		v.report("blobs.access_key", "is not set, and blobs.secret_key is: set both, or none for the credentials of the environment")
	case b.AccessKey != "" && b.SecretKey.IsZero():
		v.report("blobs.secret_key", "is not set, and blobs.access_key is: set both, or none for the credentials of the environment")
	}
}
