package main

import (
	"net/http"

	"go.temporal.io/sdk/converter"

	"perdure/config"
	"perdure/internal/payload"
	"perdure/internal/secret"
	"perdure/starter"
)

// newCodec is the same for all who read or write payloads.
func newCodec(c config.Encryption, sealer *secret.Sealer) *payload.Codec {
	return payload.NewCodec(sealer, c.Payloads)
}

// codecEndpoint is empty without a token.
func codecEndpoint(c config.Config, sealer *secret.Sealer) (starter.Codec, error) {
	if c.Encryption.Codec.Token.IsZero() {
		return starter.Codec{}, nil
	}
	handler, err := codecHandler(newCodec(c.Encryption, sealer))
	return starter.Codec{Token: c.Encryption.Codec.Token, Origins: c.CodecOrigins(), Handler: handler}, err
}

func codecHandler(codec *payload.Codec) (http.Handler, error) {
	return converter.NewPayloadHTTPHandler(converter.PayloadHTTPHandlerOptions{PreStorageCodecs: []converter.PayloadCodec{codec}})
}
