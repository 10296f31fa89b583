package connector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	_ "image/gif" // registers the format
	_ "image/jpeg"
	"image/png"
	"unicode/utf8"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

// Bounds of icons.
const (
	MaxIconBytes = 128 << 10
	// maxIconSide bounds what is decoded: 2048 × 2048 pixels take 16 MiB, however few bytes they come in.
	maxIconSide = 2048
)

// iconSides are the sizes in which icons are stored: the largest that fits into MaxIconBytes. The last one always does.
var iconSides = []int{256, 128}

// An Icon is a picture that was drawn anew: nothing of a file but its pixels is left.
type Icon struct {
	PNG  []byte
	Hash string // of PNG
}

// NewIcon reads a PNG, JPEG, GIF or WebP file, whatever it is called, and draws it anew as a PNG. The error is an [Invalid].
func NewIcon(file []byte) (Icon, error) {
	refuse := func(message string) (Icon, error) { return Icon{}, Invalid{{Param: "icon", Message: message}} }
	if len(file) > MaxIconBytes {
		return refuse("is larger than 128 KiB: choose a smaller image")
	}
	if looksLikeSVG(file) {
		return refuse("is an SVG, which may hold scripts: choose a PNG, JPEG, GIF or WebP image")
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return refuse("is not a PNG, JPEG, GIF or WebP image")
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxIconSide || config.Height > maxIconSide {
		return refuse("must be at most 2048 × 2048 pixels: choose a smaller image")
	}
	picture, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return refuse("is a damaged image")
	}
	var encoded []byte
	for _, side := range iconSides {
		if encoded, err = encodeIcon(picture, side); err != nil {
			return refuse("is a damaged image")
		}
		if len(encoded) <= MaxIconBytes {
			break
		}
	}
	sum := sha256.Sum256(encoded)
	return Icon{PNG: encoded, Hash: hex.EncodeToString(sum[:16])}, nil
}

// encodeIcon draws a picture so that neither of its sides is longer than side.
func encodeIcon(picture image.Image, side int) ([]byte, error) {
	from := picture.Bounds()
	width, height := from.Dx(), from.Dy()
	if longest := max(width, height); longest > side {
		width, height = max(1, width*side/longest), max(1, height*side/longest)
	}
	drawn := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(drawn, drawn.Bounds(), picture, from, draw.Src, nil)
	var buf bytes.Buffer
	err := png.Encode(&buf, drawn)
	return buf.Bytes(), err
}

// looksLikeSVG is for a better message only: an SVG is none of the formats that are read.
func looksLikeSVG(file []byte) bool {
	return utf8.Valid(file) && bytes.Contains(bytes.ToLower(file), []byte("<svg"))
}
