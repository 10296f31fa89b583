package main

import (
	"net/http"

	"go.temporal.io/sdk/converter"

	"perdure/config"
	"perdure/starter"
)

// codecEndpoint is empty without a token.
func codecEndpoint(c config.Config, p *payloads) (starter.Codec, error) {
	if c.Encryption.Codec.Token.IsZero() {
		return starter.Codec{}, nil
	}
	handler, err := codecHandler(p)
	return starter.Codec{Token: c.Encryption.Codec.Token, Origins: c.CodecOrigins(), Handler: handler}, err
}

func codecHandler(p *payloads) (http.Handler, error) {
	return converter.NewPayloadHTTPHandler(converter.PayloadHTTPHandlerOptions{
		PreStorageCodecs: []converter.PayloadCodec{p.codec}, ExternalStorage: p.storage,
	})
}
