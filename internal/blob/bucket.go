package blob

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"perdure/internal/secret"
)

// Bucket is where an object store that speaks S3 keeps values. Endpoint and Name are required.
type Bucket struct {
	Endpoint string // an http or https URL without a path
	Name     string
	Region   string // empty asks the object store
	Prefix   string // of all names; optional
	// PathStyle has the bucket in the path of URLs rather than in their host.
	PathStyle bool
	// AccessKey and SecretKey are the credentials. Without them they come from where AWS's own tools find them: the environment, the file
	// of shared credentials, or the machine's role.
	AccessKey string
	SecretKey secret.String
	RootCAs   *x509.CertPool // nil means the system's
}

const (
	dialTimeout = 5 * time.Second
	// answerTimeout is how long an object store may take to begin its answer.
	answerTimeout = 30 * time.Second
	// transferTimeout bounds one request. The largest value takes as long at 1.4 MB/s.
	transferTimeout = time.Minute
	// removals is how many values are removed at the same time. Some object stores cannot remove several by one request.
	removals = 8
	// listedAtOnce is as many names as a list may have in one answer.
	listedAtOnce = 1000
)

// bucket is the backend of an object store.
type bucket struct {
	client *minio.Client
	at     Bucket
}

func openBucket(b Bucket) (*bucket, error) {
	u, err := url.Parse(b.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, errors.New("the endpoint of the bucket must be an http or https URL without a path")
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		TLSClientConfig:       &tls.Config{RootCAs: b.RootCAs, MinVersion: tls.VersionTLS12},
		// What was compressed would be unpacked on the way, past the bounds.
		DisableCompression: true,
	}
	lookup := minio.BucketLookupAuto
	if b.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: b.credentials(), Secure: u.Scheme == "https", Transport: transport, Region: b.Region, BucketLookup: lookup,
		MaxRetries: 1, // which is none
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", b.Name, err)
	}
	return &bucket{client, b}, nil
}

func (b Bucket) credentials() *credentials.Credentials {
	if b.AccessKey != "" {
		return credentials.NewStaticV4(b.AccessKey, b.SecretKey.Reveal(), "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
}

func (b *bucket) key(name string) string { return b.at.Prefix + name }

// failed says what went wrong, and where. An answer's own message is not repeated: it can hold what was asked for.
func (b *bucket) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return cause
	}
	answer := minio.ToErrorResponse(err)
	remedy := ""
	switch answer.Code {
	case minio.NoSuchKey:
		return ErrNotFound
	case minio.NoSuchBucket:
		remedy = ": there is no such bucket; create it"
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled":
		remedy = ": the credentials are refused; they need to get, put, delete and list objects"
	case "":
		return fmt.Errorf("%w: bucket %s at %s: no answer: %s", ErrUnavailable, b.at.Name, b.at.Endpoint, cause(err))
	}
	return fmt.Errorf("%w: bucket %s at %s: %s (%d)%s", ErrUnavailable, b.at.Name, b.at.Endpoint, answer.Code, answer.StatusCode, remedy)
}

// cause says why there was no answer, without the URL, which names an owner.
func cause(err error) string {
	var (
		dial        *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &certificate):
		return certificate.Error() + " (network.ca_file adds certificates to trust)"
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.As(err, &dial):
		return dial.Error()
	default:
		return "the connection was lost"
	}
}

func (b *bucket) put(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	_, err := b.client.PutObject(ctx, b.at.Name, b.key(name), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{
		// One request, so that it is there whole or not at all; with a checksum, which is signed, so that what is kept is what was sent.
		DisableMultipart: true, SendContentMd5: true, DisableContentSha256: true, ContentType: "application/octet-stream",
	})
	return b.failed(ctx, err)
}

func (b *bucket) get(ctx context.Context, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	body, info, _, err := minio.Core{Client: b.client}.GetObject(ctx, b.at.Name, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, b.failed(ctx, err)
	}
	defer body.Close()
	if info.Size > most {
		return nil, fmt.Errorf("%w: the object %s has %d bytes", ErrCorrupt, name, info.Size)
	}
	data := make([]byte, max(info.Size, 0))
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, b.failed(ctx, err)
	}
	return data, nil
}

func (b *bucket) copy(ctx context.Context, from, to string) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	made, err := b.client.CopyObject(ctx,
		minio.CopyDestOptions{Bucket: b.at.Name, Object: b.key(to)}, minio.CopySrcOptions{Bucket: b.at.Name, Object: b.key(from)})
	if err == nil && made.ETag == "" {
		err = errors.New("the object store began to copy and did not finish") // it can fail after a status of 200
	}
	return b.failed(ctx, err)
}

func (b *bucket) list(ctx context.Context, dir, after string, most int) ([]entry, error) {
	if after != "" {
		after = dir + after
	}
	var entries []entry
	err := b.each(ctx, dir, after, most, func(o minio.ObjectInfo) bool {
		name := o.Key[len(b.key(dir)):]
		if name != "" && name[len(name)-1] != '/' {
			entries = append(entries, entry{name, o.LastModified})
		}
		return len(entries) < most
	})
	return entries, err
}

func (b *bucket) dirs(ctx context.Context, dir, after string, most int) ([]string, error) {
	start := ""
	if after != "" {
		start = dir + after + "0" // which is what comes after "/", and so after all that is in it
	}
	var names []string
	err := b.each(ctx, dir, start, most, func(o minio.ObjectInfo) bool {
		name := o.Key[len(b.key(dir)):]
		if name != "" && name[len(name)-1] == '/' {
			names = append(names, name[:len(name)-1])
		}
		return len(names) < most
	})
	return names, err
}

// each calls do with what is right below dir after the given name, until it returns false.
func (b *bucket) each(ctx context.Context, dir, after string, most int, do func(minio.ObjectInfo) bool) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	options := minio.ListObjectsOptions{Prefix: b.key(dir), MaxKeys: min(most, listedAtOnce)}
	if after != "" {
		options.StartAfter = b.key(after)
	}
	for o := range b.client.ListObjectsIter(ctx, b.at.Name, options) {
		if o.Err != nil {
			return b.failed(ctx, o.Err)
		}
		if !do(o) {
			break
		}
	}
	return nil
}

func (b *bucket) remove(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removals)
	for _, name := range names {
		g.Go(func() error {
			err := b.failed(ctx, b.client.RemoveObject(ctx, b.at.Name, b.key(name), minio.RemoveObjectOptions{}))
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}
