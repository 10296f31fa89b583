package activities

import (
	"encoding/base64"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"

	"perdure/internal/responses"
	"perdure/internal/secret"
)

// summaryHeading begins the message that stands for a compacted conversation.
const summaryHeading = "Summary of the conversation so far:\n"

func compactionBinding(organization string) secret.Binding {
	return secret.Binding{Purpose: "compaction", Organization: organization}
}

// SealCompaction makes of a conversation's summary the encrypted content of a [responses.Compaction]. Only requests of the same
// organization can use it.
func SealCompaction(sealer *secret.Sealer, organization, text string) (string, error) {
	sealed, err := sealer.Seal([]byte(text), compactionBinding(organization))
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// openCompactions returns the items with a message in the place of each compaction. The items themselves are not changed.
func (a *Activities) openCompactions(items []responses.Item, organization string) ([]responses.Item, error) {
	opened := items
	for i, item := range items {
		c, ok := item.(*responses.Compaction)
		if !ok {
			continue
		}
		text, err := a.openCompaction(c, organization)
		if err != nil {
			return nil, temporal.NewApplicationErrorWithOptions(
				fmt.Sprintf("the compaction item %q, number %d of the conversation, cannot be opened: it was made elsewhere or "+
					"for another organization, or it was altered; compact the conversation again", c.ID, i),
				ErrTypeModel, temporal.ApplicationErrorOptions{NonRetryable: true})
		}
		if &opened[0] == &items[0] {
			opened = slices.Clone(items)
		}
		opened[i] = &responses.Message{
			Role: responses.RoleDeveloper, Content: []responses.Part{responses.InputText(summaryHeading + text)},
		}
	}
	return opened, nil
}

func (a *Activities) openCompaction(c *responses.Compaction, organization string) (string, error) {
	sealed, err := base64.StdEncoding.DecodeString(c.EncryptedContent)
	if err != nil {
		return "", err
	}
	text, err := a.Sealer.Open(sealed, compactionBinding(organization))
	return string(text), err
}
