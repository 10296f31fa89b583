package contract_test

import (
	"testing"

	"github.com/google/uuid"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/responses"
)

func TestResponseIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, id := range []string{
		contract.NewResponseID(), contract.NewResponseID(), contract.DeriveResponseID(""), contract.DeriveResponseID("a"), contract.DeriveResponseID("b"),
	} {
		if !responses.IsResponseID(id) || seen[id] {
			t.Errorf("%s is no response ID, or one that there is already", id)
		}
		if u, err := uuid.Parse(id[len(responses.ResponsePrefix):]); err != nil || u.Variant() != uuid.RFC4122 || u.Version() != 4 && u.Version() != 8 {
			t.Errorf("%s has the version %d, %v", id, u.Version(), err)
		}
		seen[id] = true
	}
	for _, id := range []string{contract.NewBatchID(), contract.DeriveBatchID("a")} {
		if !batch.IsID(id) {
			t.Errorf("%s is no batch ID", id)
		}
	}
	// It is in the histories of other programs: it never changes.
	if got, want := contract.DeriveResponseID("a"), "resp_ca978112-ca1b-8dca-bac2-31b39a23dc4d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
