package payload

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"perdure/internal/blob"
)

const (
	// storageName and the keys of a claim are in histories: they never change.
	storageName = "perdure-blobs"
	claimOwner  = "owner"
	claimRef    = "ref"

	// storageThreshold is the size in bytes from which a payload is not for a history: half of what Temporal warns of. Ours are far
	// smaller, as a rule.
	storageThreshold = 256 << 10
	// storageTimeout bounds one transfer: the SDK gives some of them no end.
	storageTimeout = time.Minute
)

// NewStorage returns the net for payloads that turn out too large for Temporal: the values of the workflow that they are sent to, so that
// they go with it. It belongs into every client that reads or writes payloads. The payloads have passed the codec before.
func NewStorage(blobs *blob.Stores) converter.ExternalStorage {
	s := &storage{blobs}
	return converter.ExternalStorage{
		Drivers: []converter.StorageDriver{s}, DriverSelector: s, PayloadSizeThreshold: storageThreshold,
	}
}

// storage implements [converter.StorageDriver] and [converter.StorageDriverSelector].
type storage struct {
	blobs *blob.Stores
}

// Name is what claims in histories name it by.
func (s *storage) Name() string { return storageName }

// Type is the name of the implementation.
func (s *storage) Type() string { return storageName }

// SelectDriver leaves alone what belongs to no workflow: nobody would ever remove it.
func (s *storage) SelectDriver(ctx converter.StorageDriverSelectContext, _ *commonpb.Payload) (converter.StorageDriver, error) {
	if owner(ctx.Target) == "" {
		return nil, nil
	}
	return s, nil
}

func owner(target converter.StorageDriverTargetInfo) string {
	if workflow, ok := target.(converter.StorageDriverWorkflowInfo); ok {
		return workflow.WorkflowID
	}
	return ""
}

// Store keeps payloads.
func (s *storage) Store(ctx converter.StorageDriverStoreContext, payloads []*commonpb.Payload) ([]converter.StorageDriverClaim, error) {
	id := owner(ctx.Target)
	claims := make([]converter.StorageDriverClaim, len(payloads))
	err := each(ctx.Context, ctx.GetLimiter(), payloads, func(ctx context.Context, i int) error {
		data, err := proto.Marshal(payloads[i])
		if err != nil {
			return fmt.Errorf("payload: encode: %w", err)
		}
		ref, err := s.blobs.For(id).Put(ctx, data)
		claims[i] = converter.StorageDriverClaim{ClaimData: map[string]string{claimOwner: id, claimRef: string(ref)}}
		return err
	})
	return claims, err
}

// Retrieve returns what was kept.
func (s *storage) Retrieve(ctx converter.StorageDriverRetrieveContext, claims []converter.StorageDriverClaim) ([]*commonpb.Payload, error) {
	payloads := make([]*commonpb.Payload, len(claims))
	err := each(ctx.Context, ctx.GetLimiter(), claims, func(ctx context.Context, i int) error {
		var err error
		payloads[i], err = s.get(ctx, claims[i].ClaimData)
		return err
	})
	return payloads, err
}

func (s *storage) get(ctx context.Context, claim map[string]string) (*commonpb.Payload, error) {
	data, err := s.blobs.For(claim[claimOwner]).Get(ctx, blob.Ref(claim[claimRef]))
	if err != nil {
		return nil, err
	}
	var p commonpb.Payload
	if err := proto.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("payload: decode: %w", err)
	}
	return &p, nil
}

// Fetch returns payloads as they were sent. A client hands out those of a history as Temporal has them, which is without those that the
// net has caught.
func Fetch(ctx context.Context, blobs *blob.Stores, payloads *commonpb.Payloads) (*commonpb.Payloads, error) {
	s := &storage{blobs}
	out := &commonpb.Payloads{Payloads: make([]*commonpb.Payload, len(payloads.GetPayloads()))}
	for i, p := range payloads.GetPayloads() {
		out.Payloads[i] = p
		if string(p.GetMetadata()[converter.MetadataEncoding]) != converter.MetadataEncodingProtoJSON ||
			string(p.GetMetadata()[converter.MetadataMessageType]) != string((&sdkpb.ExternalStorageReference{}).ProtoReflect().Descriptor().FullName()) {
			continue
		}
		var reference sdkpb.ExternalStorageReference
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(p.GetData(), &reference); err != nil {
			return nil, fmt.Errorf("payload: decode a reference: %w", err)
		}
		var err error
		if out.Payloads[i], err = s.get(ctx, reference.GetClaimData()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// each does something for every item, as many at a time as the limiter permits.
func each[T any](
	ctx context.Context, limiter converter.StorageDriverLimiter[T], items []T, do func(ctx context.Context, i int) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, item := range items {
		g.Go(func() error {
			return limiter.Permit(ctx, item, func() error {
				ctx, cancel := context.WithTimeout(ctx, storageTimeout)
				defer cancel()
				return do(ctx, i)
			})
		})
	}
	return g.Wait()
}
