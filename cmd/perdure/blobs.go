package main

import (
	"go.temporal.io/sdk/converter"

	"perdure/config"
	"perdure/internal/blob"
	"perdure/internal/payload"
	"perdure/internal/secret"
)

// blobCacheBytes is how much memory a process spends on blobs that it used lately.
const blobCacheBytes = 64 << 20

// openBlobs returns the stores in the bucket, if one is configured, or in the data directory.
func openBlobs(c config.Config, sealer *secret.Sealer) (*blob.Stores, error) {
	o := blob.Options{
		Namespace: namespaceOf(c.Temporal), CacheBytes: blobCacheBytes, Sealer: sealer, Encrypt: c.Encryption.Payloads,
	}
	if c.Blobs.Bucket == "" {
		if err := c.RequireDataDir(); err != nil {
			return nil, err
		}
		o.Dir = c.BlobDir()
		return blob.Open(o)
	}
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, err
	}
	o.Bucket = &blob.Bucket{
		Endpoint: c.Blobs.Endpoint, Name: c.Blobs.Bucket, Region: c.Blobs.Region, Prefix: c.Blobs.Prefix, PathStyle: c.Blobs.PathStyle,
		AccessKey: c.Blobs.AccessKey, SecretKey: c.Blobs.SecretKey, RootCAs: roots,
	}
	return blob.Open(o)
}

// payloads is how a client reads and writes what runs carry in Temporal.
type payloads struct {
	codec   *payload.Codec
	storage converter.ExternalStorage
}

// newPayloads is the same for all who read or write payloads.
func newPayloads(c config.Encryption, sealer *secret.Sealer, blobs *blob.Stores) *payloads {
	return &payloads{codec: payload.NewCodec(sealer, c.Payloads), storage: payload.NewStorage(blobs)}
}
