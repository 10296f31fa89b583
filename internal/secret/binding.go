package secret

import (
	"encoding/binary"
	"errors"
)

// Binding says what a sealed value is for. The value opens only under the Binding it was sealed with.
type Binding struct {
	// Purpose names the kind of value, for example "mcp.authorization". It is required: it keeps values of different
	// kinds apart even where all else is the same.
	Purpose string
	// ResponseID is the response in whose run the value is used.
	ResponseID string
	// ServerLabel is the MCP server, within that response, that the value is sent to.
	ServerLabel string
	// Organization is the tenant that the value belongs to.
	Organization string
	// WorkflowID is the workflow that the value belongs to.
	WorkflowID string
	// Content is the hash of the value itself.
	Content string
	// ConnectorID is the connector that the value belongs to.
	ConnectorID string
	// User is the member whose value it is.
	User string
	// Issuer is the authorization server, with the redirect URI, that the value is for.
	Issuer string
	// FileID is the file that the value is a part of, and Part which one.
	FileID string
	Part   string
}

var errNoPurpose = errors.New("secret: the binding has no purpose")

// associatedData encodes the binding so that two different bindings never have the same encoding: each field that is
// set is written as its tag, its length and its bytes. A field added later gets a new tag, and values sealed before
// stay readable, because a field that is not set is not written.
func (b Binding) associatedData() ([]byte, error) {
	if b.Purpose == "" {
		return nil, errNoPurpose
	}
	var data []byte
	for _, field := range []struct {
		tag   byte // part of the stored format: never change or reuse
		value string
	}{
		{1, b.Purpose},
		{2, b.ResponseID},
		{3, b.ServerLabel},
		{4, b.Organization},
		{5, b.WorkflowID},
		{6, b.Content},
		{7, b.ConnectorID},
		{8, b.User},
		{9, b.Issuer},
		{10, b.FileID},
		{11, b.Part},
	} {
		if field.value == "" {
			continue
		}
		data = append(data, field.tag)
		data = binary.BigEndian.AppendUint64(data, uint64(len(field.value)))
		data = append(data, field.value...)
	}
	return data, nil
}
